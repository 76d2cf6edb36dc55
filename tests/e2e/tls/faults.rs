//! Secrets that are wrong, each in another way: told at the Host, and nobody else's trouble.

use serde_json::{Value, json};

use super::Bench;
use crate::support::PATIENCE;
use crate::support::certificates::secret_of;
use crate::support::load::Hold;
use crate::support::peers::handshake;
use crate::support::wait_until;

/// A Secret, and what its Host is told.
struct Fault {
    name: &'static str,
    /// `None`: there is none.
    secret: Option<Value>,
    reason: &'static str,
    words: &'static str,
}

pub(super) fn wrong_secrets(bench: &Bench<'_>) {
    bench.serve("neighbour.example", json!({}));
    let url = format!("https://{}/", bench.at(443));
    let arguments = ["-host", "neighbour.example", "-connections", "2", "-rate", "40", "-each"];
    let neighbour = Hold::with("a neighbour of wrong Secrets", &url, &arguments);
    let faults = faults(bench);
    for Fault { name, secret, .. } in &faults {
        let host = bench.host(&format!("{name}.example"), json!({"tlsSecret": {"name": name}}));
        bench.apply(&secret.iter().cloned().chain([host]).collect::<Vec<_>>());
    }
    for Fault { name, reason, words, .. } in &faults {
        let message = bench.namespace.told(&format!("host/{name}"), "Ready", ("False", reason));
        println!("{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
        let hostname = format!("{name}.example");
        let shown = handshake(bench.at(443), Some(&hostname), &[]);
        // One that has expired is shown, so that people see what is wrong.
        assert_eq!(shown.certificate().is_some(), *name == "expired", "{name}: {shown:?}");
        let status = bench.curl.get(&format!("http://{hostname}/"), &[]).map(|reply| reply.status);
        assert_eq!(status, Ok(if *name == "expired" { 301 } else { 404 }), "{name}");
    }
    let expired = bench.curl.get("https://expired.example/", &[]);
    assert!(expired.is_err_and(|error| error.contains("expired")), "curl looks at it");
    repair(bench, &faults);
    neighbour.stop_lossless("wrong Secrets and their repair");
}

/// Nothing but the Secret is changed.
fn repair(bench: &Bench<'_>, faults: &[Fault]) {
    for Fault { name, .. } in faults {
        let hostname = format!("{name}.example");
        let issued = bench.authority.issue(&[&hostname]);
        bench.apply(&[issued.secret(name)]);
        bench.namespace.wait_ready(&format!("host/{name}"));
        for (pod, address) in bench.gateway.pods(8443) {
            wait_until(&format!("{pod} shows {name}'s certificate"), PATIENCE, || {
                handshake(address, Some(&hostname), &[]).shows(&issued)
            });
        }
    }
}

fn faults(bench: &Bench<'_>) -> [Fault; 4] {
    let issued = |name: &str| bench.authority.issue(&[&format!("{name}.example")]);
    let (mismatched, other) = (issued("mismatched"), issued("mismatched"));
    [
        Fault { name: "missing", secret: None, reason: "SecretNotFound", words: "there is no" },
        Fault {
            name: "expired",
            secret: Some(bench.authority.issue_expired(&["expired.example"]).secret("expired")),
            reason: "CertificateExpired",
            words: "valid until 2021-01-01",
        },
        Fault {
            name: "mismatched",
            secret: Some(secret_of("mismatched", &mismatched.certificate, &other.key)),
            reason: "SecretInvalid",
            words: "doesn't belong to the certificate",
        },
        Fault {
            name: "malformed",
            secret: Some(secret_of("malformed", "nonsense", &other.key)),
            reason: "SecretInvalid",
            words: "is not PEM",
        },
    ]
}
