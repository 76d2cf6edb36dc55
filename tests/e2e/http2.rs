//! h2spec, which checks a server against RFC 9113 and RFC 7541, asks the gateway in its pod.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::kubectl::run;
use crate::support::{gateway, mapping, scenario};

/// What it finds, and why: see tests/interop/known.toml.
const KNOWN: [&str; 1] = ["2: Sends invalid connection preface"];

#[test]
fn the_gateway_conforms() {
    let Some(programs) = std::env::var_os("NUNCIO_E2E_INTEROP").map(PathBuf::from) else {
        println!("not run: h2spec is compiled for the test cluster only");
        return;
    };
    scenario("http2", |namespace| {
        namespace.apply(&[mapping("h2spec", "/h2spec/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/h2spec");
        let at = gateway::address();
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        let mut command = Command::new(programs.join("h2spec"));
        command.args(["-h", &ip, "-p", &port, "-P", "/h2spec/", "-S", "-o", "10"]);
        let said = run(&mut command, "").text();
        let summary = said.lines().find(|line| line.contains(" tests, "));
        println!("\n| h2spec | h2c | {} |", summary.unwrap_or("no summary"));
        let failed: BTreeSet<&str> =
            said.lines().filter_map(|line| line.trim().strip_prefix("× ")).collect();
        assert_eq!(failed, BTreeSet::from(KNOWN), "{said}");
        let counted = format!(" {} passed, 0 skipped, {} failed", 146 - KNOWN.len(), KNOWN.len());
        assert!(summary.is_some_and(|summary| summary.contains(&counted)), "{said}");
    });
}
