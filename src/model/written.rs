//! What objects other than routes ask for, each on its own, before a build brings them together.
//!
//! Neutral as far as it goes: names of other objects are kept as they were written, and
//! [`build`](super::build) finds out whether they exist.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::common::Common;
use super::listener::{InsecureAction, SecurityModel, Stack};
use super::policy::{ClusterPolicy, HttpPolicy, Limit, RoutePolicy};
use super::route::{HostMatch, Route};
use super::tls::{SecretKey, TlsParameters};

/// What a Listener asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerSpec {
    /// The port.
    pub port: u16,
    /// What is spoken.
    pub stack: Stack,
    /// How a request is known to be secure.
    pub security: SecurityModel,
    /// Which Hosts are served.
    pub hosts: HostBinding,
    /// The name in metrics; `None` follows from the stack.
    pub stat_prefix: Option<Arc<str>>,
    /// Trusted proxies before us.
    pub trusted_hops: u32,
    /// Concurrent streams of an HTTP/2 connection.
    pub max_concurrent_streams: Option<u32>,
}

/// Which Hosts a Listener serves. Emissary: `hostBinding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBinding {
    /// Only those of the Listener's own namespace.
    pub own_namespace: bool,
    /// The labels that they must have; empty is any.
    pub selector: BTreeMap<String, String>,
}

/// What a Host asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSpec {
    /// Its name or pattern, without a port.
    pub name: HostMatch,
    /// The port that stands behind the name.
    pub port: Option<u16>,
    /// The labels that routes must have; empty serves those that name a host.
    pub selector: Arc<BTreeMap<String, String>>,
    /// What becomes of insecure requests.
    pub insecure: InsecureAction,
    /// The Secret with its certificate. Emissary: `tlsSecret`.
    pub certificate: Option<SecretKey>,
    /// The name of a TLSContext. Emissary: `tlsContext`.
    pub context: Option<Arc<str>>,
    /// TLS settings that stand in the Host itself. Emissary: `tls`.
    pub tls: Option<TlsSpec>,
}

/// What a TLSContext, or the `tls` of a Host, asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TlsSpec {
    /// The names that it is for.
    pub hosts: Vec<Arc<str>>,
    /// Where certificate and key are.
    pub certificate: Option<PemSource>,
    /// Where the authorities are that have signed the peers' certificates.
    pub authorities: Option<PemSource>,
    /// Where the revoked certificates are told.
    pub revoked: Option<PemSource>,
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// The name that is asked for towards upstreams.
    pub sni: Option<Arc<str>>,
    /// Versions, suites, protocols.
    pub parameters: TlsParameters,
    /// The same where a dot in a Secret's name divides nothing; `None` where that is no other.
    /// Emissary: `secret_namespacing`, which the Module may decide.
    pub undivided: Option<Arc<TlsSpec>>,
}

impl TlsSpec {
    /// The settings as they mean where the Module says whether `name.namespace` names a Secret
    /// elsewhere; default true.
    pub fn read(&self, secret_namespacing: Option<bool>) -> &Self {
        match &self.undivided {
            Some(undivided) if secret_namespacing == Some(false) => undivided,
            _ => self,
        }
    }
}

/// Where certificates are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PemSource {
    /// A Secret.
    Secret(SecretKey),
    /// Files of the gateway's own file system: certificates, and the key where there is one.
    Files {
        /// `cert_chain_file` or `cacert_chain_file`.
        certificates: Arc<str>,
        /// `private_key_file`.
        key: Option<Arc<str>>,
    },
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(key) => write!(f, "Secret {key}"),
            Self::Files { certificates, .. } => write!(f, "file {certificates}"),
        }
    }
}

/// What a TCPMapping asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpRoute {
    /// The address; `None` is the process' own.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The server name that clients ask for.
    pub sni: Option<HostMatch>,
    /// Whether TLS is passed on unread; our own field.
    pub passthrough: bool,
    /// The share of the group's connections in percent, where one is given.
    pub weight: Option<u8>,
    /// Where to.
    pub upstream: UpstreamSpec,
    /// Time without a byte in either direction.
    pub idle_timeout: Option<Limit>,
}

/// A route as it was written: its upstream isn't looked up, and what it leaves open isn't filled.
pub type WrittenRoute = Route<UpstreamSpec>;

/// An upstream as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// The service's text without its scheme, for people.
    pub service: Arc<str>,
    /// The host in lower case, not qualified yet.
    pub host: UpstreamHost,
    /// The port; `None` is 443 where TLS is begun, and 80 otherwise.
    pub port: Option<u16>,
    /// The namespace of the object.
    pub namespace: Arc<str>,
    /// The name of a resolver; `None` is the gateway's default.
    pub resolver: Option<Arc<str>>,
    /// Whether TLS is begun, because `https://` says so.
    pub tls: bool,
    /// The name of a TLSContext, with which TLS is begun as well. Emissary: `tls`.
    pub context: Option<Arc<str>>,
    /// What is asked of it beside that.
    pub policy: Arc<ClusterPolicy>,
}

impl UpstreamSpec {
    /// An upstream by its name, of which nothing else is asked.
    pub fn plain(host: &str, port: u16, namespace: &str) -> Self {
        Self {
            service: format!("{host}:{port}").into(),
            host: UpstreamHost::Name(host.into()),
            port: Some(port),
            namespace: namespace.into(),
            resolver: None,
            tls: false,
            context: None,
            policy: ClusterPolicy::default().share(),
        }
    }
}

/// The host of an [`UpstreamSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    /// A name.
    Name(Arc<str>),
    /// An address.
    Address(IpAddr),
}

/// How addresses are found. Emissary: the kinds of resolvers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResolverKind {
    /// By DNS: KubernetesServiceResolver.
    Dns,
    /// By EndpointSlices: KubernetesEndpointResolver.
    Endpoints,
}

/// What the Module `ambassador` asks for: how HTTP is served, and what objects have that don't say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayDefaults {
    /// How HTTP is served.
    pub http: Arc<HttpPolicy>,
    /// The settings that were written and could be read, by their names in the Module: `http` has
    /// the product's default where nothing is written, and doesn't tell the two apart.
    pub written: Vec<&'static str>,
    /// For routes.
    pub route: RoutePolicy,
    /// For clusters.
    pub cluster: ClusterPolicy,
    /// The name of the default resolver. Emissary: `resolver`.
    pub resolver: Option<Arc<str>>,
    /// Bare service names mean the gateway's namespace. Emissary:
    /// `use_ambassador_namespace_for_service_resolution`.
    pub own_namespace_for_services: bool,
    /// `name.namespace` in a TLSContext names a Secret elsewhere. Emissary:
    /// `defaults.tls_secret_namespacing`, default true.
    pub secret_namespacing: Option<bool>,
    /// Header edits of routes that have none of their own for that header. Emissary:
    /// `defaults.httpmapping`.
    pub request_headers: super::route::HeaderEdits,
    /// The same towards clients.
    pub response_headers: super::route::HeaderEdits,
}
