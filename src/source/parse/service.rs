//! The grammar of `service`, and the cluster that it names (Emissary: `[scheme://]host[:port]`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::model::cluster::{Cluster, ClusterName, ServiceRef, Upstream};
use crate::model::key::ServiceKey;
use crate::model::policy::ClusterPolicy;

/// The port of a service that names none (Emissary, for upstreams without TLS).
pub(super) const DEFAULT_PORT: u16 = 80;

/// The port of a service that names none, with TLS (Emissary).
pub(super) const DEFAULT_TLS_PORT: u16 = 443;

/// Longest name of a cluster, in bytes (Emissary cuts above it).
const MAX_CLUSTER_NAME: usize = 60;

/// What is kept of a name that gets a suffix: with `_h` and 16 digits it is as long as may be.
const CUT_CLUSTER_NAME: usize = MAX_CLUSTER_NAME - 18;

/// Longest DNS name (RFC 1035, §2.3.4).
const MAX_HOST: usize = 253;

/// A parsed `service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceText {
    /// It begins with `https://`.
    pub(super) tls: bool,
    /// The host.
    pub(super) host: ServiceHost,
    /// The port, where one is written.
    pub(super) port: Option<u16>,
    /// What was ignored, each as a sentence.
    pub(super) warnings: Vec<String>,
}

/// The host of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceHost {
    /// A name in lower case.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

/// Why a `service` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServiceError {
    /// Nothing, or nothing before the port.
    #[error("names no host; write it as [scheme://]host[:port]")]
    NoHost,
    /// Not a port.
    #[error("\"{0}\" is not a port; write a number from 1 to 65535")]
    Port(String),
    /// Something that can't stand in a host.
    #[error("\"{0}\" is not a host name; write a name, or an address (IPv6 in brackets)")]
    Host(String),
    /// More than one colon without brackets.
    #[error("\"{0}\" has several colons; write an IPv6 address in brackets, as in [::1]:8080")]
    Brackets(String),
}

/// How the addresses of a service are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolver {
    /// By DNS (`kubernetes-service`).
    Dns,
    /// The ready endpoints of a Service (`kubernetes-endpoint`, `endpoint`).
    Endpoints,
}

impl ServiceText {
    /// Parses a `service`.
    pub(super) fn parse(text: &str) -> Result<Self, ServiceError> {
        let mut warnings = Vec::new();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        if !matches!(scheme.as_str(), "" | "http" | "https") {
            warnings.push(format!("the scheme {scheme} is unknown and ignored; write http"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (mut authority, extra) = rest.split_at(end);
        if !extra.is_empty() {
            warnings.push(format!("\"{extra}\" has extra URL components; they are ignored"));
        }
        if let Some((user, host)) = authority.rsplit_once('@') {
            warnings.push(format!("\"{user}@\" has extra URL components; they are ignored"));
            authority = host;
        }
        let (host, port) = parse_authority(authority)?;
        Ok(Self { tls: scheme == "https", host, port, warnings })
    }

    /// The host and port as they were written, for people.
    pub(super) fn written(&self) -> String {
        self.with_port(match &self.host {
            ServiceHost::Name(name) => name.clone(),
            ServiceHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            ServiceHost::Address(address) => address.to_string(),
        })
    }

    /// The host and port with the namespace in it where Emissary puts it: names without a dot,
    /// but for `localhost`, in a namespace that isn't the gateway's.
    pub(super) fn qualified(&self, namespace: &str, own_namespace: &str) -> String {
        let host = match &self.host {
            ServiceHost::Name(name) => qualify(name, namespace, own_namespace),
            ServiceHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            ServiceHost::Address(address) => address.to_string(),
        };
        self.with_port(host)
    }

    fn with_port(&self, host: String) -> String {
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The cluster of this service for an object in `namespace`.
    pub(super) fn cluster(&self, policy: &Placement<'_>) -> Cluster {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let upstream = match &self.host {
            ServiceHost::Address(address) => Upstream::Address(SocketAddr::new(*address, port)),
            ServiceHost::Name(name) => match policy.resolver {
                Resolver::Endpoints if name != "localhost" => {
                    let mut labels = name.split('.');
                    let service = labels.next().unwrap_or(name);
                    let namespace = labels.next().unwrap_or(policy.namespace);
                    Upstream::Service(ServiceRef {
                        service: ServiceKey { namespace: namespace.into(), name: service.into() },
                        port,
                    })
                }
                Resolver::Endpoints | Resolver::Dns => Upstream::Name {
                    host: qualify(name, policy.namespace, policy.own_namespace).into(),
                    port,
                },
            },
        };
        let service = self.written();
        let name = cluster_name(&service, policy, &upstream);
        Cluster {
            name: ClusterName(name.into()),
            service: service.into(),
            upstream,
            policy: policy.own.clone(),
            tls: None,
        }
    }
}

/// What decides of a cluster beside its service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement<'a> {
    /// The namespace of the object.
    pub(super) namespace: &'a str,
    /// The namespace of the gateway.
    pub(super) own_namespace: &'a str,
    /// How addresses are found.
    pub(super) resolver: Resolver,
    /// What the object asks of its upstream.
    pub(super) own: &'a ClusterPolicy,
}

fn parse_authority(authority: &str) -> Result<(ServiceHost, Option<u16>), ServiceError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let bad = || ServiceError::Host(authority.to_owned());
        let (address, rest) = rest.split_once(']').ok_or_else(bad)?;
        let address: Ipv6Addr = address.parse().map_err(|_| bad())?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(bad()),
        };
        return Ok((ServiceHost::Address(address.into()), port));
    }
    if authority.matches(':').count() > 1 {
        return Err(ServiceError::Brackets(authority.to_owned()));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(ServiceError::NoHost);
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((ServiceHost::Address(address), port));
    }
    let name = host.to_ascii_lowercase();
    let relative = name.strip_suffix('.').unwrap_or(&name);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if name.len() > MAX_HOST || !relative.split('.').all(label) {
        return Err(ServiceError::Host(host.to_owned()));
    }
    Ok((ServiceHost::Name(name), port))
}

fn parse_port(text: &str) -> Result<u16, ServiceError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port != 0).ok_or_else(|| ServiceError::Port(text.to_owned()))
}

fn qualify(name: &str, namespace: &str, own_namespace: &str) -> String {
    if namespace.is_empty()
        || namespace == own_namespace
        || name.contains('.')
        || name == "localhost"
    {
        return name.to_owned();
    }
    format!("{name}.{namespace}")
}

/// Emissary's `cluster_<service>_<namespace>`, which its users' dashboards know; with a suffix made
/// from the content where the policy isn't the default or the name is too long.
///
/// Two services may share a name (`a-b` and `a.b`), as in Emissary. Metrics then add them up;
/// connections are kept by content.
fn cluster_name(service: &str, policy: &Placement<'_>, upstream: &Upstream) -> String {
    let marker = match policy.resolver {
        Resolver::Dns => "",
        Resolver::Endpoints => "_er",
    };
    let plain: String = format!("cluster_{service}_{}{marker}", policy.namespace)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if *policy.own == ClusterPolicy::default() && plain.len() <= MAX_CLUSTER_NAME {
        return plain;
    }
    let timeout = policy.own.connect_timeout().as_millis();
    let content = format!("{service}\n{}\n{upstream:?}\n{timeout}", policy.namespace);
    let cut: String = plain.chars().take(CUT_CLUSTER_NAME).collect();
    format!("{cut}_h{:016x}", fnv1a(content.as_bytes()))
}

/// FNV-1a: the same in every version of this program, so that metrics keep their names.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
