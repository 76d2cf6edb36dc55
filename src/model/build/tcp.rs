//! TCPMappings: those of the same port and name share its connections.
//!
//! Shares are exact. Emissary gives Envoy cumulative weights, so that 30 and 70 become 30 to 100.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Candidate;
use super::attach::hosts_overlap;
use super::clusters::build_cluster;
use super::environment::Environment;
use super::groups::shares;
use super::hosts::BuiltHost;
use super::secrets::{Secrets, context_termination};
use crate::model::cluster::Cluster;
use crate::model::listener::{TcpGroup, TcpLeg, VirtualHost};
use crate::model::object::Content;
use crate::model::policy::Limit;
use crate::model::report::{Conflict, Missing, Verdict};
use crate::model::route::HostMatch;
use crate::model::tls::Termination;
use crate::model::written::TcpRoute;

/// Time without a byte where nothing is written (Envoy's TCP proxy: 1 h).
const IDLE_TIMEOUT: Limit = Limit::After(std::time::Duration::from_secs(3600));

/// The whole of a group's connections, in percent.
const WHOLE: u8 = 100;

/// A group and where it listens.
#[derive(Debug)]
pub(super) struct BuiltGroup {
    /// The address; `None` is the process' own.
    pub(super) address: Option<IpAddr>,
    /// The port.
    pub(super) port: u16,
    /// Its members.
    pub(super) group: Arc<TcpGroup>,
}

/// What the members of a group have in common.
type GroupKey = (Option<IpAddr>, u16, Option<HostMatch>);

/// All groups, by address, port and name. Members that can't be served are told so.
pub(super) fn build_groups(
    candidates: &mut [Candidate<'_>],
    hosts: &[BuiltHost<'_>],
    environment: &Environment,
    secrets: &Secrets<'_>,
) -> Vec<BuiltGroup> {
    let mut sets: BTreeMap<GroupKey, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(route) = accepted(candidate) {
            let key = (route.address, route.port, route.sni.clone());
            sets.entry(key).or_default().push(index);
        }
    }
    let mut groups = Vec::new();
    for ((address, port, sni), mut set) in sets {
        set.sort_by_key(|index| {
            let object = candidates[*index].object;
            (object.created.unwrap_or(i64::MAX), &object.key)
        });
        let members = admit(candidates, &set, hosts, environment, secrets);
        let Some((tls, legs)) = members else { continue };
        groups.push(BuiltGroup { address, port, group: Arc::new(TcpGroup { sni, tls, legs }) });
    }
    groups
}

fn accepted<'a>(candidate: &Candidate<'a>) -> Option<&'a Arc<TcpRoute>> {
    match (&candidate.verdict, &candidate.object.content) {
        (Verdict::Accepted, Content::TcpRoute(route)) => Some(route),
        _ => None,
    }
}

/// How a group ends TLS, and its members.
type Members = (Option<Arc<Termination>>, Vec<Arc<TcpLeg>>);

/// The members of a set (oldest first) that can live together; none is no group.
fn admit(
    candidates: &mut [Candidate<'_>],
    set: &[usize],
    hosts: &[BuiltHost<'_>],
    environment: &Environment,
    secrets: &Secrets<'_>,
) -> Option<Members> {
    let mut tls: Option<Option<Arc<Termination>>> = None;
    let mut members: Vec<(usize, Option<u8>, Arc<Cluster>)> = Vec::new();
    let mut left = WHOLE;
    for &index in set {
        let Some(route) = accepted(&candidates[index]) else { continue };
        let parts = build_cluster(&route.upstream, environment).and_then(|cluster| {
            Ok((Arc::new(cluster), termination(route, hosts, environment, secrets)?))
        });
        let (cluster, own_tls) = match parts {
            Ok(parts) => parts,
            Err(missing) => {
                candidates[index].verdict = Verdict::Unresolved(Box::new(missing));
                continue;
            }
        };
        let own = route.weight.unwrap_or(0);
        let conflict = match (&tls, members.last()) {
            (Some(first), Some(_)) if *first != own_tls => Some((members[0].0, Conflict::Tls)),
            (_, Some(last)) if own > left => Some((last.0, Conflict::Weight { own, left })),
            _ => None,
        };
        if let Some((with, conflict)) = conflict {
            let with = Arc::clone(&candidates[with].object.key);
            candidates[index].verdict = Verdict::Conflicted { with, conflict };
            continue;
        }
        left = left.saturating_sub(own);
        tls.get_or_insert(own_tls);
        members.push((index, route.weight, cluster));
    }
    let weights: Vec<Option<u8>> = members.iter().map(|(_, weight, _)| *weight).collect();
    let shares = shares(&weights);
    let legs = members.into_iter().zip(shares).filter_map(|((index, _, cluster), share)| {
        let route = accepted(&candidates[index])?;
        let key = candidates[index].object.key.clone();
        let idle_timeout = route.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        Some(Arc::new(TcpLeg { key, share, cluster, idle_timeout }))
    });
    Some((tls?, legs.collect()))
}

/// How TLS is ended for a name: as the first Host of that name does it, or else the TLSContext
/// that lists it (Emissary). Without a name, or where it is passed on, bytes stay as they are.
fn termination(
    route: &TcpRoute,
    hosts: &[BuiltHost<'_>],
    environment: &Environment,
    secrets: &Secrets<'_>,
) -> Result<Option<Arc<Termination>>, Missing> {
    let Some(sni) = route.sni.as_ref().filter(|_| !route.passthrough) else { return Ok(None) };
    let named = || hosts.iter().map(|built| &built.host);
    if named().any(|host| host.closed && host.name == *sni) {
        return Err(Missing::Termination);
    }
    let takes = |host: &&Arc<VirtualHost>| host.tls.is_some() && hosts_overlap(&host.name, sni);
    if let Some(host) = named().find(takes) {
        return Ok(host.tls.clone());
    }
    let context = match sni {
        HostMatch::Exact(name) => environment.context_of_host(name),
        _ => None,
    };
    match context {
        Some((_, context)) => context_termination(&context.spec, secrets).map(Some),
        None => Err(Missing::Termination),
    }
}
