//! The wall clock of a gateway jumps. Pods have the node's clock, so that these are processes beside
//! them, with clients of their own.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::client::Client;
use crate::support::load::{Hold, let_it_run};
use crate::support::lone::Scratch;
use crate::support::process::{FAKETIME, Fleet};
use crate::support::{Namespace, PATIENCE, mapping_of, wait_until};

/// What the clocks of the two show beside the right time, one step after the other: ahead, behind,
/// by more than certificates are valid for, and right again.
const JUMPS: [(&str, &str); 5] =
    [("+2h", "+0"), ("-10m", "+2h"), ("+0", "-10m"), ("+20d", "+20d"), ("+0", "+0")];

pub(super) fn jumps(stage: &Stage<'_>) -> String {
    let scratch = Scratch::create("clocks");
    let files = ["a", "b"].map(|name| scratch.path().join(name));
    let set = |[a, b]: [&str; 2]| {
        for (file, offset) in files.iter().zip([a, b]) {
            // In one step: a clock that reads half of it would be wrong in another way.
            let next = file.with_extension("next");
            fs::write(&next, format!("{offset}\n")).expect("it is our directory");
            fs::rename(&next, file).expect("it is our directory");
        }
    };
    set(["+0", "+0"]);
    let paths = files.each_ref().map(|file| file.to_str().expect("a path in UTF-8"));
    let clock = paths.map(|path| {
        [
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", path),
            ("FAKETIME_NO_CACHE", "1"),
            // Only the wall clock jumps.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    });
    let namespace = Namespace::create(&format!("{}-clock", stage.namespace.name));
    let fleet = Fleet::start(&namespace, &[&clock[0], &clock[1]]);
    namespace.apply(&[route(&fleet, "v1")]);
    wait_for(&fleet, "v1");
    let clients: Vec<Hold> = fleet.replicas.iter().map(|one| hold(one.http)).collect();
    let lease = fleet.lease().expect("it exists");
    for (turn, (a, b)) in JUMPS.into_iter().enumerate() {
        set([a, b]);
        let_it_run(Duration::from_secs(stage.length.pick(1, 40)));
        let version = if turn % 2 == 0 { "v2" } else { "v1" };
        namespace.apply(&[route(&fleet, version)]);
        wait_for(&fleet, version);
        namespace.wait_ready("mapping/route");
        assert_eq!(fleet.lease().expect("it exists"), lease, "it changed hands");
    }
    let mut requests = 0;
    for client in clients {
        requests += client.stop_lossless("wall clock jumps").requests;
    }
    let jumps = JUMPS.len();
    format!("{jumps} jumps of two processes' clocks, which lost none of {requests} requests")
}

fn route(fleet: &Fleet<'_>, version: &str) -> Value {
    let service = format!("echo-{version}.backends");
    let spec = json!({
        "hostname": "*", "prefix": "/clock/", "service": service,
        "resolver": "endpoint", "ambassador_id": [fleet.ambassador_id],
    });
    mapping_of("route", &spec)
}

fn wait_for(fleet: &Fleet<'_>, version: &str) {
    for replica in &fleet.replicas {
        let mut client = Client::to(replica.http);
        wait_until(&format!("{} serves {version}", replica.name), PATIENCE, || {
            client.try_get("/clock/")?.expect_of(version)
        });
    }
}

fn hold(address: SocketAddr) -> Hold {
    let name = format!("clock of {}", address.port());
    Hold::with(&name, &format!("http://{address}/clock/"), &["-connections", "2", "-rate", "40"])
}
