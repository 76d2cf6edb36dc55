//! Listeners: which ports, and which hosts and connections are served there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Candidate;
use super::hosts::{BuiltHost, default_host};
use super::secrets::Secrets;
use super::select::labels_hold;
use super::tcp::BuiltGroup;
use crate::model::key::ObjectKey;
use crate::model::listener::{Listener, SecurityModel, Stack, VirtualHost};
use crate::model::object::{Content, Object};
use crate::model::report::{Conflict, Detached, Verdict};
use crate::model::snapshot::Snapshot;
use crate::model::written::ListenerSpec;

/// An address (`None` is the process' own) and a port.
type Socket = (Option<IpAddr>, u16);

/// What is listened on, in the order of their keys; those that nobody asked for come last.
/// Objects that aren't served are told so. `previous` lends what came out equal.
pub(super) fn build_listeners(
    snapshot: &Snapshot,
    candidates: &mut [Candidate<'_>],
    hosts: &[BuiltHost<'_>],
    tcp: Vec<BuiltGroup>,
    previous: &[Arc<Listener>],
) -> Vec<Arc<Listener>> {
    let asked = written(candidates);
    let mut listeners = match asked.is_empty() {
        true => vec![without_objects(snapshot, candidates, hosts)],
        false => {
            let of = |(object, spec): &(&Arc<Object>, &Arc<ListenerSpec>)| {
                listener(snapshot, candidates, object, spec, hosts)
            };
            asked.iter().map(of).collect()
        }
    };
    for host in hosts {
        let served = listeners.iter().flat_map(|listener| &listener.hosts);
        let served = served.filter_map(|served| served.key.as_ref());
        if candidates[host.index].verdict == Verdict::Accepted
            && !served.into_iter().any(|key| *key == host.object.key)
        {
            candidates[host.index].verdict = Verdict::NotAttached(Detached::NoListener);
        }
    }
    join_tcp(&mut listeners, tcp);
    lend(listeners, previous)
}

/// The accepted Listeners; of those with the same port the first is kept.
fn written<'a>(candidates: &mut [Candidate<'a>]) -> Vec<(&'a Arc<Object>, &'a Arc<ListenerSpec>)> {
    let mut asked: Vec<(&Arc<Object>, &Arc<ListenerSpec>)> = Vec::new();
    let mut owners: BTreeMap<u16, ObjectKey> = BTreeMap::new();
    for candidate in candidates {
        let object = candidate.object;
        let (Verdict::Accepted, Content::Listener(spec)) = (&candidate.verdict, &object.content)
        else {
            continue;
        };
        if let Some(owner) = owners.get(&spec.port) {
            let with = Box::new(owner.clone());
            candidate.verdict = Verdict::Conflicted { with, conflict: Conflict::Port(spec.port) };
            continue;
        }
        owners.insert(spec.port, object.key.clone());
        asked.push((object, spec));
    }
    asked
}

/// The one plain port that is there without a Listener. It has no TLS, so that the fallback
/// certificate has no place on it.
fn without_objects(
    snapshot: &Snapshot,
    candidates: &[Candidate<'_>],
    hosts: &[BuiltHost<'_>],
) -> Listener {
    let plain = Listener::plain(snapshot.defaults.http_port);
    match any_host(candidates) {
        true => Listener { hosts: hosts.iter().map(|h| Arc::clone(&h.host)).collect(), ..plain },
        false => plain,
    }
}

/// Whether there is a Host object, however wrong: the host that is there without any would open
/// what its author wanted to restrict.
fn any_host(candidates: &[Candidate<'_>]) -> bool {
    candidates.iter().any(|candidate| candidate.object.key.kind == crate::model::key::Kind::Host)
}

fn listener(
    snapshot: &Snapshot,
    candidates: &[Candidate<'_>],
    object: &Arc<Object>,
    spec: &ListenerSpec,
    hosts: &[BuiltHost<'_>],
) -> Listener {
    let strict = snapshot.defaults.strict_selectors;
    let takes = |host: &&BuiltHost<'_>| {
        (!spec.hosts.own_namespace || host.object.key.namespace == object.key.namespace)
            && labels_hold(&spec.hosts.selector, &host.object.labels, strict)
    };
    let mut served: Vec<Arc<VirtualHost>> = Vec::new();
    if spec.stack.http {
        served.extend(hosts.iter().filter(takes).map(|host| Arc::clone(&host.host)));
        if !any_host(candidates) {
            served.push(Arc::new(default_host(&Secrets::new(snapshot))));
        }
    }
    Listener {
        key: Some(object.key.clone()),
        address: None,
        port: spec.port,
        stat_prefix: spec.stat_prefix.clone().unwrap_or_else(|| stat_prefix(spec)),
        stack: spec.stack,
        security: spec.security,
        trusted_hops: spec.trusted_hops,
        max_concurrent_streams: spec.max_concurrent_streams,
        hosts: served,
        tcp: Vec::new(),
    }
}

/// Emissary's names.
fn stat_prefix(spec: &ListenerSpec) -> Arc<str> {
    match (spec.stack.http, spec.stack.tls) {
        (true, false) => "ingress_http".into(),
        (true, true) => "ingress_https".into(),
        (false, true) => format!("ingress_tls_{}", spec.port).into(),
        (false, false) => format!("ingress_tcp_{}", spec.port).into(),
    }
}

/// TCP groups join the listener of their port, or get one that nobody asked for.
fn join_tcp(listeners: &mut Vec<Listener>, tcp: Vec<BuiltGroup>) {
    for BuiltGroup { address, port, group } in tcp {
        let socket: Socket = (address, port);
        let position = listeners.iter().position(|known| (known.address, known.port) == socket);
        let listener = match position {
            Some(position) => &mut listeners[position],
            None => {
                listeners.push(for_tcp(socket, group.sni.is_some()));
                let last = listeners.len() - 1;
                &mut listeners[last]
            }
        };
        // Whether it begins with a TLS greeting is looked at wherever a name is asked for.
        listener.stack.tls |= group.sni.is_some();
        listener.tcp.push(group);
    }
}

fn for_tcp((address, port): Socket, tls: bool) -> Listener {
    let kind = if tls { "tls" } else { "tcp" };
    Listener {
        address,
        stat_prefix: format!("ingress_{kind}_{port}").into(),
        stack: Stack { proxy_protocol: false, tls, http: false },
        security: SecurityModel::ForwardedProto,
        hosts: Vec::new(),
        ..Listener::plain(port)
    }
}

fn lend(listeners: Vec<Listener>, previous: &[Arc<Listener>]) -> Vec<Arc<Listener>> {
    let lend = |listener: Listener| match previous.iter().find(|old| ***old == listener) {
        Some(old) => Arc::clone(old),
        None => Arc::new(listener),
    };
    listeners.into_iter().map(lend).collect()
}
