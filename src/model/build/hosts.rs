//! Hosts: their TLS, and whether two of one name can live together.

use std::collections::HashMap;
use std::sync::Arc;

use super::Candidate;
use super::environment::Environment;
use super::secrets::{Secrets, host_termination};
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
    let mut lender = previous.iter().peekable();
    for index in 0..candidates.len() {
        let object = candidates[index].object;
        let Content::Host(spec) = &object.content else { continue };
        if candidates[index].verdict != Verdict::Accepted {
            continue;
        }
        let tls = host_termination(&object.key, spec, environment, secrets);
        let closed = tls.is_err();
        let tls = tls.unwrap_or_else(|missing| {
            candidates[index].verdict = Verdict::Unresolved(Box::new(missing));
            None
        });
        let name = (spec.name.clone(), spec.port);
        if let Some(rival) = first.get(&name).map(|rival| &hosts[*rival])
            // One that is closed has no TLS: it is told already, and closes all of its name.
            && rival.host.tls.is_some()
            && tls.is_some()
            && rival.host.tls != tls
        {
            let with = Box::new(rival.object.key.clone());
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
        while lender.next_if(|old| old.key < host.key).is_some() {}
        let host = match lender.next_if(|old| ***old == host) {
            Some(old) => Arc::clone(old),
            None => Arc::new(host),
        };
        first.entry(name).or_insert(hosts.len());
        hosts.push(BuiltHost { index, object, host });
    }
    hosts
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
