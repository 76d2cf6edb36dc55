//! A real HAProxy in front, which tells by the PROXY protocol who the client is.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Bench;
use crate::support::{PATIENCE, wait_until};

/// Who the client is: any address of the loopback network can be one.
const CLIENT: &str = "127.0.0.77";

pub(super) fn haproxy(bench: &Bench<'_>) {
    bench.serve("proxied.example", json!({"requestPolicy": {"insecure": {"action": "Route"}}}));
    let _haproxy = Haproxy::start(bench);
    for (way, port, scheme, arguments) in [
        ("v1", 22001, "http", "--http1.1"),
        ("v1", 22001, "http", "--http2-prior-knowledge"),
        ("v2", 22002, "http", "--http1.1"),
        ("v1 with TLS", 22003, "https", "--http2"),
        ("v2 with TLS", 22004, "https", "--http2"),
        ("v2 with TLS", 22004, "https", "--http1.1"),
    ] {
        let curl = bench.curl.to(&format!("haproxy-{port}"), Ipv4Addr::LOCALHOST.into());
        let url = format!("{scheme}://proxied.example:{port}/");
        let reply = curl.get(&url, &["--interface", CLIENT, arguments]);
        let reply = reply.unwrap_or_else(|e| panic!("{way} {arguments}: {e}"));
        assert_eq!(reply.status, 200, "{way} {arguments}: {reply:?}");
        let client = reply.echoed("X-Forwarded-For");
        assert_eq!(client.as_deref(), Some(CLIENT), "{way} {arguments}: {reply:?}");
        assert_eq!(reply.echoed("X-Forwarded-Proto").as_deref(), Some(scheme), "{way}: {reply:?}");
    }
    // Who says nothing of the sort gets nothing.
    for (scheme, port) in [("http", 8081), ("https", 8444)] {
        let url = format!("{scheme}://proxied.example:{port}/");
        let refused = bench.curl.get(&url, &[]).expect_err("it doesn't say who it is");
        println!("{url} without the PROXY protocol: {}", refused.trim());
        assert!(!refused.contains("timed out"), "it is closed at once: {refused}");
    }
    // And where it isn't spoken, nobody may say so.
    let curl = bench.curl.get("http://proxied.example/", &["--haproxy-protocol"]);
    let status = curl.map(|reply| reply.status);
    assert!(!matches!(status, Ok(200)), "{status:?}");
}

/// A running HAProxy, until it is dropped.
struct Haproxy(Child);

impl Haproxy {
    fn start(bench: &Bench<'_>) -> Self {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tls/haproxy.cfg");
        let child = Command::new("haproxy")
            .args(["-db", "-f", config])
            .env("GATEWAY", bench.gateway.address().to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("haproxy: {e}; it is a package of Debian"));
        let mut haproxy = Self(child);
        let ports = [22001, 22002, 22003, 22004];
        for port in ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            wait_until("HAProxy listens", PATIENCE, || {
                if let Ok(Some(status)) = haproxy.0.try_wait() {
                    return Err(format!("it has ended: {status}"));
                }
                TcpStream::connect(port).map(drop).map_err(|e| e.to_string())
            });
        }
        haproxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
