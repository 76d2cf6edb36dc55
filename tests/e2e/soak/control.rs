//! What is behind the gateway fails: the API server, its store, the way there.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::Stage;
use crate::support::gateway;
use crate::support::kubectl::run;
use crate::support::load::let_it_run;
use crate::support::writer::{Step, Verb};
use crate::support::{PATIENCE, wait_until};

/// Changes that wait for the API server.
const WAITING: usize = 20;
/// Pods' connections to the API server, as its side sees them.
const WATCHES: [&str; 7] =
    ["-K", "state", "established", "src", "10.77.0.1:6443", "dst", "10.244.0.0/16"];

/// Nobody can ask or tell anything, and some try all the time.
pub(super) fn api_server(stage: &Stage<'_>) -> String {
    let away = Duration::from_secs(stage.length.pick(20, 300));
    gateway::cluster("stop", "apiserver");
    let back = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            for index in 0..WAITING {
                insist(stage, Verb::Create, index, "v1");
            }
        });
        let_it_run(away);
        gateway::cluster("start", "apiserver"); // returns when it says that it is ready
        gateway::excuse_refusals_before(jiff::Timestamp::now());
        let back = Instant::now();
        waiting.join().expect("they are made in the end");
        back
    });
    let (mut client, limit) = (stage.client(), 2 * PATIENCE);
    for index in 0..WAITING {
        wait_until("a change that had waited is served", limit, || {
            stage.ask(&mut client, &format!("/waiting/{index}/")).expect_of("v1")
        });
    }
    let served = back.elapsed().as_millis();
    for index in 0..WAITING {
        insist(stage, Verb::Delete, index, "v1");
    }
    // Who wasn't asked sees it too, and it is told.
    stage.assert_follows("v2");
    stage.assert_follows("v1");
    format!(
        "{} s; {WAITING} changes that waited were served {served} ms after it was back",
        away.as_secs()
    )
}

/// The API server stays, but has nothing to answer from for a while.
pub(super) fn etcd(stage: &Stage<'_>) -> String {
    let away = Duration::from_secs(stage.length.pick(4, 60));
    gateway::cluster("stop", "etcd");
    let_it_run(away);
    gateway::cluster("start", "etcd");
    let start = Instant::now();
    insist(stage, Verb::Create, 0, "v2");
    let mut client = stage.client();
    wait_until("a change after it is served", 2 * PATIENCE, || {
        stage.ask(&mut client, "/waiting/0/").expect_of("v2")
    });
    let served = start.elapsed().as_millis();
    insist(stage, Verb::Delete, 0, "v2");
    stage.assert_follows("v2");
    stage.assert_follows("v1");
    format!("{} s; a change was served {served} ms after it was back", away.as_secs())
}

/// The connections break, one time after the other, and each time something changes.
pub(super) fn watches(stage: &Stage<'_>) -> String {
    let rounds = stage.length.pick(3, 30);
    let (mut cut, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let version = if round % 2 == 0 { "v2" } else { "v1" };
        let gone = run(Command::new("ss").args(WATCHES), "").succeed();
        let gone = gone.lines().skip(1).count();
        assert!(gone > 0, "no connection was there to be cut");
        cut += gone;
        let start = Instant::now();
        stage.change(stage.to("changed", version));
        stage.wait_for(version);
        slowest = slowest.max(start.elapsed());
    }
    stage.assert_follows("v1");
    let slowest = slowest.as_millis();
    format!("{cut} connections in {rounds} times; a change meanwhile took at most {slowest} ms")
}

/// As a pipeline does that tries again until it is told that it has been done.
fn insist(stage: &Stage<'_>, verb: Verb, index: usize, version: &str) {
    let (name, prefix) = (format!("waiting-{index}"), format!("/waiting/{index}/"));
    let object = stage.route(&name, &prefix, version, &json!({}));
    let step = Step { verb, object };
    wait_until("it is done", 20 * PATIENCE, || {
        match stage.runtime.block_on(stage.writer.make(&step)) {
            // What was done before its answer was lost: it is there already, or gone.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            outcome => outcome.map_err(|error| error.to_string()),
        }
    });
}
