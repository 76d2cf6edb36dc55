//! A certificate with an authority of its own, and asking for who trusts only that one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::Value;

use super::certificates::{Authority, Issued};
use super::peers::Curl;

/// A certificate of which no other's authority knows anything.
pub(crate) struct Certificate {
    issued: Issued,
    curl: Curl,
}

impl Certificate {
    /// For these names. `label` tells it from the others of a test.
    pub(crate) fn new(label: &str, names: &[&str]) -> Self {
        let authority = Authority::new(label);
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let curl = Curl::new(&format!("certificate-{label}"), &authority, nowhere);
        Self { issued: authority.issue(names), curl }
    }

    /// Where its authority stands as a file.
    pub(crate) fn path(&self) -> PathBuf {
        self.curl.authority()
    }

    /// The Secret that holds it.
    pub(crate) fn secret(&self, name: &str) -> Value {
        self.issued.secret(name)
    }

    /// GET by curl, which trusts this certificate and no other. The JSON that is answered with
    /// 200, or what is wrong instead.
    pub(crate) fn get(&self, name: &str, at: SocketAddr, path: &str) -> Result<Value, String> {
        let url = format!("https://{name}:{}{path}", at.port());
        let reply = self.curl.get_from(at.ip(), &url, &["--fail-with-body"])?;
        serde_json::from_str(&reply.body).map_err(|error| format!("{error}: {}", reply.body))
    }
}
