//! The compiled, immutable table.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::condition::{host_holds, residual_holds};
use super::host_index::HostIndex;
use super::listeners::{
    self, HostTable, ListenerTable, Member, Mode, is_always_served, is_probe, selectors,
};
use super::precedence::Precedence;
use crate::model::config::{GatewayConfig, Leg, RouteGroup};
use crate::model::listener::Selector;
use crate::model::route::HostMatch;

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

/// What answers a request.
#[derive(Debug, Clone, Copy)]
pub enum Found<'t> {
    /// This route.
    Route(&'t Arc<Leg>),
    /// It is insecure, and is sent to https with its host and path; an explicit port 80 goes.
    RedirectToHttps,
    /// Nothing: 404.
    NoRoute,
}

/// The routes, compiled for matching. Immutable; a request sees one from beginning to end.
#[derive(Debug, Default)]
pub struct RouteTable {
    config: Arc<GatewayConfig>,
    listeners: Arc<[ListenerTable]>,
    /// Routes that hosts without a selector serve.
    hosts: HostIndex,
    /// Routes that hosts with a selector serve, each selector's.
    selected: Vec<(Selector, HostIndex)>,
}

impl RouteTable {
    /// Compiles a configuration. `previous` lends what it has in common with it; the result
    /// answers as one compiled without it.
    pub fn compile(config: &Arc<GatewayConfig>, previous: &Self) -> Self {
        let (gone, new) = difference(&previous.config, config);
        // Where most has changed, patching would cost more than beginning anew.
        let patched = gone.len() + new.len() <= config.groups.len() / 4;
        let all: Groups<'_> = match patched {
            true => vec![],
            false => config.groups.iter().collect(),
        };
        let takes = |group: &RouteGroup| group.attachment.by_host || is_probe(group);
        let hosts = match patched {
            true => patch(&previous.hosts, &gone, &new, takes),
            false => patch(&HostIndex::default(), &[], &all, takes),
        };
        let selectors = selectors(config);
        let selected = selectors.iter().map(|selector| {
            let takes = |group: &RouteGroup| {
                group.attachment.selectors.contains(selector) || is_probe(group)
            };
            let known = previous.selected.iter().find(|(known, _)| known == selector);
            let index = match known.filter(|_| patched) {
                Some((_, known)) => patch(known, &gone, &new, takes),
                None => {
                    let all: Groups<'_> = config.groups.iter().collect();
                    patch(&HostIndex::default(), &[], &all, takes)
                }
            };
            (Arc::clone(selector), index)
        });
        let selected = selected.collect();
        let same_listeners = config.listeners.len() == previous.config.listeners.len()
            && config
                .listeners
                .iter()
                .zip(&previous.config.listeners)
                .all(|(a, b)| Arc::ptr_eq(a, b));
        let listeners = match same_listeners {
            true => Arc::clone(&previous.listeners),
            false => listeners::compile(config, &selectors).into(),
        };
        Self { config: Arc::clone(config), listeners, hosts, selected }
    }

    /// What it was compiled from.
    pub fn config(&self) -> &Arc<GatewayConfig> {
        &self.config
    }

    /// All ports, in the order of the configuration.
    pub fn listeners(&self) -> &[ListenerTable] {
        &self.listeners
    }

    /// The port that is listened on at an address; `None` is the process' own.
    pub fn listener(&self, address: Option<IpAddr>, port: u16) -> Option<&ListenerTable> {
        listeners::find(&self.listeners, address, port)
    }

    /// What answers a request that came to `host` of `listener`: of all groups that the host
    /// serves, whose match holds and whose shares leave the draw to one of their members, the one
    /// with the greatest [`Precedence`]. `secure` is whether the request's `x-forwarded-proto`
    /// says https; the listener's security model decides whether that counts.
    pub fn find(
        &self,
        listener: &ListenerTable,
        host: &HostTable,
        secure: bool,
        head: &RequestHead<'_>,
    ) -> Found<'_> {
        let mut best: Option<(&Precedence, Mode)> = None;
        for member in host.members().unwrap_or_default() {
            let mode = Mode::of(listener.spec(), &member.host, secure);
            let Some(index) = self.index(member) else { continue };
            let mut own = best.map(|(precedence, _)| precedence);
            let known = own;
            let accepts = |group: &RouteGroup| {
                (mode != Mode::Reject || is_always_served(group)) && answers(group, head)
            };
            index.visit(head.host, |paths| paths.search(head.path, &mut own, &accepts));
            if let Some(own) = own
                && known.is_none_or(|known| !std::ptr::eq(known, own))
            {
                best = Some((own, mode));
            }
        }
        let Some((precedence, mode)) = best else { return Found::NoRoute };
        let group = precedence.group();
        match (mode, group.pick(head.draw)) {
            (Mode::Redirect, Some(_)) if !is_always_served(group) => Found::RedirectToHttps,
            (_, Some(leg)) => Found::Route(leg),
            (_, None) => Found::NoRoute,
        }
    }

    /// The route that answers a request, of all that hosts without a selector serve: what
    /// [`find`](Self::find) gives where there is one host of any name.
    pub fn find_any(&self, head: &RequestHead<'_>) -> Option<&Arc<Leg>> {
        let mut best: Option<&Precedence> = None;
        let accepts = |group: &RouteGroup| answers(group, head);
        self.hosts.visit(head.host, |paths| paths.search(head.path, &mut best, &accepts));
        best.and_then(|precedence| precedence.group().pick(head.draw))
    }

    fn index(&self, member: &Member) -> Option<&HostIndex> {
        match member.index {
            None => Some(&self.hosts),
            Some(position) => self.selected.get(position).map(|(_, index)| index),
        }
    }
}

/// An index without what is gone and with what is new, as far as it takes either.
fn patch(
    index: &HostIndex,
    gone: &[&Arc<RouteGroup>],
    new: &[&Arc<RouteGroup>],
    takes: impl Fn(&RouteGroup) -> bool,
) -> HostIndex {
    let mut index = index.clone();
    for group in gone.iter().filter(|group| takes(group)) {
        index.remove(group);
    }
    for group in new.iter().filter(|group| takes(group)) {
        index.insert(Precedence::of(group));
    }
    index
}

/// Whether a group that host and path have led to answers the request.
fn answers(group: &RouteGroup, head: &RequestHead<'_>) -> bool {
    let matches = group.matches();
    let host_regex_holds = match &matches.host {
        Some(host @ HostMatch::Regex(_)) => host_holds(host, head.host),
        _ => true,
    };
    host_regex_holds && residual_holds(matches, head) && group.pick(head.draw).is_some()
}

type Groups<'a> = Vec<&'a Arc<RouteGroup>>;

/// The groups that only the old configuration has, and those that only the new one has, by address:
/// a build lends what came out equal.
fn difference<'a>(old: &'a GatewayConfig, new: &'a GatewayConfig) -> (Groups<'a>, Groups<'a>) {
    let changes = new.groups.changes(&old.groups);
    let gone = changes.iter().filter_map(|change| change.old).collect();
    (gone, changes.iter().filter_map(|change| change.new).collect())
}
