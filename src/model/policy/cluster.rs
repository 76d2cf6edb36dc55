//! Policies of a cluster.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::Limit;

/// What a route asks of its upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterPolicy {
    /// Limit for establishing a connection. Emissary: `connect_timeout_ms`.
    pub connect_timeout: Option<Duration>,
    /// An unused connection is closed after this time. Emissary: `cluster_idle_timeout_ms`.
    pub idle_timeout: Option<Limit>,
    /// A connection takes no new request after this time. Emissary:
    /// `cluster_max_connection_lifetime_ms`.
    pub max_lifetime: Option<Limit>,
    /// Whether HTTP/2 is spoken. Emissary: `grpc`.
    pub http2: Option<bool>,
    /// How an endpoint is chosen. Emissary: `load_balancer`.
    pub load_balancer: Option<LoadBalancer>,
    /// How much may be under way at once. Emissary: `circuit_breakers`.
    pub circuit_breakers: Option<Arc<[CircuitBreaker]>>,
    /// TCP keepalive. Emissary: `keepalive`.
    pub keepalive: Option<Keepalive>,
    /// How endpoints are asked whether they are well. Emissary: `health_checks`.
    pub health_checks: Option<Arc<[HealthCheck]>>,
    /// Which endpoints are left out for their answers. Envoy: `outlier_detection`.
    pub outlier_detection: Option<OutlierDetection>,
    /// How names are resolved.
    pub dns: DnsPolicy,
    /// Keeps clusters apart that would be one. Emissary: `cluster_tag`.
    pub tag: Option<Arc<str>>,
    /// The name in metrics. Emissary: `stats_name`.
    pub stats_name: Option<Arc<str>>,
}

impl ClusterPolicy {
    /// [`ClusterPolicy::connect_timeout`] where nothing is written (Emissary: 3000 ms).
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// [`ClusterPolicy::idle_timeout`] where nothing is written. Envoy waits an hour; upstreams
    /// commonly close after 60 s or more, and who closes first loses no request.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

    /// Limit for establishing a connection.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Self::CONNECT_TIMEOUT)
    }

    /// The limits for requests of `priority`, and whether somebody wrote them.
    pub fn circuit_breaker(&self, priority: Priority) -> (CircuitBreaker, bool) {
        let written = self.circuit_breakers.iter().flat_map(|all| all.iter());
        let written = written.copied().find(|one| one.priority == priority);
        (written.unwrap_or_else(|| CircuitBreaker::of(priority)), written.is_some())
    }

    /// How long an unused connection is kept; `None` is for ever.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.unwrap_or(Limit::After(Self::IDLE_TIMEOUT)).duration()
    }
}

/// Routing priority (Envoy's `RoutingPriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// `default`.
    #[default]
    Default,
    /// `high`.
    High,
}

/// How much may be under way at once towards one cluster, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Whose requests it counts.
    pub priority: Priority,
    /// Connections. Envoy: 1024.
    pub max_connections: u32,
    /// Requests that wait for a connection. Envoy: 1024.
    pub max_pending_requests: u32,
    /// Requests. Envoy: 1024.
    pub max_requests: u32,
    /// Retries. Envoy: 3.
    pub max_retries: u32,
}

impl CircuitBreaker {
    /// Envoy's limits, for requests of `priority`.
    pub fn of(priority: Priority) -> Self {
        Self {
            priority,
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
        }
    }
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// By which rule.
    pub method: BalanceMethod,
    /// What keeps a client at one endpoint; only for the two that hash.
    pub affinity: Option<Affinity>,
}

/// The rules to choose an endpoint by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BalanceMethod {
    /// Each in turn.
    RoundRobin,
    /// Of two random ones that with fewer requests under way.
    LeastRequest,
    /// Consistent hashing on a ring.
    RingHash,
    /// Consistent hashing by Google's Maglev table.
    Maglev,
}

/// What keeps a client at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// What is hashed.
    pub source: HashSource,
}

/// What is hashed to find a client's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashSource {
    /// A cookie; one with a time to live is set by the gateway where it is missing.
    Cookie {
        /// Its name.
        name: Arc<str>,
        /// Its path.
        path: Option<Arc<str>>,
        /// How long it lives; zero is a session cookie.
        ttl: Option<Duration>,
    },
    /// A header.
    Header(HeaderName),
    /// The client's address.
    SourceIp,
}

/// TCP keepalive; what is open is the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// Probes without an answer before the connection is given up.
    pub probes: Option<u32>,
    /// Seconds of silence before the first probe.
    pub idle: Option<Duration>,
    /// Seconds between probes.
    pub interval: Option<Duration>,
}

/// One active health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Limit for one answer. Emissary: 3 s.
    pub timeout: Duration,
    /// Time between two checks. Emissary: 5 s.
    pub interval: Duration,
    /// Checks without an answer in a row that make an endpoint unhealthy; an answer that it is ill
    /// does so at once. Emissary: 2.
    pub unhealthy_threshold: u32,
    /// Successes in a row that make it healthy again. Emissary: 1.
    pub healthy_threshold: u32,
    /// What is asked.
    pub probe: HealthProbe,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// An HTTP request.
    Http {
        /// Its path.
        path: Arc<str>,
        /// Its host; without one the cluster's.
        hostname: Option<Arc<str>>,
        /// Headers to add.
        add_headers: Vec<(HeaderName, HeaderValue)>,
        /// Headers to leave out.
        remove_headers: Vec<HeaderName>,
        /// Statuses that mean health. Empty: 200.
        expected: Vec<StatusRange>,
    },
    /// The gRPC health checking protocol.
    Grpc {
        /// The service that is asked about.
        service: Arc<str>,
        /// The `:authority`; without one the cluster's.
        authority: Option<Arc<str>>,
    },
}

/// Statuses from `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The least.
    pub min: u16,
    /// The greatest.
    pub max: u16,
}

/// Which endpoints are left out for their answers (Envoy's `outlier_detection`, its names and
/// defaults).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierDetection {
    /// 5xx answers in a row that eject. 0 never. Envoy: 5.
    pub consecutive_5xx: u32,
    /// 502, 503, 504 in a row that eject. 0, the default, never: Envoy counts to 5, but doesn't
    /// enforce it.
    pub consecutive_gateway_failure: u32,
    /// Time between two looks at the ejected. Envoy: 10 s.
    pub interval: Duration,
    /// An endpoint stays out for this time, times the number of its ejections. Envoy: 30 s.
    pub base_ejection_time: Duration,
    /// But not longer. Envoy: 300 s.
    pub max_ejection_time: Duration,
    /// The percentage of endpoints that may be out at once. Envoy: 10, but always one.
    pub max_ejection_percent: u8,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
        }
    }
}

/// How names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DnsPolicy {
    /// Only the first address of an answer is used for new connections. Emissary:
    /// `dns_type: logical_dns`.
    pub logical: Option<bool>,
    /// The answer's own time to live is followed. Emissary: `respect_dns_ttl`.
    pub respect_ttl: Option<bool>,
    /// IPv4 addresses are used. Emissary: `enable_ipv4`, default true.
    pub ipv4: Option<bool>,
    /// IPv6 addresses are used. Emissary: `enable_ipv6`, default false.
    pub ipv6: Option<bool>,
}
