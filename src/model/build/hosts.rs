//! Hosts: their TLS, and whether two of one name can live together.

use std::collections::HashMap;
use std::sync::Arc;

use super::Candidate;
use super::environment::Environment;
use super::secrets::{Secrets, host_parts, host_termination};
use crate::model::key::ObjectKey;
use crate::model::listener::{InsecureAction, VirtualHost};
use crate::model::object::{Content, Object};
use crate::model::report::{Conflict, Verdict};
use crate::model::route::HostMatch;
use crate::model::tls::{Termination, TlsParameters};

/// A Host with the object that a Listener looks at.
#[derive(Debug, Clone)]
pub(super) struct BuiltHost<'a> {
    /// Its index among the candidates.
    pub(super) index: usize,
    /// The object.
    pub(super) object: &'a Arc<Object>,
    /// What is served.
    pub(super) host: Arc<VirtualHost>,
}

/// All Hosts that are served, or closed, in the order of their keys. Those that can't be are told
/// so. `previous` lends what came out equal.
pub(super) fn build_hosts<'a>(
    candidates: &mut [Candidate<'a>],
    environment: &Environment,
    secrets: &Secrets<'_>,
    previous: &[Arc<VirtualHost>],
) -> Vec<BuiltHost<'a>> {
    let mut hosts: Vec<BuiltHost<'a>> = Vec::new();
    let mut first: HashMap<(HostMatch, Option<u16>), usize> = HashMap::new();
    for index in oldest_first(candidates) {
        let object = candidates[index].object;
        let (spec, tls) = match &object.content {
            Content::Host(spec) => {
                let parts = host_parts(&object.key, spec, environment);
                let tls = parts.and_then(|parts| host_termination(&parts, secrets));
                (spec, tls.map_err(Some))
            }
            Content::Closed(spec) => (spec, Err(None)),
            _ => continue,
        };
        let closed = tls.is_err();
        let tls = tls.unwrap_or_else(|missing| {
            if let Some(missing) = missing {
                candidates[index].verdict = Verdict::Unresolved(Box::new(missing));
            }
            None
        });
        let name = (spec.name.clone(), spec.port);
        if let Some(rival) = first.get(&name).map(|rival| &hosts[*rival])
            // One that is closed has no TLS: it is told already, and closes all of its name.
            && rival.host.tls.is_some()
            && tls.is_some()
            && rival.host.tls != tls
        {
            let with = Arc::clone(&rival.object.key);
            candidates[index].verdict = Verdict::Conflicted { with, conflict: Conflict::Tls };
            continue;
        }
        let host = VirtualHost {
            key: Some(object.key.clone()),
            name: spec.name.clone(),
            port: spec.port,
            tls,
            insecure: spec.insecure,
            selector: Arc::clone(&spec.selector),
            closed,
        };
        first.entry(name).or_insert(hosts.len());
        hosts.push(BuiltHost { index, object, host: Arc::new(host) });
    }
    hosts.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    lend(&mut hosts, previous);
    hosts
}

/// The indices of accepted and of closed Hosts, so that nobody takes a name that another has had before.
fn oldest_first(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let is_host = |candidate: &Candidate<'_>| match candidate.object.content {
        Content::Host(_) => candidate.verdict == Verdict::Accepted,
        Content::Closed(_) => candidate.verdict == Verdict::Rejected,
        _ => false,
    };
    let mut indices: Vec<usize> =
        (0..candidates.len()).filter(|index| is_host(&candidates[*index])).collect();
    indices.sort_by_key(|index| age(candidates[*index].object));
    indices
}

/// The order in which objects come to what only one of them can have.
pub(super) fn age(object: &Object) -> (i64, &ObjectKey) {
    (object.created.unwrap_or(i64::MAX), &object.key)
}

fn lend(hosts: &mut [BuiltHost<'_>], previous: &[Arc<VirtualHost>]) {
    let mut old = previous.iter().peekable();
    for BuiltHost { host, .. } in hosts {
        while old.next_if(|old| old.key < host.key).is_some() {}
        if let Some(old) = old.next_if(|old| *old == host) {
            *host = Arc::clone(old);
        }
    }
}

/// The host that is there where nobody asks for one: with TLS where its certificate is.
pub(super) fn default_host(secrets: &Secrets<'_>) -> VirtualHost {
    match secrets.fallback() {
        Some(certificate) => {
            let parameters = TlsParameters::default();
            let tls = Termination { certificate, clients: None, parameters };
            VirtualHost {
                tls: Some(Arc::new(tls)),
                insecure: InsecureAction::Redirect,
                ..VirtualHost::any()
            }
        }
        None => VirtualHost::any(),
    }
}
