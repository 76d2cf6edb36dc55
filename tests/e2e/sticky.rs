//! Sticky sessions while replicas of the backend come and go: a session stays with its pod as long
//! as that lives, whichever replica of the gateway it meets, and where pods come no more sessions
//! move than they take over.
//!
//! One line of the table that is printed is one policy and one change of the replicas.

mod sessions;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::backends::{app_service, echo_deployment};
use crate::support::process::{Fleet, binary};
use crate::support::{Namespace, PATIENCE, scenario, wait_until};
use sessions::{Key, Sessions};

/// Sessions of each policy.
const SESSIONS: u16 = 100;

/// Maglev moves a few more than it has to, two in a thousand: so many of the sessions, at most.
const DISTURBED: usize = 3;

/// A policy of load_balancer, and what a session is known by.
struct Policy {
    name: &'static str,
    key: Key,
    /// Whether exactly those sessions move that have to.
    exact: bool,
    spec: Value,
}

fn policies() -> [Policy; 4] {
    let cookie = json!({"name": "session", "path": "/", "ttl": "600s"});
    [
        Policy {
            name: "ring-cookie",
            key: Key::Cookie,
            exact: true,
            spec: json!({"policy": "ring_hash", "cookie": cookie}),
        },
        Policy {
            name: "ring-header",
            key: Key::Header,
            exact: true,
            spec: json!({"policy": "ring_hash", "header": "x-user"}),
        },
        Policy {
            name: "maglev-header",
            key: Key::Header,
            exact: false,
            spec: json!({"policy": "maglev", "header": "x-user"}),
        },
        Policy {
            name: "ring-source",
            key: Key::Source,
            exact: true,
            spec: json!({"policy": "ring_hash", "source_ip": true}),
        },
    ]
}

#[test]
fn sessions_stay_while_replicas_come_and_go() {
    if binary().is_none() {
        println!("not run: it needs processes in the cluster's network");
        return;
    }
    scenario("sticky", |namespace| {
        let fleet = Fleet::start(namespace, &[&[], &[]]);
        let policies = policies();
        prepare(namespace, &fleet, &policies);
        let gateways: Vec<_> = fleet.replicas.iter().map(|replica| replica.http).collect();
        let mut all: Vec<_> = policies
            .iter()
            .map(|policy| Sessions::begin(policy.name, policy.key, SESSIONS, &gateways))
            .collect();
        settle(namespace, &mut all, 3);
        println!();
        for replicas in [5, 2, 4] {
            let before: Vec<_> = all.iter_mut().map(Sessions::places).collect();
            namespace.kubectl(&["scale", "deployment/echo", &format!("--replicas={replicas}")]);
            settle(namespace, &mut all, replicas);
            for ((policy, sessions), before) in policies.iter().zip(&mut all).zip(&before) {
                judge(policy, sessions, before);
            }
        }
    });
}

fn prepare(namespace: &Namespace, fleet: &Fleet<'_>, policies: &[Policy]) {
    let object = |kind: &str, name: &str, mut spec: Value| {
        spec["ambassador_id"] = json!([fleet.ambassador_id]);
        crate::kinds::object(kind, name, &spec)
    };
    let route = |policy: &Policy| {
        let spec = json!({
            "hostname": "*", "prefix": format!("/{}/", policy.name),
            "service": format!("echo.{}", namespace.name), "resolver": "by-endpoints",
            "load_balancer": policy.spec,
        });
        object("Mapping", policy.name, spec)
    };
    let mut objects: Vec<Value> = policies.iter().map(route).collect();
    objects.extend([
        object("KubernetesEndpointResolver", "by-endpoints", json!({})),
        echo_deployment(3, &["-drain", "2s"]),
        app_service("echo"),
    ]);
    namespace.apply(&objects);
    namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=120s"]);
    namespace.kubectl(&["wait", "--for=condition=Ready", "mapping", "--all", "--timeout=60s"]);
}

/// Sessions ask all the time until these many pods run and each of them, and none else, has
/// sessions of each policy at each gateway.
fn settle(namespace: &Namespace, all: &mut [Sessions], replicas: usize) {
    wait_until(&format!("{replicas} pods have all sessions"), 2 * PATIENCE, || {
        let mut places = Vec::new();
        for sessions in all.iter_mut() {
            places.push(sessions.ask_all()?);
        }
        let ready = ready_pods(namespace)?;
        let is_complete = places.iter().all(|used| *used == ready);
        if is_complete && ready.len() == replicas { Ok(()) } else { Err(format!("{places:?}")) }
    });
}

fn ready_pods(namespace: &Namespace) -> Result<BTreeSet<String>, String> {
    let list = namespace.get("pods")?;
    let pods = list["items"].as_array().ok_or("no list")?.iter();
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Ok(pods.filter(is_ready).map(name).collect())
}

/// Compares where sessions are with where they were.
fn judge(policy: &Policy, sessions: &mut Sessions, before: &[String]) {
    let (was, is): (BTreeSet<_>, BTreeSet<_>) = (before.iter().cloned().collect(), sessions.pods());
    let (went, came) = (&was - &is, &is - &was);
    let orphans = before.iter().filter(|pod| went.contains(*pod)).count();
    // Those whose pod stays may go to one that came, and nowhere else.
    let mut moved = 0;
    let mut astray = Vec::new();
    for (session, (before, seen)) in before.iter().zip(sessions.take_seen()).enumerate() {
        if went.contains(before) {
            continue;
        }
        moved += usize::from(seen.iter().any(|pod| pod != before));
        if seen.iter().any(|pod| pod != before && !came.contains(pod)) {
            astray.push((session, before, seen));
        }
    }
    // The share of those that came, and four standard deviations.
    let share = came.len() as f64 / is.len() as f64;
    let count = f64::from(SESSIONS);
    let most = (count * share + 4.0 * (count * share * (1.0 - share)).sqrt()) as usize;
    println!(
        "| {} | {} to {} pods | {SESSIONS} sessions | {orphans} lost their pod | {moved} others moved, expected {:.0} | {} of them not to a new pod |",
        policy.name,
        was.len(),
        is.len(),
        count * share,
        astray.len()
    );
    let disturbed = if policy.exact { 0 } else { DISTURBED };
    assert!(astray.len() <= disturbed, "{}: {astray:?}", policy.name);
    assert!(moved <= most + disturbed, "{}: {moved} moved, at most {most}", policy.name);
}
