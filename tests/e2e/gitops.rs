//! What the libraries of Flux and Argo CD make of the gateway's objects: the Go tests of gitops/,
//! one by one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway;

/// Where `gitops/build` has put its work, if that was possible.
pub(crate) fn tools() -> Option<PathBuf> {
    std::env::var_os("NUNCIO_E2E_GITOPS").map(PathBuf::from)
}

#[test]
fn kstatus_reads_every_state() {
    go_test("TestKstatus");
}

#[test]
fn kstatus_waits_until_a_gateway_has_looked() {
    go_test("TestKstatusBeforeTheGatewayHasLooked");
}

#[test]
fn argo_cd_shows_health() {
    go_test("TestArgoHealth");
    go_test("TestArgoHealthOfOtherShapes");
}

#[test]
fn argo_cd_syncs_once_and_is_in_sync() {
    go_test("TestArgoSync");
}

fn go_test(name: &str) {
    let Some(tools) = tools() else {
        println!("not run: {name} needs Go, to be compiled");
        return;
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/gitops");
    let output = Command::new(tools.join("gitops.test"))
        .args(["-test.v", "-test.run", &format!("^{name}$")])
        .current_dir(directory)
        .output()
        .unwrap_or_else(|e| panic!("gitops.test: {e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed");
    assert!(said.contains(&format!("--- PASS: {name} ")), "{name} is not there");
    gateway::assert_no_refusals();
}
