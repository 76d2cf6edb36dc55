//! Where a cluster's addresses come from, and the newest that are known.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::dns::{Answer, Dns};
use crate::model::cluster::{ServiceRef, Upstream};
use crate::model::key::ServiceKey;
use crate::model::policy::DnsPolicy;
use crate::model::service::Endpoints;
use crate::proxy::error::Failure;
use crate::publish::Reader;

type Addresses = Arc<[SocketAddr]>;

/// The source of one cluster's addresses.
#[derive(Debug)]
pub(crate) enum Source {
    /// One that never changes.
    Fixed(Addresses),
    /// The published endpoints of a Service.
    Endpoints(Seen),
    /// A name.
    Name(Name),
}

/// The endpoints of a Service as last seen, so that a request need not search for them.
#[derive(Debug)]
pub(crate) struct Seen {
    reference: ServiceRef,
    // By generation, not by the value: a cluster that lies idle must not keep old ones alive.
    last: RefCell<Option<(u64, Option<Addresses>)>>,
}

/// A name: one of a Service if that is wanted and there is such a Service, else DNS.
#[derive(Debug)]
pub(crate) struct Name {
    service: Option<Seen>,
    host: Arc<str>,
    port: u16,
    policy: DnsPolicy,
    dns: Dns,
    asked: RefCell<Option<Asked>>,
}

#[derive(Debug)]
struct Asked {
    answers: watch::Receiver<Answer>,
    last: Option<Result<Addresses, Failure>>,
}

impl Seen {
    fn new(reference: ServiceRef) -> Self {
        Self { reference, last: RefCell::default() }
    }

    /// The addresses; `None` where the Service isn't known.
    fn get(&self, endpoints: &RefCell<Reader<Endpoints>>) -> Option<Addresses> {
        let mut reader = endpoints.borrow_mut();
        reader.get();
        let generation = reader.generation();
        let mut last = self.last.borrow_mut();
        if let Some((seen, addresses)) = &*last
            && *seen == generation
        {
            return addresses.clone();
        }
        let addresses = reader.get().by_service.get(&self.reference).cloned();
        *last = Some((generation, addresses.clone()));
        addresses
    }
}

impl Source {
    /// The addresses, if they are known without waiting.
    pub(crate) fn known(
        &self,
        endpoints: &RefCell<Reader<Endpoints>>,
    ) -> Option<Result<Addresses, Failure>> {
        match self {
            Self::Fixed(addresses) => Some(Ok(Arc::clone(addresses))),
            Self::Endpoints(seen) => Some(Ok(seen.get(endpoints).unwrap_or_else(|| [].into()))),
            Self::Name(name) => {
                let service = name.service.as_ref().and_then(|seen| seen.get(endpoints));
                service.map(Ok).or_else(|| name.answer())
            }
        }
    }

    /// Waits for the first answer about a name.
    pub(crate) async fn wait(&self) -> Result<Addresses, Failure> {
        let Self::Name(name) = self else { return Err(Failure::NoHealthyUpstream) };
        let mut answers = name.subscribe();
        // An error says that the resolver is gone, as in a process that ends.
        let _ = answers.wait_for(|answer| !matches!(answer, Answer::Pending)).await;
        name.answer().unwrap_or(Err(Failure::NameNotResolved))
    }
}

impl Name {
    fn subscribe(&self) -> watch::Receiver<Answer> {
        let mut asked = self.asked.borrow_mut();
        let asked = asked.get_or_insert_with(|| Asked {
            answers: self.dns.subscribe(&self.host, self.policy),
            last: None,
        });
        asked.answers.clone()
    }

    /// The newest answer, if there has been one.
    fn answer(&self) -> Option<Result<Addresses, Failure>> {
        let mut asked = self.asked.borrow_mut();
        let asked = asked.as_mut()?;
        if asked.last.is_none() || asked.answers.has_changed().unwrap_or(false) {
            asked.last = match &*asked.answers.borrow_and_update() {
                Answer::Pending => None,
                Answer::Missing => Some(Err(Failure::NameNotResolved)),
                Answer::Found(found) => {
                    let address = |ip: &std::net::IpAddr| SocketAddr::new(*ip, self.port);
                    Some(Ok(found.iter().map(address).collect()))
                }
            };
        }
        asked.last.clone()
    }
}

impl Dns {
    /// Where the addresses of an upstream come from.
    pub(crate) fn source(&self, upstream: &Upstream, policy: &DnsPolicy) -> Source {
        match upstream {
            Upstream::Address(address) => Source::Fixed([*address].into()),
            Upstream::Service(reference) => Source::Endpoints(Seen::new(reference.clone())),
            Upstream::Name { host, port } => {
                let names = self.static_names();
                let fixed: Vec<SocketAddr> = names
                    .iter()
                    .filter(|name| name.host.eq_ignore_ascii_case(host) && name.port == *port)
                    .map(|name| name.address)
                    .collect();
                if !fixed.is_empty() {
                    return Source::Fixed(fixed.into());
                }
                if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
                    return Source::Fixed([SocketAddr::new(ip, *port)].into());
                }
                let service = self.service_namespace().and_then(|own| parse_service(host, own));
                Source::Name(Name {
                    service: service.map(|service| Seen::new(ServiceRef { service, port: *port })),
                    host: Arc::clone(host),
                    port: *port,
                    policy: *policy,
                    dns: self.clone(),
                    asked: RefCell::default(),
                })
            }
        }
    }
}

/// `svc`, `svc.ns`, `svc.ns.svc` or `svc.ns.svc.cluster.local`.
fn parse_service(host: &str, own_namespace: &str) -> Option<ServiceKey> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = host.strip_suffix(".cluster.local").unwrap_or(host);
    let labels: Vec<&str> = host.split('.').collect();
    let (name, namespace) = match labels.as_slice() {
        [name] => (*name, own_namespace),
        [name, namespace] | [name, namespace, "svc"] => (*name, *namespace),
        _ => return None,
    };
    Some(ServiceKey { namespace: namespace.into(), name: name.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        for (host, expected) in [
            ("a", Some("own/a")),
            ("a.b", Some("b/a")),
            ("a.b.svc", Some("b/a")),
            ("a.b.svc.cluster.local", Some("b/a")),
            ("a.b.svc.cluster.local.", Some("b/a")),
            ("www.example.com", None),
            ("a.b.pod", None),
        ] {
            let found = parse_service(host, "own").map(|key| key.to_string());
            assert_eq!(found.as_deref(), expected, "{host}");
        }
    }
}
