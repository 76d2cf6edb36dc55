//! Listeners: which ports, and which hosts and connections are served there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Candidate;
use super::hosts::{BuiltHost, age, default_host};
use super::secrets::Secrets;
use super::select::labels_hold;
use super::tcp::BuiltGroup;
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

/// The accepted Listeners in the order of their keys; of those with the same port the oldest is
/// kept.
fn written<'a>(candidates: &mut [Candidate<'a>]) -> Vec<(&'a Arc<Object>, &'a Arc<ListenerSpec>)> {
    let mut owners: BTreeMap<u16, &'a Arc<Object>> = BTreeMap::new();
    for (object, spec) in candidates.iter().filter_map(accepted) {
        let owner = owners.entry(spec.port).or_insert(object);
        if age(object) < age(owner) {
            *owner = object;
        }
    }
    let mut asked = Vec::new();
    for candidate in candidates {
        let Some((object, spec)) = accepted(candidate) else { continue };
        match owners.get(&spec.port) {
            Some(owner) if owner.key != object.key => {
                let (with, conflict) = (Arc::clone(&owner.key), Conflict::Port(spec.port));
                candidate.verdict = Verdict::Conflicted { with, conflict };
            }
            _ => asked.push((object, spec)),
        }
    }
    asked
}

fn accepted<'a>(candidate: &Candidate<'a>) -> Option<(&'a Arc<Object>, &'a Arc<ListenerSpec>)> {
    match (&candidate.verdict, &candidate.object.content) {
        (Verdict::Accepted, Content::Listener(spec)) => Some((candidate.object, spec)),
        _ => None,
    }
}

/// The one plain port that is there without a Listener. It has no TLS, so that the fallback
/// certificate has no place on it.
fn without_objects(
    snapshot: &Snapshot,
    candidates: &[Candidate<'_>],
    hosts: &[BuiltHost<'_>],
) -> Listener {
    let mut served: Vec<_> = hosts.iter().map(|host| Arc::clone(&host.host)).collect();
    if !any_host(candidates) {
        served.push(Arc::new(VirtualHost::any()));
    }
    Listener { hosts: served, ..Listener::plain(snapshot.defaults.http_port) }
}

/// Whether there is a Host that can be read, also one that isn't served. One that can't closes its
/// own name, as far as that is known; for all others nothing changes, so that a mistake of one
/// tenant costs no other.
fn any_host(candidates: &[Candidate<'_>]) -> bool {
    candidates.iter().any(|candidate| matches!(candidate.object.content, Content::Host(_)))
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
