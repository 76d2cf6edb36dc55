//! From a [`Snapshot`] to what should be served and what is to be said about each object.

use std::sync::Arc;

use super::config::GatewayConfig;
use super::report::Report;
use super::snapshot::Snapshot;

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Build {
    /// What to serve.
    pub config: Arc<GatewayConfig>,
    /// One report for each object that speaks to this gateway, in key order.
    pub reports: Vec<Arc<Report>>,
}

/// Merges all objects. Deterministic, infallible, independent of the order of events.
pub fn build(snapshot: &Snapshot) -> Build {
    let _ = snapshot;
    Build::default()
}
