//! Several replicas: `Programmed` speaks for all of them, and one of them writes it, whatever
//! happens to the others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::kubectl;
use crate::support::load::let_it_run;
use crate::support::process::{FAKETIME, Fleet, GRACE, binary};
use crate::support::status::condition;
use crate::support::{Namespace, PATIENCE, mapping_of, scenario, wait_until};

/// Half of them new routes, half of them routes that change their backend.
const CHANGES: usize = 40;
/// How long a lease holds that nobody renews, and how long candidates then take to see it.
const TAKEOVER: Duration = Duration::from_secs(40);
/// How long replicas with wrong clocks are watched: several times as long as a lease holds.
const WATCHED: Duration = Duration::from_secs(45);

/// A scenario that needs processes in the cluster's network.
fn processes(name: &str, variables: &[&[(&str, &str)]], test: impl FnOnce(&Fleet)) {
    if gateway::own_cluster().is_none() || binary().is_none() {
        println!("not run: replicas as processes need the network of the test cluster");
        return;
    }
    scenario(name, |namespace| test(&Fleet::start(namespace, variables)));
}

/// A Mapping of the fleet, to a backend by its endpoints: processes of the host don't ask the
/// cluster's DNS.
fn route(fleet: &Fleet, name: &str, prefix: &str, version: &str) -> Value {
    let service = format!("echo-{version}.backends");
    mapping_of(
        name,
        &json!({
            "hostname": "*", "prefix": prefix, "service": service,
            "resolver": "endpoint", "ambassador_id": [fleet.ambassador_id],
        }),
    )
}

/// `kubectl wait --for=condition=Programmed`: kubectl itself compares the generation.
#[track_caller]
fn wait_programmed(namespace: &Namespace, name: &str) {
    let limit = format!("--timeout={}s", PATIENCE.as_secs());
    namespace.kubectl(&["wait", "--for=condition=Programmed", &format!("mapping/{name}"), &limit]);
}

/// Waits until `Programmed` says this of the object's generation.
#[track_caller]
fn told(namespace: &Namespace, name: &str, verdict: (&str, &str), texts: &[&str]) {
    let what = format!("mapping/{name}");
    wait_until(&format!("{what}: {verdict:?} {texts:?}"), PATIENCE, || {
        let object = namespace.get(&what)?;
        let found = condition(&object, "Programmed").ok_or("no such condition")?;
        let is_it = (&*found.status, &*found.reason) == verdict
            && object["metadata"]["generation"].as_i64() == Some(found.generation)
            && texts.iter().all(|text| found.message.contains(text));
        if is_it { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// How many statuses of Mappings the API server has been asked to write, by whomever.
fn status_writes() -> u64 {
    let metrics = kubectl(&["get", "--raw", "/metrics"]).succeed();
    let of_mappings = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains("resource=\"mappings\"")
            && line.contains("subresource=\"status\"")
    };
    let counts = metrics.lines().filter(of_mappings).filter_map(|line| line.rsplit_once(' '));
    counts.map(|(_, count)| count.parse::<f64>().unwrap_or_default() as u64).sum()
}

/// Makes changes, waits for each as a pipeline does, and asks every replica at once.
fn assert_barrier(
    namespace: &Namespace,
    replicas: &mut [(String, Client)],
    route: impl Fn(&str, &str, &str) -> Value,
) {
    let (mut wrong, mut waited) = (Vec::new(), Duration::ZERO);
    let before = status_writes();
    for change in 0..CHANGES {
        let name = format!("route-{}", change / 2);
        let prefix = format!("/{}/{}/", namespace.name, change / 2);
        let version = if change % 2 == 0 { "v1" } else { "v2" };
        namespace.apply(&[route(&name, &prefix, version)]);
        let start = Instant::now();
        wait_programmed(namespace, &name);
        waited += start.elapsed();
        for (replica, client) in replicas.iter_mut() {
            let answer = client.get(&prefix);
            if !answer.is_of(version) {
                wrong.push(format!("change {change}, {replica}: {}", answer.shown()));
            }
        }
    }
    let writes = status_writes() - before;
    println!(
        "{CHANGES} changes, {} replicas: kubectl waited {} ms on average, {writes} statuses written",
        replicas.len(),
        waited.as_millis() / CHANGES as u128,
    );
    assert!(wrong.is_empty(), "{} wrong answers: {wrong:#?}", wrong.len());
    assert_eq!(writes, CHANGES as u64, "one write for each change");
}

#[test]
fn programmed_is_a_barrier_for_every_process() {
    processes("replicas-barrier", &[&[], &[], &[]], |fleet| {
        let mut clients: Vec<_> =
            fleet.replicas.iter().map(|r| (r.name.clone(), Client::to(r.http))).collect();
        assert_barrier(fleet.namespace, &mut clients, |name, prefix, version| {
            route(fleet, name, prefix, version)
        });
        let leader = &fleet.replicas[fleet.leader()];
        let number = |name: &str| leader.metric(name).expect("it answers");
        println!(
            "the others confirmed {} ms after the build, on average of {} that had to be waited for",
            1000.0 * number("nuncio_replicas_barrier_seconds_sum")
                / number("nuncio_replicas_barrier_seconds_count").max(1.0),
            number("nuncio_replicas_barrier_seconds_count"),
        );
        assert_eq!(number("nuncio_replicas_connected"), 2.0);
    });
}

#[test]
fn programmed_is_a_barrier_for_every_pod() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster can't be reached by their addresses");
        return;
    }
    scenario("replicas-pods", |namespace| {
        gateway::scale(3);
        let mut pods = gateway::addresses();
        assert_eq!(pods.len(), 3);
        assert_barrier(namespace, &mut pods, |name, prefix, version| {
            crate::support::mapping(name, prefix, &format!("echo-{version}.backends"))
        });
        gateway::scale(1);
    });
}

#[test]
fn a_replica_that_hangs_is_named_and_holds_nothing_up_for_ever() {
    processes("replicas-hang", &[&[], &[]], |fleet| {
        let namespace = fleet.namespace;
        let frozen = 1 - fleet.leader();
        let name = fleet.replicas[frozen].name.clone();
        namespace.apply(&[route(fleet, "route", "/hang/", "v1")]);
        wait_programmed(namespace, "route");
        fleet.replicas[frozen].signal("STOP");
        let start = Instant::now();
        namespace.apply(&[route(fleet, "route", "/hang/", "v2")]);
        told(namespace, "route", ("False", "Pending"), &["not yet confirmed by", &name]);
        let served = &fleet.replicas[1 - frozen];
        let answer = Client::to(served.http).get("/hang/");
        assert!(answer.is_of("v2"), "it is served meanwhile: {}", answer.shown());
        let grace = format!("not confirmed it for more than {} s", GRACE.as_secs());
        told(namespace, "route", ("True", "Programmed"), &[&name, &grace]);
        assert!(start.elapsed() >= GRACE, "before its time: {:?}", start.elapsed());

        fleet.replicas[frozen].signal("CONT");
        let plain = "The gateway serves this generation";
        wait_until("the message goes", PATIENCE, || {
            let object = namespace.get("mapping/route")?;
            let found = condition(&object, "Programmed").ok_or("no such condition")?;
            if found.message == plain { Ok(()) } else { Err(found.message) }
        });
        assert!(Client::to(fleet.replicas[frozen].http).get("/hang/").is_of("v2"));
    });
}

#[test]
fn when_the_leader_is_killed_another_goes_on() {
    processes("replicas-kill", &[&[], &[], &[]], |fleet| {
        let namespace = fleet.namespace;
        namespace.apply(&[route(fleet, "route", "/kill/", "v1")]);
        wait_programmed(namespace, "route");
        let (_, transitions) = fleet.lease().expect("it exists");
        let killed = fleet.leader();
        fleet.replicas[killed].signal("KILL");
        fleet.remove(killed);
        let start = Instant::now();
        let next = wait_until("another leads", TAKEOVER, || {
            let leader = fleet.leader();
            if leader == killed { Err("none yet".to_owned()) } else { Ok(leader) }
        });
        println!("another replica led {} s after the kill", start.elapsed().as_secs());
        let before = fleet.log(next);
        assert!(before.contains("does not renew its lease"), "{before}");
        namespace.apply(&[route(fleet, "route", "/kill/", "v2")]);
        wait_programmed(namespace, "route");
        for (index, replica) in fleet.replicas.iter().enumerate() {
            if index != killed {
                assert!(Client::to(replica.http).get("/kill/").is_of("v2"), "{}", replica.name);
            }
        }
        assert_eq!(fleet.lease().expect("it exists").1, transitions + 1);
    });
}

#[test]
fn a_leader_that_was_frozen_past_its_lease_writes_nothing() {
    processes("replicas-frozen", &[&[], &[]], |fleet| {
        let namespace = fleet.namespace;
        let routes = |version| {
            (0..50)
                .map(|n| route(fleet, &format!("route-{n}"), &format!("/frozen/{n}/"), version))
                .collect::<Vec<_>>()
        };
        let wait_all = || {
            let all = ["wait", "--for=condition=Programmed", "mapping", "--all", "--timeout=60s"];
            namespace.kubectl(&all);
        };
        namespace.apply(&routes("v1"));
        wait_all();
        let frozen = fleet.leader();
        fleet.replicas[frozen].signal("STOP");
        fleet.set_serving(frozen, false);
        wait_until("another leads", TAKEOVER, || {
            if fleet.leader() == frozen { Err("none yet".to_owned()) } else { Ok(()) }
        });
        namespace.apply(&routes("v2"));
        wait_all();
        let (holder, transitions) = fleet.lease().expect("it exists");
        let before = status_writes();

        // It wakes with fifty changes to build, and all of them would be its to tell.
        fleet.replicas[frozen].signal("CONT");
        let mut client = Client::to(fleet.replicas[frozen].http);
        wait_until("it has caught up", PATIENCE, || client.get("/frozen/49/").expect_of("v2"));
        wait_until("it knows that it doesn't lead", PATIENCE, || {
            match fleet.replicas[frozen].leads()? {
                true => Err("it leads".to_owned()),
                false => Ok(()),
            }
        });
        fleet.set_serving(frozen, true);
        namespace.apply(&[route(fleet, "route-0", "/frozen/0/", "v1")]);
        wait_programmed(namespace, "route-0");
        assert_eq!(status_writes() - before, 1, "that of the last change alone");
        assert_eq!(fleet.lease().expect("it exists"), (holder, transitions));
        assert!(fleet.log(frozen).contains("no longer leading"));
    });
}

#[test]
fn wrong_clocks_make_neither_two_leaders_nor_a_change_of_them() {
    if !std::path::Path::new(FAKETIME).exists() {
        assert!(gateway::own_cluster().is_none(), "the test cluster installs faketime");
        println!("not run: wrong clocks need the package faketime");
        return;
    }
    let clock = |offset| [("LD_PRELOAD", FAKETIME), ("FAKETIME", offset)];
    // None is behind the cluster's: before the test cluster was made, its certificates don't hold.
    let (far, near) = (clock("+2h"), clock("+1h"));
    processes("replicas-clock", &[&far, &[], &near], |fleet| {
        let leader = fleet.leader();
        let lease = fleet.lease().expect("it exists");
        let start = Instant::now();
        while start.elapsed() < WATCHED {
            let leading = fleet.replicas.iter().filter(|r| r.leads().expect("it answers")).count();
            assert!(leading <= 1, "{leading} lead");
            assert_eq!(fleet.lease().expect("it exists"), lease, "it changed hands");
            let_it_run(Duration::from_millis(200));
        }
        fleet.namespace.apply(&[route(fleet, "route", "/clock/", "v1")]);
        wait_programmed(fleet.namespace, "route");
        for replica in &fleet.replicas {
            assert!(Client::to(replica.http).get("/clock/").is_of("v1"), "{}", replica.name);
        }

        // Nor do they keep a lease from running out.
        fleet.replicas[leader].signal("KILL");
        fleet.remove(leader);
        let killed = Instant::now();
        wait_until("another leads", TAKEOVER, || {
            if fleet.leader() == leader { Err("none yet".to_owned()) } else { Ok(()) }
        });
        println!("with clocks an hour apart another led after {} s", killed.elapsed().as_secs());
        fleet.namespace.apply(&[route(fleet, "route", "/clock/", "v2")]);
        wait_programmed(fleet.namespace, "route");
    });
}
