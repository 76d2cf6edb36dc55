//! What the proxy is started with; every default with its reason.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::overload::Overload;

/// hyper's own.
const BUFFER: usize = 400 * 1024;

/// Asked by the readiness probe that the data port answers (`/ambassador/v0/check_ready`).
pub type ReadyCheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// What the proxy is started with.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Worker threads, each with its own accept queue and upstream connections. At least 1.
    pub workers: usize,
    /// The address of listeners that name none.
    pub listen_address: IpAddr,
    /// Names that are answered without DNS, like curl's `--resolve`.
    pub static_names: Vec<StaticName>,
    /// The name server to ask instead of those of the system.
    pub name_server: Option<SocketAddr>,
    /// Whether `svc`, `svc.ns`, `svc.ns.svc` and `svc.ns.svc.cluster.local` are answered from the
    /// published endpoints before DNS is asked. For the gateway outside a cluster.
    pub services_by_name: bool,
    /// The namespace of a bare `svc` where `services_by_name` is set.
    pub namespace: Arc<str>,
    /// The form of the access log.
    pub access_log: AccessLogFormat,
    /// Where the access log goes.
    pub access_log_sink: LogSink,
    /// Whether upstreams' certificates are always verified: by the system's authorities where no
    /// TLSContext names any.
    pub verify_upstreams: bool,
    /// Limits towards clients.
    pub limits: Limits,
    /// The memory that the limits were planned by, and how much is shed.
    pub overload: Arc<Overload>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            static_names: Vec::new(),
            name_server: None,
            services_by_name: false,
            namespace: "default".into(),
            access_log: AccessLogFormat::Text,
            access_log_sink: LogSink::Stdout,
            verify_upstreams: false,
            limits: Limits::default(),
            overload: Arc::default(),
        }
    }
}

/// One name that is answered without DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticName {
    /// The name as clusters have it.
    pub host: Arc<str>,
    /// The port as clusters have it.
    pub port: u16,
    /// The address that is connected to instead.
    pub address: SocketAddr,
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

/// Where the access log goes.
#[derive(Clone, Default)]
pub enum LogSink {
    /// Standard output.
    #[default]
    Stdout,
    /// Memory, for tests.
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Memory(_) => "Memory",
        })
    }
}

/// Limits towards clients and on idle connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients' connections, all workers'. Beyond, those that have waited longest give way.
    pub connections: usize,
    /// Requests that are upstream, all workers'. Beyond, 503.
    pub requests: usize,
    /// Bytes of one answer that wait for its reader: in what is read of the upstream, in what is
    /// written to the client, and in the kernel.
    pub buffer: usize,
    /// Clusters that a worker counts one by one; those that come later are counted together.
    pub series: usize,
    /// Headers of a request; 431 above. Envoy: 100.
    pub headers: usize,
    /// From a head's first byte to its last. Envoy has none, so that a slow head holds a connection.
    pub header_timeout: Duration,
    /// From the first byte of TLS to the end of its handshake, and of the PROXY protocol to its
    /// end. Envoy: 15 s to the ClientHello, and no end after it.
    pub handshake_timeout: Duration,
    /// TLS handshakes of one worker at a time: beyond, the oldest gives way.
    pub handshakes: usize,
    /// The connections of a port that the configuration has no more end by themselves for this
    /// long. Envoy's `--drain-time-s`: 10 min.
    pub removed_port_time: Duration,
    /// From accepting a connection to its first byte. Load balancers open connections ahead.
    pub first_byte_timeout: Duration,
    /// Without any byte in either direction a request is given up, unless its route says
    /// otherwise. Envoy's stream idle timeout: 5 min.
    pub stream_idle_timeout: Duration,
    /// Concurrent streams of one HTTP/2 connection.
    pub h2_streams: u32,
    /// Receive window of an HTTP/2 stream and connection, in bytes: what a slow upstream lets one
    /// client park in memory.
    pub h2_window: u32,
    /// Without a request for this long an HTTP/1.1 connection gives its buffers back. The next
    /// request makes them anew, in about the time of one system call. nginx does so at once.
    pub rest_after: Duration,
    /// An unused upstream connection is closed after this time.
    pub upstream_idle_timeout: Duration,
}

impl Limits {
    /// Bytes that the kernel keeps for a client that doesn't read: `buffer`, where it is less than
    /// where memory is plenty; there, the kernel knows best.
    pub(crate) fn unsent(&self) -> Option<u32> {
        u32::try_from(self.buffer).ok().filter(|_| self.buffer < BUFFER)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: usize::MAX,
            requests: usize::MAX,
            buffer: BUFFER,
            series: usize::MAX,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 1024,
            removed_port_time: Duration::from_secs(600),
            first_byte_timeout: Duration::from_secs(60),
            stream_idle_timeout: Duration::from_secs(300),
            h2_streams: 200,
            h2_window: 1024 * 1024,
            rest_after: Duration::from_secs(2),
            upstream_idle_timeout: Duration::from_secs(60),
        }
    }
}
