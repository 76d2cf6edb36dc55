//! `kubectl wait --for=condition=Ready` is a barrier: the very next request follows the change.

use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::status::is_ready;
use crate::support::{Namespace, PATIENCE, mapping, scenario};

/// Half of them new routes, half of them routes that change their backend.
const CHANGES: usize = 50;

/// As many connections as reach each of the gateway's workers, by all odds.
const CONNECTIONS: usize = 8;

#[test]
fn a_request_after_ready_follows_the_change() {
    scenario("barrier", |namespace| {
        let mut kept: Vec<Client> = (0..CONNECTIONS).map(|_| Client::new()).collect();
        let mut wrong = Vec::new();
        let mut waited = Duration::ZERO;
        for change in 0..CHANGES {
            let name = format!("route-{}", change / 2);
            let prefix = format!("/barrier/{}/", change / 2);
            let version = if change % 2 == 0 { "v1" } else { "v2" };
            let service = format!("echo-{version}.backends");
            namespace.apply(&[mapping(&name, &prefix, &service)]);
            let start = Instant::now();
            wait_for_this_generation(namespace, &name);
            waited += start.elapsed();
            let fresh = (0..2).map(|_| Client::new().get(&prefix)).collect::<Vec<_>>();
            let answers = kept.iter_mut().map(|client| client.get(&prefix)).chain(fresh);
            wrong.extend(answers.filter(|answer| !answer.is_of(version)).map(|a| a.shown()));
        }
        println!(
            "{CHANGES} changes, kubectl waited {} ms on average",
            ms(waited) / CHANGES as u128
        );
        assert!(wrong.is_empty(), "{} wrong answers: {wrong:#?}", wrong.len());
    });
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// What a pipeline does after `kubectl apply`. The condition alone would be the one of the
/// generation before, so that one is asked for too.
fn wait_for_this_generation(namespace: &Namespace, name: &str) {
    let what = format!("mapping/{name}");
    let generation = namespace.kubectl(&["get", &what, "-o", "jsonpath={.metadata.generation}"]);
    let observed = "{.status.conditions[?(@.type==\"Ready\")].observedGeneration}";
    let condition = format!("--for=jsonpath={observed}={generation}");
    let limit = format!("--timeout={}s", PATIENCE.as_secs());
    // kubectl gives up on a path that isn't there yet: it wants the condition to exist first.
    namespace.wait_ready(&what);
    namespace.kubectl(&["wait", &condition, &what, &limit]);
    let object = namespace.get(&what).expect("it exists");
    assert!(is_ready(&object), "{}", object["status"]);
}
