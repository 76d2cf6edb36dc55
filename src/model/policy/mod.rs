//! What objects say about the way of a request, beside which route takes it.
//!
//! Everything here is optional: `None` is "not written". A build fills what an object leaves open
//! from the gateway's own defaults (Module `ambassador`); what is still open then has the
//! product's default, which the accessors give. So every effective value can say where it came
//! from.

mod cluster;
mod http;
mod route;

use std::time::Duration;

pub use cluster::{
    Affinity, BalanceMethod, CircuitBreaker, ClusterPolicy, DnsPolicy, HashSource, HealthCheck,
    HealthProbe, Keepalive, LoadBalancer, OutlierDetection, Priority, StatusRange,
};
pub use http::{
    AccessLog, ClientCertificateDetails, ClientCertificateHeader, Compression, EscapedSlashes,
    HttpPolicy, IpRule, IpRules, IpSource, UnderscoresAction,
};
pub use route::{Cors, RetryBackOff, RetryOn, RetryPolicy, RoutePolicy};

/// A limit in time that can be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// None: written as `0`.
    Unlimited,
    /// This long.
    After(Duration),
}

impl Limit {
    /// The limit, where there is one.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Unlimited => None,
            Self::After(duration) => Some(duration),
        }
    }
}
