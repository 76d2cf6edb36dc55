//! Kubernetes Services and their endpoints, reduced to what routing needs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::cluster::ServiceRef;
use super::key::ServiceKey;

/// A Service: its ports, and whether anything answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its identity.
    pub key: ServiceKey,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// It is an alias of an external name, and so has no endpoints of its own.
    pub external_name: bool,
    /// It has a selector, so that its endpoints are Kubernetes' to find.
    pub has_selector: bool,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where it has none. EndpointSlices refer to ports by this name.
    pub name: Arc<str>,
    /// Its number.
    pub port: u16,
}

/// One EndpointSlice: some of the endpoints of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service (label `kubernetes.io/service-name`).
    pub service: ServiceKey,
    /// The slice's ports by name; a slice's port is the *target* port.
    pub ports: Vec<ServicePort>,
    /// Addresses that are ready to serve.
    pub ready: Vec<Ready>,
    /// Addresses that still serve, but are about to end.
    pub ending: Vec<IpAddr>,
    /// The zone of the gateway's own pod, where it is one of the endpoints.
    pub own_zone: Option<Arc<str>>,
}

/// An address that is ready to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The address.
    pub address: IpAddr,
    /// The zones that it is meant for (`hints.forZones`); empty where nobody says.
    pub zones: Vec<Arc<str>>,
}

/// How the gateway knows the zone that it runs in (`NUNCIO_ZONE`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OwnZone {
    /// By the EndpointSlices of the gateway's own Services: they say where its pod is.
    #[default]
    Found,
    /// It is told.
    Named(Arc<str>),
    /// It doesn't want to know: hints have no effect.
    Ignored,
}

/// All ready endpoints, by Service port. A missing key means that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// Addresses by Service port, sorted and without duplicates.
    pub by_service: BTreeMap<ServiceRef, Arc<[SocketAddr]>>,
}

impl Endpoints {
    /// The ready addresses of a Service port.
    pub fn get(&self, reference: &ServiceRef) -> &[SocketAddr] {
        self.by_service.get(reference).map_or(&[], |addresses| addresses)
    }

    /// All ports of one Service with their addresses, in port order.
    pub fn of_service(
        &self,
        service: &ServiceKey,
    ) -> impl Iterator<Item = (&ServiceRef, &Arc<[SocketAddr]>)> {
        let from = ServiceRef { service: service.clone(), port: 0 };
        let service = service.clone();
        self.by_service.range(from..).take_while(move |(reference, _)| reference.service == service)
    }
}

/// The addresses of each port of `service` over all its `slices`, empty ones included, in port
/// order. Where Kubernetes wants traffic to stay in its zone, those for `zone`, the gateway's own.
/// Where none is ready, those that are about to end serve on: the last pod goes, or all are
/// replaced at once, without a request lost (as kube-proxy does, KEP-1669).
pub fn build_endpoints<'a>(
    service: &Service,
    slices: &(impl Iterator<Item = &'a EndpointSlice> + Clone),
    zone: Option<&str>,
) -> Vec<(ServiceRef, Arc<[SocketAddr]>)> {
    let single = service.ports.len() == 1;
    let mut endpoints: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            // A Service with one port may name it in the slice or not.
            let is_target = |slice: &EndpointSlice, target: &ServicePort| {
                target.name == port.name || (single && slice.ports.len() == 1)
            };
            let targets = slices.clone().flat_map(|slice| {
                let targets = slice.ports.iter().filter(|target| is_target(slice, target));
                targets.map(move |target| (slice, target.port)).collect::<Vec<_>>()
            });
            let ready = targets.clone().flat_map(|(slice, port)| {
                let socket = move |one: &'a Ready| (SocketAddr::new(one.address, port), one);
                slice.ready.iter().map(socket)
            });
            let mut addresses = select_zone(ready.collect(), zone);
            if addresses.is_empty() {
                let ending = targets.flat_map(|(slice, port)| {
                    slice.ending.iter().map(move |ip| SocketAddr::new(*ip, port))
                });
                addresses = ending.collect();
            }
            addresses.sort_unstable();
            addresses.dedup();
            let reference = ServiceRef { service: service.key.clone(), port: port.port };
            (reference, addresses.into())
        })
        .collect();
    endpoints.sort_unstable();
    endpoints
}

/// The addresses that are meant for `zone`, by kube-proxy's rule: hints count only where every
/// ready endpoint has one and one of them is for this zone; else all are used. So half-written
/// hints, or a zone whose endpoints are gone, cost distance and no request.
fn select_zone(ready: Vec<(SocketAddr, &Ready)>, zone: Option<&str>) -> Vec<SocketAddr> {
    let is_for = |one: &Ready| zone.is_some_and(|zone| one.zones.iter().any(|it| **it == *zone));
    let all_have_hints = ready.iter().all(|(_, one)| !one.zones.is_empty());
    let by_zone = all_have_hints && ready.iter().any(|(_, one)| is_for(one));
    let wanted = ready.into_iter().filter(|(_, one)| !by_zone || is_for(one));
    wanted.map(|(address, _)| address).collect()
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
