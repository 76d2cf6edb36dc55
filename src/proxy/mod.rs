//! Bytes: listeners, connections, the way of a request to its upstream and back.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::model::service::Endpoints;
use crate::publish::Reader;
use crate::routing::RouteTable;

/// An upstream name that isn't asked of DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticName {
    /// The name, in lower case.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// What is connected to instead.
    pub address: SocketAddr,
}

/// What the proxy is told.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Worker threads.
    pub workers: usize,
    /// Address for clients' connections.
    pub listen_address: IpAddr,
    /// Port for plaintext HTTP.
    pub http_port: u16,
    /// Upstream names that aren't asked of DNS.
    pub static_names: Vec<StaticName>,
    /// Whether names of Services are answered from their endpoints.
    pub services_by_name: bool,
    /// The namespace of a bare Service name.
    pub namespace: Arc<str>,
    /// The form of the access log.
    pub access_log: AccessLogFormat,
}

/// The form of the access log (emissary: `envoy_log_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Emissary's line, beginning with `ACCESS`.
    Text,
    /// One JSON object a line, with Emissary's keys.
    Json,
    /// None.
    Off,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            listen_address: IpAddr::from([0, 0, 0, 0]),
            http_port: 8080,
            static_names: Vec::new(),
            services_by_name: false,
            namespace: "default".into(),
            access_log: AccessLogFormat::Text,
        }
    }
}

/// The running workers.
#[derive(Debug)]
pub struct Proxy {}

/// Whether the gateway is ready, for its own probes on the data ports.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

impl Proxy {
    /// Opens the ports and starts the workers.
    pub fn start(
        options: ProxyOptions,
        tables: Reader<RouteTable>,
        endpoints: Reader<Endpoints>,
        ready: Ready,
    ) -> io::Result<Self> {
        let _ = (options, tables, endpoints, ready);
        Ok(Self {})
    }

    /// Reads what is counted.
    pub fn metrics(&self) -> Metrics {
        Metrics {}
    }

    /// Ends.
    pub async fn drain(self, delay: Duration, deadline: Duration) {
        let _ = (delay, deadline);
    }
}

/// Reads what is counted.
#[derive(Debug, Clone)]
pub struct Metrics {}

impl Metrics {
    /// All of it in Prometheus' text format.
    pub fn render(&self) -> String {
        String::new()
    }
}
