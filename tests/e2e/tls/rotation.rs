//! A certificate that is replaced again and again, while clients of every sort go on.

use std::time::Instant;

use serde_json::json;

use super::Bench;
use crate::support::certificates::Issued;
use crate::support::kubectl::with_input;
use crate::support::load::Hold;
use crate::support::peers::handshake;
use crate::support::{PATIENCE, wait_until};

const NAME: &str = "rotated.example";
/// How often it is replaced.
const TIMES: usize = 32;
/// After so many replacements every replica is asked what it shows.
const LOOK: usize = 8;

pub(super) fn under_load(bench: &Bench<'_>) {
    bench.serve(NAME, json!({}));
    let url = format!("https://{}/", bench.at(443));
    let load = |name: &str, arguments: &[&str]| {
        let all = [&["-host", NAME, "-connections", "2"][..], arguments].concat();
        Hold::with(name, &url, &all)
    };
    let kept = load("kept connections", &["-rate", "100"]);
    let each = load("new connections", &["-rate", "50", "-each"]);
    let h2 = load("HTTP/2", &["-rate", "100", "-protocol", "h2", "-streams", "4"]);
    let start = Instant::now();
    for turn in 1..=TIMES {
        let issued = bench.authority.issue(&[NAME]);
        replace(bench, &issued, turn);
        if turn.is_multiple_of(LOOK) {
            see(bench, &issued);
        }
    }
    println!("{TIMES} certificates in {:.1} s", start.elapsed().as_secs_f64());
    let during = "a certificate replaced again and again";
    let tallies = [kept, each, h2].map(|load| load.stop_lossless(during));
    let [kept, each, h2] = tallies;
    // What is kept is not ended by a new certificate, and each of the others was a handshake.
    assert_eq!((kept.connections, h2.connections), (2, 2), "{kept:?} {h2:?}");
    assert_eq!(each.connections, each.requests, "{each:?}");
}

/// Every fourth time as `kubectl replace --force` does it: the Secret is away for a moment.
fn replace(bench: &Bench<'_>, issued: &Issued, turn: usize) {
    let secret = issued.secret("rotated");
    if turn.is_multiple_of(4) {
        let force = ["--namespace", &bench.namespace.name, "replace", "--force", "-f", "-"];
        with_input(&force, &secret.to_string()).succeed();
    } else {
        bench.apply(&[secret]);
    }
}

/// Every replica shows it before long.
fn see(bench: &Bench<'_>, issued: &Issued) {
    let pods = bench.gateway.pods(8443);
    assert_eq!(pods.len(), 2, "two replicas");
    let start = Instant::now();
    for (pod, address) in pods {
        wait_until(&format!("{pod} shows the new certificate"), PATIENCE, || {
            handshake(address, Some(NAME), &[]).shows(issued)
        });
    }
    println!("both replicas show it after {} ms", start.elapsed().as_millis());
}
