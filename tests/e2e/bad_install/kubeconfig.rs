//! A cluster that can't be found, and one that can't be asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Place;
use crate::support::kubectl::run;
use crate::support::lone::{Scratch, binary};

/// What no waiting heals ends at once, in one sentence.
#[test]
fn a_kubeconfig_that_cant_be_read_ends_the_process() {
    let Some(binary) = binary() else { return };
    let scratch = Scratch::create("kubeconfig");
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let no_context = "{apiVersion: v1, kind: Config, current-context: other, clusters: [], \
        contexts: [], users: []}";
    let cases = [
        ("/nonexistent/config".to_owned(), "No such file"),
        (write("malformed", "{{{"), "line 1"),
        (write("empty", ""), "current"),
        (write("no-context", no_context), "current context: other"),
    ];
    for (path, word) in cases {
        let outcome = run(Command::new(&binary).arg("run").env("KUBECONFIG", &path), "");
        println!("{}", outcome.stderr.trim());
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        for word in [word, "KUBECONFIG=", &path] {
            assert!(outcome.stderr.contains(word), "no {word:?} in {outcome:?}");
        }
    }
}

/// What may heal is tried again, and told meanwhile.
#[test]
fn a_cluster_that_doesnt_answer_is_asked_again() {
    let Some(place) = Place::create("wrong-server") else { return };
    let config = fs::read_to_string(&place.kubeconfig).expect("it was written");
    let good: Value = serde_json::from_str(&config).expect("JSON");
    let change = |part: &str, field: &str, value: &str| {
        let mut config = good.clone();
        let inner = if part == "clusters" { "cluster" } else { "user" };
        config[part][0][inner][field] = json!(value);
        config
    };
    let other = fs::read_to_string(foreign_authority(place.scratch.path())).expect("it was made");
    let mut authority = change("clusters", "certificate-authority", "");
    let cluster = authority["clusters"][0]["cluster"].as_object_mut().expect("an object");
    cluster.remove("certificate-authority-data");
    let path = place.scratch.path().join("other.crt");
    fs::write(&path, other).expect("a file can be written");
    cluster["certificate-authority"] = json!(path.display().to_string());
    let cases = [
        (change("clusters", "server", "https://10.77.0.1:9"), "Connection refused"),
        (change("users", "token", "expired"), "doesn't accept the credentials (401)"),
        (authority, "not signed by the configured certificate authority"),
    ];
    for (config, word) in cases {
        let path = place.scratch.path().join("wrong");
        fs::write(&path, config.to_string()).expect("a file can be written");
        let mut process = place.run_with(&[("KUBECONFIG", &path.display().to_string())]);
        let told = process.wait_told(503, &["mappings: disconnected: ", word]);
        println!("{told}");
        process.wait_logged(&["WARN", "can't list; not ready before that works", word]);
        assert!(process.is_running(), "it ended");
        process.stop();
    }
}

/// The certificate of an authority that signed nothing here.
fn foreign_authority(directory: &Path) -> PathBuf {
    let certificate = directory.join("foreign.crt");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=foreign", "-keyout"])
        .arg(directory.join("foreign.key"))
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl, "").succeed();
    certificate
}
