//! The gateway's HTTP policy as a worker serves it: made once of each that is published, so that a
//! request costs one comparison of addresses.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use hyper::server::conn::{http1, http2};

use super::connection::{LocalExecutor, build_http1, build_http2};
use super::log_format::LogFormat;
use super::options::ProxyOptions;
use crate::model::policy::HttpPolicy;

/// One policy, ready to be served.
pub(crate) struct Served {
    /// What it was made of.
    pub(crate) http: Arc<HttpPolicy>,
    /// The `server` header.
    pub(crate) server: HeaderValue,
    /// The access log's format.
    pub(crate) log: LogFormat,
    /// How HTTP/1 is served on connections that begin now, or go on after a rest.
    pub(crate) http1: http1::Builder,
    /// How HTTP/2 is served on connections that begin now.
    pub(crate) http2: http2::Builder<LocalExecutor>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("http", &self.http).finish_non_exhaustive()
    }
}

impl Served {
    fn build(http: &Arc<HttpPolicy>, options: &ProxyOptions) -> Rc<Self> {
        // The parser has looked at it; a policy that was made by hand may hold anything.
        let server = HeaderValue::from_str(&http.server_name);
        Rc::new(Self {
            server: server.unwrap_or_else(|_| HeaderValue::from_static("envoy")),
            log: LogFormat::build(options.access_log, http.access_log.as_ref()),
            http1: build_http1(&options.limits, http),
            http2: build_http2(&options.limits, http),
            http: Arc::clone(http),
        })
    }
}

/// A worker's policy.
#[derive(Debug)]
pub(crate) struct Policies {
    current: RefCell<Rc<Served>>,
}

impl Policies {
    /// Begins with the product's defaults.
    pub(crate) fn new(options: &ProxyOptions) -> Self {
        Self { current: RefCell::new(Served::build(&Arc::default(), options)) }
    }

    /// The policy that is published as `http`.
    pub(crate) fn get(&self, http: &Arc<HttpPolicy>, options: &ProxyOptions) -> Rc<Served> {
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(&current.http, http) {
            *current = Served::build(http, options);
        }
        Rc::clone(&current)
    }
}
