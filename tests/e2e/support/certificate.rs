//! Certificates, and asking for who trusts only one of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use super::kubectl::run;
use super::lone::Scratch;

/// A certificate that has signed itself, and its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pem: String,
    key: String,
    directory: Scratch,
}

impl Certificate {
    /// For these names. `label` tells it from the others of a test.
    pub(crate) fn new(label: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let issued = generate_simple_self_signed(names).expect("signs");
        let (pem, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
        let directory = Scratch::create(&format!("certificate-{label}"));
        std::fs::write(directory.path().join("ca.crt"), &pem).expect("a file can be written");
        Self { pem, key, directory }
    }

    /// Where it stands as a file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The Secret that holds it.
    pub(crate) fn secret(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name},
            "stringData": {"tls.crt": self.pem, "tls.key": self.key},
        })
    }

    /// GET by curl, which trusts this certificate and no other. The JSON that is answered with
    /// 200, or what is wrong instead.
    pub(crate) fn get(&self, name: &str, at: SocketAddr, path: &str) -> Result<Value, String> {
        let port = at.port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "10"])
            .args(["--resolve", &format!("{name}:{port}:{}", at.ip())])
            .arg("--cacert")
            .arg(self.path())
            .arg(format!("https://{name}:{port}{path}"));
        let outcome = run(&mut curl, "");
        if outcome.ok { outcome.json() } else { Err(outcome.text()) }
    }
}
