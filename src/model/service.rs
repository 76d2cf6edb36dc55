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
    pub ready: Vec<IpAddr>,
    /// Addresses that still serve, but are about to end.
    pub ending: Vec<IpAddr>,
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
/// order. Where none is ready, those that are about to end serve on: the last pod goes, or all are
/// replaced at once, without a request lost (as kube-proxy does, KEP-1669).
pub fn build_endpoints<'a>(
    service: &Service,
    slices: &(impl Iterator<Item = &'a EndpointSlice> + Clone),
) -> Vec<(ServiceRef, Arc<[SocketAddr]>)> {
    let single = service.ports.len() == 1;
    let mut endpoints: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            // A Service with one port may name it in the slice or not.
            let is_target = move |slice: &EndpointSlice, target: &ServicePort| {
                target.name == port.name || (single && slice.ports.len() == 1)
            };
            let collect = |which: fn(&EndpointSlice) -> &[IpAddr]| {
                let mut addresses: Vec<SocketAddr> = slices
                    .clone()
                    .flat_map(|slice| {
                        let targets = slice.ports.iter();
                        targets.filter(move |target| is_target(slice, target)).flat_map(
                            move |target| {
                                which(slice).iter().map(|ip| SocketAddr::new(*ip, target.port))
                            },
                        )
                    })
                    .collect();
                addresses.sort_unstable();
                addresses.dedup();
                addresses
            };
            let ready = collect(|slice| &slice.ready);
            let addresses = if ready.is_empty() { collect(|slice| &slice.ending) } else { ready };
            let reference = ServiceRef { service: service.key.clone(), port: port.port };
            (reference, addresses.into())
        })
        .collect();
    endpoints.sort_unstable();
    endpoints
}
