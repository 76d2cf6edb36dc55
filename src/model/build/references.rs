//! Whether the Services exist that an object names.

use std::sync::Arc;

use crate::model::cluster::{ServiceRef, Upstream};
use crate::model::key::ServiceKey;
use crate::model::object::{Content, Object};
use crate::model::report::{References, Verdict};
use crate::model::snapshot::Snapshot;

/// Looks up what an object names.
pub(super) fn resolve(object: &Object, verdict: &Verdict, snapshot: &Snapshot) -> References {
    if !snapshot.defaults.services_known || matches!(verdict, Verdict::Rejected) {
        return References::Resolved;
    }
    let Content::Route(route) = &object.content else { return References::Resolved };
    let Some(cluster) = route.action.cluster() else { return References::Resolved };
    match &cluster.upstream {
        Upstream::Address(_) => References::Resolved,
        Upstream::Service(reference) => look_up(reference, snapshot),
        Upstream::Name { host, port } => match service_of_name(host, object, snapshot) {
            Some(service) => look_up(&ServiceRef { service, port: *port }, snapshot),
            None => References::Resolved, // a name of the outside world, which only DNS knows
        },
    }
}

/// The Service that a DNS name means, if it is one of the cluster's. `a.b` may also be a name
/// of the outside: it counts as the cluster's where `b` is the object's own namespace, or one
/// that holds any Service at all.
fn service_of_name(host: &str, object: &Object, snapshot: &Snapshot) -> Option<ServiceKey> {
    let key =
        |namespace: &str, name: &str| ServiceKey { namespace: namespace.into(), name: name.into() };
    let mut labels = host.trim_end_matches('.').splitn(4, '.');
    let name = labels.next()?;
    match (labels.next(), labels.next(), labels.next()) {
        (None, _, _) if name == "localhost" => None,
        (None, _, _) => Some(key(&object.key.namespace, name)),
        (Some(namespace), Some("svc"), None | Some("cluster.local")) => Some(key(namespace, name)),
        (Some(namespace), None, _)
            if *namespace == *object.key.namespace || has_services(namespace, snapshot) =>
        {
            Some(key(namespace, name))
        }
        _ => None,
    }
}

fn has_services(namespace: &str, snapshot: &Snapshot) -> bool {
    let from = ServiceKey { namespace: namespace.into(), name: Arc::from("") };
    snapshot
        .services
        .by_key
        .range(from..)
        .next()
        .is_some_and(|(key, _)| &*key.namespace == namespace)
}

fn look_up(reference: &ServiceRef, snapshot: &Snapshot) -> References {
    let Some(service) = snapshot.services.by_key.get(&reference.service) else {
        return References::ServiceNotFound(reference.service.clone());
    };
    if service.external_name {
        return References::Resolved; // an alias: any port, and no endpoints of its own
    }
    if !service.ports.iter().any(|port| port.port == reference.port) {
        let ports = service.ports.iter().map(|port| port.port).collect();
        return References::PortNotFound(reference.clone(), ports);
    }
    match snapshot.services.with_endpoints.contains(&reference.service) {
        true => References::Resolved,
        false => References::NoEndpoints(reference.service.clone()),
    }
}
