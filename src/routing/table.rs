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
pub struct RouteTable {}

impl RouteTable {
    /// Compiles a configuration.
    pub fn compile(config: &GatewayConfig) -> Self {
        let _ = config;
        Self {}
    }

    /// The route that answers a request.
    pub fn find(&self, head: &RequestHead<'_>) -> Option<&Arc<Leg>> {
        let _ = head;
        None
    }
}
