//! What goes wrong around the gateway, and what it does itself, costs no request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::backends::{app_service, echo_deployment};
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::kubectl;
use crate::support::load::{Hold, let_it_run};
use crate::support::{Namespace, PATIENCE, mapping, mapping_of, scenario, wait_until};

/// How long the API server stays away.
const OUTAGE: Duration = Duration::from_secs(5);

/// How many routes a new pod must know when it says that it is ready.
const ROUTES: usize = 200;

#[test]
fn a_pod_of_the_upstream_ends() {
    scenario("upstream-pod", |namespace| {
        let service = format!("echo.{}", namespace.name);
        let spec = json!({
            "hostname": "*", "prefix": "/upstream-pod/", "service": service, "resolver": "endpoint",
        });
        namespace.apply(&[echo_deployment(3, &[]), app_service("echo"), mapping_of("pods", &spec)]);
        namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]);
        namespace.wait_ready("mapping/pods");
        let before = echo_pods(namespace);
        let mut client = Client::new();
        for pod in &before {
            wait_for_pod(&mut client, pod);
        }

        let load = Hold::busy("/upstream-pod/");
        namespace.kubectl(&["delete", "pod", &before[0]]); // returns when it is gone
        namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]);
        let after = echo_pods(namespace);
        let new = after.iter().find(|pod| !before.contains(pod)).expect("a replacement");
        wait_for_pod(&mut client, new);
        let tally = load.stop_lossless("a pod of the upstream deleted");
        assert!(tally.pods.contains_key(&before[0]), "it had no requests: {:?}", tally.pods);
        assert!(tally.pods.len() >= 3, "not balanced: {:?}", tally.pods);
    });
}

#[test]
fn the_api_server_is_away_for_a_while() {
    if gateway::own_cluster().is_none() {
        println!("not run: the API server of a foreign cluster is not stopped");
        return;
    }
    scenario("api-server", |namespace| {
        let prefix = "/api-server/";
        namespace.apply(&[mapping("before", prefix, "echo-v1.backends")]);
        namespace.wait_ready("mapping/before");

        let load = Hold::busy(prefix);
        gateway::cluster("stop", "apiserver");
        let_it_run(OUTAGE);
        gateway::cluster("start", "apiserver"); // returns when it says that it is ready
        let ready = jiff::Timestamp::now();
        namespace.apply(&[mapping("after", "/api-server/after/", "echo-v2.backends")]);
        let start = Instant::now();
        let mut client = Client::new();
        wait_until("a change after it is served", PATIENCE, || {
            client.get("/api-server/after/").expect_of("v2")
        });
        println!("a change after the API server was back took {} ms", start.elapsed().as_millis());
        load.stop_lossless("API server killed and restarted");
        namespace.wait_ready("mapping/after");
        gateway::excuse_refusals_before(ready);
    });
}

#[test]
fn a_new_pod_is_ready_only_when_it_serves_everything() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster can't be reached by their addresses");
        return;
    }
    scenario("own-pod", |namespace| {
        let name = |index: usize| format!("route-{index}");
        let prefix = |index: usize| format!("/own-pod/{index}/");
        let route = |index| mapping(&name(index), &prefix(index), "echo-v1.backends");
        namespace.apply(&(0..ROUTES).map(route).collect::<Vec<_>>());
        namespace.kubectl(&["wait", "--for=condition=Ready", "mapping", "--all", "--timeout=60s"]);

        let pod = gateway::replace_pod();
        let mut client = Client::to(pod.http);
        for index in 0..ROUTES {
            let answer = client.get(&prefix(index));
            assert!(answer.is_of("v1"), "ready, but {}: {}", prefix(index), answer.shown());
        }
        println!("ready {} ms after its first answer", pod.start_to_ready.as_millis());
        gateway::wait_for_rollout();
    });
}

#[test]
fn a_rolling_restart() {
    if !gateway::is_behind_service() {
        println!("not run: a port-forward ends with its pod");
        return;
    }
    scenario("restart", |namespace| {
        namespace.apply(&[mapping("route", "/restart/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/route");
        gateway::assert_no_refusals();
        let load = Hold::busy("/restart/");
        kubectl(&["-n", gateway::NAMESPACE, "rollout", "restart", "deployment/nuncio"]).succeed();
        gateway::wait_for_rollout();
        load.stop_lossless("rolling restart of the gateway");
    });
}

#[test]
fn a_route_changes_its_backend() {
    scenario("flip", |namespace| {
        let route = |version| mapping("route", "/flip/", &format!("echo-{version}.backends"));
        namespace.apply(&[route("v1")]);
        namespace.wait_ready("mapping/route");
        let load = Hold::busy("/flip/");
        let mut client = Client::new();
        for version in ["v2", "v1"].into_iter().cycle().take(20) {
            namespace.apply(&[route(version)]);
            wait_until("the change is served", PATIENCE, || {
                client.get("/flip/").expect_of(version)
            });
        }
        let tally = load.stop_lossless("20 changes of a route's backend");
        assert!(tally.pods.len() >= 2, "only one backend was asked: {:?}", tally.pods);
    });
}

fn pod_name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().expect("pods have names").to_owned()
}

fn echo_pods(namespace: &Namespace) -> Vec<String> {
    let list = namespace.get("pods").expect("pods");
    let pods = list["items"].as_array().expect("a list").iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).map(pod_name).collect()
}

fn wait_for_pod(client: &mut Client, pod: &str) {
    wait_until(&format!("requests reach {pod}"), PATIENCE, || {
        let answer = client.get("/upstream-pod/");
        if answer.pod().as_deref() == Some(pod) { Ok(()) } else { Err(answer.shown()) }
    });
}
