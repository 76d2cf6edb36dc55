//! Which host answers on which port: by a request's authority, by the server name of TLS.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::condition::without_port;
use super::names::Names;
use crate::model::config::{GatewayConfig, RouteGroup};
use crate::model::listener::{
    InsecureAction, Listener, SecurityModel, Selector, TcpGroup, VirtualHost,
};
use crate::model::route::{Action, PathMatchKind};

/// The path below which certificate authorities ask for proof, which is never sent to https
/// (RFC 8555, 8.3).
const ACME: &str = "/.well-known/acme-challenge/";

/// One port, with what is found behind it.
#[derive(Debug, Clone)]
pub struct ListenerTable {
    spec: Arc<Listener>,
    hosts: ByPort,
    sni: Names<Server>,
}

/// The hosts of one name.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    members: Vec<Member>,
}

/// A host, and where its routes are.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The host.
    pub(super) host: Arc<VirtualHost>,
    /// The position of its routes among those of selectors; `None` is those of all.
    pub(super) index: Option<usize>,
}

/// Who ends a connection's TLS, or passes it on.
#[derive(Debug, Clone)]
pub enum Server {
    /// A host with TLS.
    Host(Arc<VirtualHost>),
    /// Connections that are passed on.
    Tcp(Arc<TcpGroup>),
}

/// What becomes of requests of one host that find a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They get it.
    Serve,
    /// They are sent to https.
    Redirect,
    /// They find nothing.
    Reject,
}

#[derive(Debug, Clone, Default)]
struct ByPort {
    any: Names<HostTable>,
    one: HashMap<u16, Names<HostTable>, RandomState>,
}

impl ListenerTable {
    /// What it was made from.
    pub fn spec(&self) -> &Arc<Listener> {
        &self.spec
    }

    /// The host of a request by its authority. A request that its host has no route for finds
    /// nothing elsewhere.
    pub fn host_by_authority(&self, authority: &str) -> Option<&HostTable> {
        let authority = lower(authority);
        let name = without_port(&authority);
        let port = authority.get(name.len() + 1..).and_then(|port| port.parse().ok());
        let any = self.hosts.any.get(name);
        let one = port.and_then(|port: u16| self.hosts.one.get(&port)?.get(name));
        match (one, any) {
            (Some((more, one)), Some((less, _))) if more >= less => Some(one),
            (Some((_, one)), None) => Some(one),
            (_, any) => any.map(|(_, any)| any),
        }
    }

    /// The host that ends TLS for a server name; without a name only that of every name.
    pub fn host_by_sni(&self, name: Option<&str>) -> Option<&Arc<VirtualHost>> {
        match self.server(name)? {
            Server::Host(host) => Some(host),
            Server::Tcp(_) => None,
        }
    }

    /// Who takes connections of a server name that are passed on, those without TLS included.
    pub fn tcp_by_sni(&self, name: Option<&str>) -> Option<&Arc<TcpGroup>> {
        match name.map(|name| self.server(Some(name))) {
            Some(Some(Server::Tcp(group))) => Some(group),
            Some(Some(Server::Host(_))) => None,
            Some(None) | None => self.spec.tcp.iter().find(|group| group.sni.is_none()),
        }
    }

    /// Who takes connections of a server name: of hosts and TCP, whichever is more specific.
    fn server(&self, name: Option<&str>) -> Option<&Server> {
        let found = match name {
            Some(name) => self.sni.get(lower(name).trim_end_matches('.')),
            None => self.sni.any(),
        };
        found.map(|(_, server)| server)
    }
}

impl HostTable {
    /// The hosts of this name, in the order of their keys.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<VirtualHost>> {
        self.members.iter().map(|member| &member.host)
    }

    /// Whether a group is among the routes of one of the hosts.
    pub fn serves(&self, group: &RouteGroup) -> bool {
        let by = |member: &Member| match member.host.selector.is_empty() {
            true => group.attachment.by_host,
            false => group.attachment.selectors.contains(&member.host.selector),
        };
        self.members().unwrap_or_default().iter().any(|member| is_probe(group) || by(member))
    }

    /// The hosts, each with its routes; `None` where one of them is closed, which closes the name.
    pub(super) fn members(&self) -> Option<&[Member]> {
        match self.members.iter().any(|member| member.host.closed) {
            true => None,
            false => Some(&self.members),
        }
    }
}

impl Mode {
    /// What becomes of a host's requests. `secure` is what `x-forwarded-proto` says.
    pub(super) fn of(listener: &Listener, host: &VirtualHost, secure: bool) -> Self {
        let secure = match listener.security {
            SecurityModel::ForwardedProto => secure,
            SecurityModel::Secure => true,
            SecurityModel::Insecure => false,
        };
        match (secure, host.insecure) {
            (true, _) | (false, InsecureAction::Route) => Self::Serve,
            (false, InsecureAction::Redirect) => Self::Redirect,
            (false, InsecureAction::Reject) => Self::Reject,
        }
    }
}

/// Whether a route is served however insecure the request is: that of ACME, and the gateway's own
/// health, which load balancers ask for on whatever port they have.
pub(super) fn is_always_served(group: &RouteGroup) -> bool {
    matches!(&group.matches().path.kind, PathMatchKind::Prefix(text) if **text == *ACME)
        || is_probe(group)
}

/// Whether it is the gateway's own health.
pub(super) fn is_probe(group: &RouteGroup) -> bool {
    matches!(group.first().route.action, Action::Probe(_))
}

/// The selectors of all hosts, each once, in the order in which they come.
pub(super) fn selectors(config: &GatewayConfig) -> Vec<Selector> {
    let mut selectors: Vec<Selector> = Vec::new();
    for host in config.listeners.iter().flat_map(|listener| &listener.hosts) {
        if !host.selector.is_empty() && !selectors.contains(&host.selector) {
            selectors.push(Arc::clone(&host.selector));
        }
    }
    selectors
}

/// The tables of all listeners; `selectors` are [`selectors`]' own.
pub(super) fn compile(config: &GatewayConfig, selectors: &[Selector]) -> Vec<ListenerTable> {
    config.listeners.iter().map(|listener| compile_one(listener, selectors)).collect()
}

fn compile_one(listener: &Arc<Listener>, selectors: &[Selector]) -> ListenerTable {
    let mut hosts = ByPort::default();
    let mut sni: Names<Server> = Names::default();
    // TCP comes before a host of the same name, as in Emissary.
    for group in &listener.tcp {
        if let Some(name) = &group.sni {
            sni.entry(name, || Server::Tcp(Arc::clone(group)));
        }
    }
    for host in &listener.hosts {
        let names = match host.port {
            Some(port) => hosts.one.entry(port).or_default(),
            None => &mut hosts.any,
        };
        let index = match host.selector.is_empty() {
            true => None,
            // One that isn't there has no routes.
            false => {
                let position = selectors.iter().position(|selector| *selector == host.selector);
                Some(position.unwrap_or(selectors.len()))
            }
        };
        if let Some(table) = names.entry(&host.name, HostTable::default) {
            table.members.push(Member { host: Arc::clone(host), index });
        }
        if host.tls.is_some() {
            sni.entry(&host.name, || Server::Host(Arc::clone(host)));
        }
    }
    ListenerTable { spec: Arc::clone(listener), hosts, sni }
}

/// The listener of an address and port.
pub(super) fn find(
    listeners: &[ListenerTable],
    address: Option<IpAddr>,
    port: u16,
) -> Option<&ListenerTable> {
    listeners.iter().find(|table| (table.spec.address, table.spec.port) == (address, port))
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}
