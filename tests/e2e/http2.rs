//! h2spec, which checks a server against RFC 9113 and RFC 7541, asks the gateway in its pod.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
        let mut report = ask(&programs);
        if report.failed.len() > KNOWN.len() {
            // h2spec takes an answer that overtakes its second frame for a failure, which happens
            // when the machine is busy. What is wrong is wrong again.
            println!("asked again: {}", report.failures);
            let again = ask(&programs);
            report.failed.retain(|case| again.failed.contains(case));
        }
        assert_eq!(report.failed, KNOWN.map(String::from).into(), "{}", report.failures);
    });
}

/// What h2spec has found.
struct Report {
    failed: BTreeSet<String>,
    /// Its own words on them.
    failures: String,
}

fn ask(programs: &Path) -> Report {
    let at = gateway::address();
    let (ip, port) = (at.ip().to_string(), at.port().to_string());
    let mut command = Command::new(programs.join("h2spec"));
    command.args(["-h", &ip, "-p", &port, "-P", "/h2spec/", "-S", "-o", "10"]);
    let said = run(&mut command, "").text();
    let summary = said.lines().find(|line| line.contains(" tests, "));
    println!("\n| h2spec | h2c | {} |", summary.unwrap_or("no summary"));
    let failed: BTreeSet<String> =
        said.lines().filter_map(|line| line.trim().strip_prefix("× ")).map(String::from).collect();
    // No case was left out, and none has escaped this reading.
    let counted = format!("146 tests, {} passed, 0 skipped, ", 146 - failed.len());
    assert!(summary.is_some_and(|summary| summary.starts_with(&counted)), "{said}");
    let failures = said.split_once("Failures:").map_or(&*said, |(_, failures)| failures);
    Report { failed, failures: failures.to_owned() }
}
