//! Whether what an object names exists: Services, and certificates whose time is now.

use std::sync::Arc;

use super::environment::Environment;
use super::routes::Prepared;
use super::secrets::{Parts, Secrets, context_faults, host_parts};
use crate::model::cluster::{Cluster, ServiceRef, Upstream};
use crate::model::config::GatewayConfig;
use crate::model::key::ServiceKey;
use crate::model::listener::{Listener, VirtualHost};
use crate::model::object::{Content, Object};
use crate::model::report::{Missing, References, Verdict, Warning};
use crate::model::snapshot::Snapshot;
use crate::model::tls::Certificate;
use crate::model::written::TlsSpec;

/// Where things are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup<'a> {
    /// The inputs.
    pub(super) snapshot: &'a Snapshot,
    /// What objects share.
    pub(super) environment: &'a Environment,
    /// What is served.
    pub(super) config: &'a GatewayConfig,
    /// All Hosts, in the order of their keys.
    pub(super) hosts: &'a [Arc<VirtualHost>],
}

impl Lookup<'_> {
    /// Looks up what an object names; `route` is what became of it, where it has one.
    pub(super) fn references(
        &self,
        object: &Object,
        verdict: &Verdict,
        route: Option<&Prepared>,
    ) -> References {
        if *verdict == Verdict::Rejected {
            return References::Resolved;
        }
        match &object.content {
            Content::Route(_) => match route.and_then(Prepared::served) {
                Some(route) => {
                    let cluster = route.action.cluster();
                    cluster.map_or(References::Resolved, |cluster| self.service(object, cluster))
                }
                None => References::Resolved,
            },
            Content::TcpRoute(_) => {
                let groups = self.config.listeners.iter().flat_map(|listener| &listener.tcp);
                let mut legs = groups.flat_map(|group| &group.legs);
                let leg = legs.find(|leg| leg.key == object.key);
                leg.map_or(References::Resolved, |leg| self.service(object, &leg.cluster))
            }
            Content::Host(spec) => match self.host_certificate(object) {
                Some(certificate) => {
                    let parts = host_parts(&object.key, spec, self.environment).ok();
                    self.certificate(parts.as_ref(), Some(certificate))
                }
                None => References::Resolved,
            },
            Content::TlsContext(spec) => match self.context_certificate(spec) {
                Err(missing) => References::Missing(Box::new(missing)),
                Ok(certificate) => {
                    let parts = Parts::of_context(self.names_read(spec));
                    self.certificate(Some(&parts), certificate.as_deref())
                }
            },
            _ => References::Resolved,
        }
    }

    /// What will go wrong with a certificate that an object names.
    pub(super) fn warning(&self, object: &Object, verdict: &Verdict) -> Option<Warning> {
        if *verdict != Verdict::Accepted || self.snapshot.now == 0 {
            return None;
        }
        let of = |certificate: &Certificate| Warning::of(certificate, self.snapshot.now);
        match &object.content {
            Content::Host(_) => of(self.host_certificate(object)?),
            Content::TlsContext(spec) => of(&*self.context_certificate(spec).ok()??),
            _ => None,
        }
    }

    fn names_read<'a>(&'a self, spec: &'a TlsSpec) -> &'a TlsSpec {
        self.environment.undivided(spec).map_or(spec, |read| &**read)
    }

    fn context_certificate(&self, spec: &TlsSpec) -> Result<Option<Arc<Certificate>>, Missing> {
        context_faults(self.names_read(spec), &Secrets::new(self.snapshot))
    }

    /// Why serving can't listen where an object asks for it.
    pub(super) fn failure(&self, object: &Object) -> Option<Arc<str>> {
        let failed = &self.snapshot.observations.failed_listeners;
        if failed.is_empty() {
            return None;
        }
        let asks = |listener: &&Arc<Listener>| match &object.content {
            Content::Listener(_) => listener.key.as_ref() == Some(&object.key),
            Content::TcpRoute(_) => {
                let mut legs = listener.tcp.iter().flat_map(|group| &group.legs);
                legs.any(|leg| leg.key == object.key)
            }
            _ => false,
        };
        let listener = self.config.listeners.iter().find(asks)?;
        failed.get(&(listener.address, listener.port)).cloned()
    }

    /// The certificate that a Host is served with.
    fn host_certificate(&self, object: &Object) -> Option<&Certificate> {
        let key = Some(&object.key);
        let found = self.hosts.binary_search_by(|host| host.key.as_ref().cmp(&key));
        Some(&*self.hosts[found.ok()?].tls.as_ref()?.certificate)
    }

    /// Whether what TLS is made of is what stands there now, and its time is now too.
    fn certificate(
        &self,
        parts: Option<&Parts<'_>>,
        certificate: Option<&Certificate>,
    ) -> References {
        let outdated = parts.and_then(|parts| Secrets::new(self.snapshot).outdated(parts));
        match (outdated, certificate) {
            (Some((missing, kept)), _) => References::Outdated(Box::new(missing), kept),
            (None, Some(certificate)) => self.validity(certificate),
            (None, None) => References::Resolved,
        }
    }

    fn validity(&self, certificate: &Certificate) -> References {
        match self.snapshot.now {
            0 => References::Resolved, // nobody knows the time
            now if now > certificate.not_after => References::Expired(certificate.not_after),
            now if now < certificate.not_before => References::NotYetValid(certificate.not_before),
            _ => References::Resolved,
        }
    }

    fn service(&self, object: &Object, cluster: &Cluster) -> References {
        let snapshot = self.snapshot;
        if !snapshot.defaults.services_known {
            return References::Resolved;
        }
        match &cluster.upstream {
            Upstream::Address(_) => References::Resolved,
            Upstream::Service(reference) => look_up(reference, snapshot),
            Upstream::Name { host, port } => match service_of_name(host, object, snapshot) {
                Some(service) => look_up(&ServiceRef { service, port: *port }, snapshot),
                None => References::Resolved, // a name of the outside world, which only DNS knows
            },
        }
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
