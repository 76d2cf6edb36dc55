//! Policies of a route.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::Limit;
use super::cluster::Priority;

/// What a route asks for beside its match and its action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutePolicy {
    /// Time from the end of the request to the end of the response. Emissary: `timeout_ms`,
    /// Module `cluster_request_timeout_ms`.
    pub timeout: Option<Limit>,
    /// Time without any byte in either direction. Emissary: `idle_timeout_ms`.
    pub idle_timeout: Option<Limit>,
    /// When a request goes out once more. Emissary: `retry_policy`.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Which other sites' scripts may ask. Emissary: `cors`.
    pub cors: Option<Arc<Cors>>,
    /// Which circuit breaker counts its requests. Emissary: `priority`.
    pub priority: Option<Priority>,
    /// The protocols that a client may upgrade to, in lower case. Emissary: `allow_upgrade`,
    /// `use_websocket`.
    pub upgrades: Option<Arc<[Arc<str>]>>,
    /// Whether `l5d-dst-override` is added. Emissary: `add_linkerd_headers`.
    pub linkerd_headers: Option<bool>,
    /// Whether the AuthService isn't asked. Emissary: `bypass_auth`.
    pub bypass_auth: Option<bool>,
}

impl RoutePolicy {
    /// [`RoutePolicy::timeout`] where nothing is written (Emissary: 3000 ms).
    pub const TIMEOUT: Duration = Duration::from_secs(3);
    /// [`RoutePolicy::idle_timeout`] where nothing is written (Envoy's stream idle timeout).
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

    /// Time from the end of the request to the end of the response; `None` is no limit.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.unwrap_or(Limit::After(Self::TIMEOUT)).duration()
    }

    /// Time without any byte in either direction; `None` is no limit.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.unwrap_or(Limit::After(Self::IDLE_TIMEOUT)).duration()
    }
}

/// When a request goes out once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Which outcomes. Never empty.
    pub on: Vec<RetryOn>,
    /// The statuses of [`RetryOn::RetriableStatusCodes`]; our own field.
    pub status_codes: Vec<u16>,
    /// How often at most. Envoy's default: 1.
    pub attempts: u32,
    /// The limit of each attempt; `None` leaves only the route's own.
    pub per_try_timeout: Option<Duration>,
    /// Pauses between attempts.
    pub back_off: RetryBackOff,
}

/// An outcome that is tried again (Envoy's `x-envoy-retry-on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryOn {
    /// `5xx`: any 5xx answer, or none at all.
    ServerError,
    /// `gateway-error`: 502, 503 or 504.
    GatewayError,
    /// `connect-failure`: no connection could be made.
    ConnectFailure,
    /// `retriable-4xx`: 409.
    Retriable4xx,
    /// `refused-stream`: the upstream reset the stream with REFUSED_STREAM.
    RefusedStream,
    /// `retriable-status-codes`: those of [`RetryPolicy::status_codes`].
    RetriableStatusCodes,
}

/// Pauses between attempts: random, growing. Envoy's defaults: 25 ms to 250 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBackOff {
    /// The first pause is at most this long.
    pub base: Duration,
    /// None is longer.
    pub max: Duration,
}

impl Default for RetryBackOff {
    fn default() -> Self {
        Self { base: Duration::from_millis(25), max: Duration::from_millis(250) }
    }
}

/// Which other sites' scripts may ask (Fetch standard, CORS protocol).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Their origins, exact; `*` is any.
    pub origins: Vec<Arc<str>>,
    /// `access-control-allow-methods`.
    pub methods: Vec<Method>,
    /// `access-control-allow-headers`; `*` is any.
    pub headers: Vec<Arc<str>>,
    /// `access-control-allow-credentials`.
    pub credentials: bool,
    /// `access-control-expose-headers`.
    pub exposed_headers: Vec<HeaderName>,
    /// `access-control-max-age`, in seconds as it was written.
    pub max_age: Option<Arc<str>>,
}
