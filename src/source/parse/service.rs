//! The grammar of `service` (Emissary: `[scheme://]host[:port]`), and the upstream that it names.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::model::cluster::qualified_name;
use crate::model::common::Common;
use crate::model::policy::ClusterPolicy;
use crate::model::written::{UpstreamHost, UpstreamSpec};

/// Longest DNS name (RFC 1035, §2.3.4).
const MAX_HOST: usize = 253;

/// A parsed `service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceText {
    /// It begins with `https://`.
    pub(super) tls: bool,
    /// It begins with `http://`.
    pub(super) cleartext: bool,
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
    Name(Arc<str>),
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
        let (tls, cleartext) = (scheme == "https", scheme == "http");
        Ok(Self { tls, cleartext, host, port, warnings })
    }

    /// The host and port as they were written, for people.
    fn written(&self) -> String {
        self.with_port(match &self.host {
            ServiceHost::Name(name) => name.to_string(),
            ServiceHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            ServiceHost::Address(address) => address.to_string(),
        })
    }

    /// The host and port with the namespace in it where Emissary puts it: names without a dot,
    /// but for `localhost`, in a namespace that isn't the gateway's.
    pub(super) fn qualified(&self, namespace: &str, own_namespace: &str) -> String {
        let host = match &self.host {
            ServiceHost::Name(name) => qualified_name(name, namespace, own_namespace).to_string(),
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

    /// The upstream of this service for an object in `namespace`, with nothing else asked of it.
    pub(super) fn upstream(&self, namespace: &Arc<str>) -> UpstreamSpec {
        let host = match &self.host {
            ServiceHost::Name(name) => UpstreamHost::Name(Arc::clone(name)),
            ServiceHost::Address(address) => UpstreamHost::Address(*address),
        };
        let service = match (&self.host, self.port) {
            (ServiceHost::Name(name), None) => Arc::clone(name),
            _ => self.written().into(),
        };
        UpstreamSpec {
            service,
            host,
            port: self.port,
            namespace: Arc::clone(namespace),
            resolver: None,
            tls: self.tls,
            context: None,
            policy: ClusterPolicy::default().share(),
        }
    }
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
    Ok((ServiceHost::Name(name.into()), port))
}

fn parse_port(text: &str) -> Result<u16, ServiceError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port != 0).ok_or_else(|| ServiceError::Port(text.to_owned()))
}
