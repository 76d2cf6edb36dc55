//! Where clients come in: ports, and what is found behind them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::cluster::Cluster;
use super::config::Share;
use super::key::ObjectKey;
use super::policy::Limit;
use super::route::HostMatch;
use super::tls::Termination;

/// One port to listen on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// The object that asked for it; `None` for the one that is there where nobody asks.
    pub key: Option<Arc<ObjectKey>>,
    /// The address; `None` is the process' own (`AMBASSADOR_ENVOY_BIND_ADDRESS`).
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Envoy's `stat_prefix` of this listener, a metric label.
    pub stat_prefix: Arc<str>,
    /// What is spoken.
    pub stack: Stack,
    /// How a request is known to be secure.
    pub security: SecurityModel,
    /// Trusted proxies before us, whose `x-forwarded-*` headers are believed. Emissary: `l7Depth`.
    pub trusted_hops: u32,
    /// Concurrent streams of an HTTP/2 connection. Emissary: `http2MaxConcurrentStreams`.
    pub max_concurrent_streams: Option<u32>,
    /// The hosts that are served here, in the order of their keys.
    pub hosts: Vec<Arc<VirtualHost>>,
    /// Connections that are passed on as they are, in the order of their keys.
    pub tcp: Vec<Arc<TcpGroup>>,
}

/// What is spoken on a port, from the outside in (Emissary's `protocolStack` as a set).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stack {
    /// The PROXY protocol comes first, whatever the order in which it is written.
    pub proxy_protocol: bool,
    /// TLS may come; cleartext as well.
    pub tls: bool,
    /// HTTP, and not only bytes.
    pub http: bool,
}

/// How a request is known to be secure. Emissary: `securityModel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityModel {
    /// `XFP`: by its `x-forwarded-proto`, which the gateway itself sets unless proxies are trusted.
    ForwardedProto,
    /// `SECURE`: always.
    Secure,
    /// `INSECURE`: never.
    Insecure,
}

impl Listener {
    /// The listener that is there where nobody asks for one: plain HTTP for every host.
    pub fn plain(port: u16) -> Self {
        Self {
            key: None,
            address: None,
            port,
            stat_prefix: "ingress_http".into(),
            stack: Stack { proxy_protocol: false, tls: false, http: true },
            security: SecurityModel::ForwardedProto,
            trusted_hops: 0,
            max_concurrent_streams: None,
            hosts: vec![Arc::new(VirtualHost::any())],
            tcp: Vec::new(),
        }
    }
}

/// Labels that must be there. Compared by content.
pub type Selector = Arc<BTreeMap<String, String>>;

/// One Host: a name, its certificate, its routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// The object that asked for it; `None` for the one that is there where nobody asks.
    pub key: Option<Arc<ObjectKey>>,
    /// Its name or pattern, without a port.
    pub name: HostMatch,
    /// The port that a request's host must name; `None` is none or any default.
    pub port: Option<u16>,
    /// How its TLS is ended; `None` serves it in cleartext only.
    pub tls: Option<Arc<Termination>>,
    /// What becomes of its insecure requests.
    pub insecure: InsecureAction,
    /// The labels that a route must have to be served here. Empty serves all routes that name a
    /// host. Emissary: `mappingSelector`.
    pub selector: Selector,
    /// It can't be served as it was written, so that its requests find nothing: were they left to
    /// another host, what is wrong with its TLS would open its routes.
    pub closed: bool,
}

impl VirtualHost {
    /// The host that is there where nobody asks for one: any name, in cleartext.
    pub fn any() -> Self {
        Self {
            key: None,
            name: HostMatch::Any,
            port: None,
            tls: None,
            insecure: InsecureAction::Route,
            selector: Arc::default(),
            closed: false,
        }
    }
}

/// What becomes of an insecure request. Emissary: `requestPolicy.insecure.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InsecureAction {
    /// It is sent to https.
    Redirect,
    /// It finds nothing: 404.
    Reject,
    /// It is served.
    Route,
}

/// Connections of one port, and perhaps one name, and the clusters that share them.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpGroup {
    /// The server name that a client asks for in TLS; `None` takes every connection of the port.
    pub sni: Option<HostMatch>,
    /// How TLS is ended; `None` passes its bytes on unread.
    pub tls: Option<Arc<Termination>>,
    /// The members, oldest first. Never empty.
    pub legs: Vec<Arc<TcpLeg>>,
}

/// One member of a [`TcpGroup`].
#[derive(Debug, Clone, PartialEq)]
pub struct TcpLeg {
    /// The object that asked for it.
    pub key: Arc<ObjectKey>,
    /// Its share of the connections.
    pub share: Share,
    /// Where to.
    pub cluster: Arc<Cluster>,
    /// Time without a byte in either direction. Envoy: 1 h.
    pub idle_timeout: Limit,
}
