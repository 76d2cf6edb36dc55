//! The compiled, immutable table.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::model::config::{GatewayConfig, Leg};

/// What a request shows to the matchers.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The request's authority as it was sent: host and perhaps a port.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// One random number in 0..100 for the whole request, so that shares are exact.
    pub draw: u8,
}

/// The routes, compiled for matching. Immutable; a request sees one from beginning to end.
#[derive(Debug, Default)]
pub struct RouteTable {
    groups: Vec<crate::model::config::RouteGroup>,
    clusters: std::collections::BTreeMap<
        crate::model::cluster::ClusterName,
        Arc<crate::model::cluster::Cluster>,
    >,
}

impl RouteTable {
    /// Compiles a configuration.
    pub fn compile(config: &GatewayConfig) -> Self {
        Self { groups: config.groups.clone(), clusters: config.clusters.clone() }
    }

    /// The clusters of the routes.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<crate::model::cluster::Cluster>> {
        self.clusters.values()
    }

    /// The route that answers a request.
    pub fn find(&self, head: &RequestHead<'_>) -> Option<&Arc<Leg>> {
        use crate::model::route::PathMatchKind;
        let group = self.groups.iter().find(|group| match &group.matches().path.kind {
            PathMatchKind::Prefix(text) => head.path.starts_with(&**text),
            PathMatchKind::Exact(text) => head.path == &**text,
            PathMatchKind::Regex(_) => false,
        })?;
        group.legs.iter().find(|leg| leg.share.contains(head.draw))
    }
}
