//! A disk that is full: /dev/full takes what is written to it as one would.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Gateway, ask, free_port, nuncio, wait_for};

fn full() -> Option<Stdio> {
    OpenOptions::new().write(true).open("/dev/full").ok().map(Stdio::from)
}

fn serve(directory: &Path) -> Command {
    let mapping = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: a}\n\
        spec: {hostname: '*', prefix: /a/, service: 'http://127.0.0.1:1'}\n";
    fs::write(directory.join("a.yaml"), mapping).unwrap();
    nuncio(&["serve", "."], directory)
}

/// Nothing listens at the upstream, so that the answer is the gateway's.
fn assert_serves(gateway: &Gateway) {
    wait_for("readiness", || gateway.ready().starts_with("HTTP/1.1 200"));
    for _ in 0..50 {
        let answer = ask(gateway.http, "GET", "/a/", "").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}

#[test]
fn logs_that_cant_be_written_cost_lines_and_no_request() {
    let (Some(out), Some(errors)) = (full(), full()) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let gateway = Gateway::start_with(serve(temporary.path()), out, errors);
    assert_serves(&gateway);
    wait_for("lost lines are counted", || {
        let metrics = ask(gateway.admin, "GET", "/metrics", "").unwrap_or_default();
        let lost = metrics.lines().find(|line| line.starts_with("nuncio_access_log_dropped_total"));
        lost.is_some_and(|line| !line.ends_with(" 0"))
    });
    gateway.terminate();
    assert_eq!(gateway.exit_code(), Some(0), "no panic on the way");
}

#[test]
fn a_full_disk_is_told_once() {
    let Some(out) = full() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let errors = Stdio::from(log.reopen().unwrap());
    let gateway = Gateway::start_with(serve(temporary.path()), out, errors);
    assert_serves(&gateway);
    gateway.terminate();
    assert_eq!(gateway.exit_code(), Some(0));
    let text = fs::read_to_string(log.path()).unwrap();
    assert_eq!(text.matches("No space left on device").count(), 1, "{text}");
    assert!(text.contains("the access log can't be written"), "{text}");
}

/// What is wrong is told even if nobody can read it: by the exit code.
#[test]
fn an_error_that_cant_be_told_is_still_an_error() {
    let (Some(out), Some(errors)) = (full(), full()) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let port = free_port().port().to_string();
    let status = nuncio(&["run", "--admin-port", &port], temporary.path())
        .env("KUBECONFIG", "/nonexistent")
        .stdout(out)
        .stderr(errors)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
