//! What the gateway says of itself.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, read_to_end};

/// The admin port of a gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin(pub(crate) SocketAddr);

impl Admin {
    /// What it answers; empty where it doesn't.
    async fn get(self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.0).await else { return String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        // Who can't be asked answers nothing.
        let _ = stream.write_all(request.as_bytes()).await;
        read_to_end(&mut stream).await
    }

    /// The sum of a metric over its labels. None without an answer.
    pub(crate) async fn metric(self, name: &str) -> Option<u64> {
        let text = self.get("/metrics").await;
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(' ') || rest.starts_with('{');
            is_it.then(|| rest.rsplit(' ').next()?.parse::<u64>().ok()).flatten()
        };
        text.lines().filter_map(of).reduce(|sum, one| sum + one)
    }

    /// Waits until it is ready.
    pub(crate) async fn wait_ready(self) {
        let is_ready =
            async || self.get("/ambassador/v0/check_ready").await.starts_with("HTTP/1.1 200");
        self.wait("ready", is_ready).await;
    }

    /// Waits until nothing is shed.
    pub(crate) async fn wait_calm(self) {
        self.wait("calm", async || self.metric("nuncio_overload_level").await == Some(0)).await;
    }

    /// Waits until the connections and requests of a flood have gone.
    pub(crate) async fn wait_forgotten(self) {
        let is_forgotten = async || {
            self.metric("envoy_http_downstream_cx_active").await.is_some_and(|left| left <= 1)
                && self.metric("envoy_http_downstream_rq_active").await == Some(0)
        };
        self.wait("the flood is forgotten", is_forgotten).await;
    }

    async fn wait(self, what: &str, holds: impl AsyncFn() -> bool) {
        let wait = async {
            while !holds().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("{what}: not in time: {}", self.get("/ambassador/v0/diag/?json=true").await);
        }
    }
}
