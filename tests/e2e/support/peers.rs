//! Clients that others have written: openssl and curl.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::certificates::{Authority, Issued};
use super::kubectl::{Outcome, run};
use super::lone::Scratch;

/// The most seconds that one request may take.
const LIMIT: &str = "10";

/// What `openssl s_client` tells of a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    text: String,
}

/// `openssl s_client` to this address, asking for this name or for none.
pub(crate) fn handshake(to: SocketAddr, name: Option<&str>, arguments: &[&str]) -> Handshake {
    let mut command = Command::new("timeout");
    command.args([LIMIT, "openssl", "s_client", "-connect", &to.to_string(), "-prexit"]);
    match name {
        Some(name) => command.args(["-servername", name, "-verify_hostname", name]),
        None => command.arg("-noservername"),
    };
    // It has nothing to send, and ends at the end of its input.
    Handshake { text: run(command.args(arguments), "").text() }
}

impl Handshake {
    /// The server's certificate in PEM, where it showed one.
    pub(crate) fn certificate(&self) -> Option<&str> {
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        let from = self.text.find(begin)?;
        let to = from + self.text[from..].find(end)? + end.len();
        Some(&self.text[from..to])
    }

    /// Whether the server showed this one.
    pub(crate) fn shows(&self, issued: &Issued) -> Result<(), String> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        match self.certificate() {
            Some(shown) if lines(shown) == lines(issued.certificate.trim()) => Ok(()),
            Some(_) => Err(format!("another certificate: {}", self.said("subject=").join(" "))),
            None => Err(self.text.clone()),
        }
    }

    /// Whether openssl found the chain and the name good.
    pub(crate) fn is_verified(&self) -> bool {
        self.text.contains("Verify return code: 0 (ok)")
    }

    /// The version that was agreed on, such as `TLSv1.3`; `None` where there was no handshake.
    pub(crate) fn version(&self) -> Option<&str> {
        let line = self.said("New, ").into_iter().next()?;
        line.split(", ").nth(1).filter(|version| version.starts_with("TLS"))
    }

    /// Whether a session of before went on.
    pub(crate) fn is_resumed(&self) -> bool {
        !self.said("Reused, ").is_empty()
    }

    /// The protocol that was agreed on.
    pub(crate) fn alpn(&self) -> Option<&str> {
        self.said("ALPN protocol: ").first()?.strip_prefix("ALPN protocol: ")
    }

    /// The alert with which the server refused, and the like.
    pub(crate) fn error(&self) -> String {
        self.text.lines().filter(|line| line.contains(":error:")).collect::<Vec<_>>().join("\n")
    }

    fn said(&self, beginning: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with(beginning)).collect()
    }
}

/// curl, that trusts one authority and finds every name at one address.
#[derive(Debug)]
pub(crate) struct Curl {
    scratch: Scratch,
    address: IpAddr,
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `1.1`, `2`.
    pub(crate) version: String,
    headers: String,
    pub(crate) body: String,
}

impl Curl {
    pub(crate) fn new(name: &str, authority: &Authority, address: IpAddr) -> Self {
        let scratch = Scratch::create(name);
        fs::write(scratch.path().join("authority"), authority.pem()).expect("it is our directory");
        Self { scratch, address }
    }

    /// The same, to another address.
    pub(crate) fn to(&self, name: &str, address: IpAddr) -> Self {
        let scratch = Scratch::create(name);
        let authority = scratch.path().join("authority");
        fs::copy(self.authority(), authority).expect("both are our directories");
        Self { scratch, address }
    }

    /// A file with the authority, for openssl.
    pub(crate) fn authority(&self) -> PathBuf {
        self.scratch.path().join("authority")
    }

    /// A GET, or what curl says instead.
    pub(crate) fn get(&self, url: &str, arguments: &[&str]) -> Result<Reply, String> {
        self.get_from(self.address, url, arguments)
    }

    /// The same from another address.
    pub(crate) fn get_from(
        &self,
        address: IpAddr,
        url: &str,
        arguments: &[&str],
    ) -> Result<Reply, String> {
        let mut command = Command::new("curl");
        let connect = format!("::{address}:");
        command.args(["-sS", "-m", LIMIT, "--connect-to", &connect, "-D", "/dev/stderr"]);
        command.arg("--cacert").arg(self.authority());
        command.args(["-w", "\n%{http_code} %{http_version}"]).args(arguments).arg(url);
        let outcome = run(&mut command, "");
        if outcome.ok { Ok(Reply::read(&outcome)) } else { Err(outcome.text()) }
    }

    /// The same with a client's certificate.
    pub(crate) fn get_as(
        &self,
        client: &Issued,
        url: &str,
        arguments: &[&str],
    ) -> Result<Reply, String> {
        let [certificate, key] = self.files(client);
        self.get(url, &[&["--cert", &certificate, "--key", &key], arguments].concat())
    }

    /// A client's certificate and its key as files, until the next one is asked for.
    pub(crate) fn files(&self, client: &Issued) -> [String; 2] {
        [("certificate", &client.certificate), ("key", &client.key)].map(|(name, pem)| {
            let path = self.scratch.path().join(name);
            fs::write(&path, pem).expect("it is our directory");
            path.display().to_string()
        })
    }
}

impl Reply {
    fn read(outcome: &Outcome) -> Self {
        let (body, last) = outcome.stdout.rsplit_once('\n').expect("curl was told to write it");
        let (status, version) = last.split_once(' ').expect("curl was told to write both");
        Self {
            status: status.parse().expect("a number"),
            version: version.to_owned(),
            headers: outcome.stderr.clone(),
            body: body.to_owned(),
        }
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.headers.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    /// What an echo backend tells of the request.
    pub(crate) fn echo(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header of the request as an echo backend got it, in Go's spelling.
    pub(crate) fn echoed(&self, name: &str) -> Option<String> {
        Some(self.echo()["headers"][name][0].as_str()?.to_owned())
    }
}
