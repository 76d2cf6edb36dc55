//! From a [`Snapshot`] to what should be served and what is to be said about each object.
//!
//! The steps, each in a file of its own:
//!
//! 1. [`select`]: of the objects that speak to this gateway, which are candidates, and which are
//!    rejected, shadowed by another of their name, or attached by nothing;
//! 2. [`groups`]: candidates with the same match become one route group with exact shares, and
//!    those that can't live in theirs are told so; [`probes`] adds the gateway's own routes;
//! 3. [`references`]: whether the Services exist that an object names.

mod groups;
mod probes;
mod references;
mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::GatewayConfig;
use super::listener::{InsecureAction, Listener, SecurityModel, Stack, VirtualHost};
use super::object::Object;
use super::policy::HttpPolicy;
use super::report::{Report, Verdict};
use super::route::HostMatch;
use super::snapshot::{Services, Snapshot};
use super::written::PemSource;

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Build {
    /// What to serve.
    pub config: Arc<GatewayConfig>,
    /// One report for each object that speaks to this gateway, in key order.
    pub reports: Vec<Arc<Report>>,
    /// The Services that the reports' references were judged by.
    pub services: Arc<Services>,
    /// The Secrets and files that objects name, whether they exist or not: to be read, watched and
    /// put into the next snapshot.
    pub wanted: Arc<BTreeSet<PemSource>>,
}

/// An object on its way through the build.
struct Candidate<'a> {
    object: &'a Arc<Object>,
    verdict: Verdict,
}

/// Merges all objects. Deterministic, infallible, independent of the order of events.
///
/// `previous` only lends its parts where they came out equal, so that those who follow can see
/// by their address what did not change; the result equals that of a build without it.
pub fn build(snapshot: &Snapshot, previous: &Build) -> Build {
    let mut candidates = select::select(snapshot);
    let mut groups = groups::build_groups(&mut candidates, &previous.config.groups);
    groups.extend(probes::groups());
    let config = GatewayConfig {
        listeners: listeners(snapshot),
        http: Arc::new(HttpPolicy::default()),
        groups,
    };
    let config = match is_same(&config, &previous.config) {
        true => Arc::clone(&previous.config),
        false => Arc::new(config),
    };
    let reports = reports(snapshot, candidates, previous);
    Build {
        config,
        reports,
        services: Arc::clone(&snapshot.services),
        wanted: Arc::clone(&previous.wanted),
    }
}

/// Equality by address where groups were lent, which is where they are equal.
fn is_same(new: &GatewayConfig, old: &GatewayConfig) -> bool {
    new.listeners == old.listeners
        && new.http == old.http
        && new.groups.len() == old.groups.len()
        && new.groups.iter().zip(&old.groups).all(|(new, old)| Arc::ptr_eq(new, old))
}

/// Without a Listener object there is one plain port.
fn listeners(snapshot: &Snapshot) -> Vec<Arc<Listener>> {
    let any = VirtualHost {
        key: None,
        name: HostMatch::Any,
        port: None,
        tls: None,
        insecure: InsecureAction::Route,
        selector: Arc::default(),
    };
    vec![Arc::new(Listener {
        key: None,
        address: None,
        port: snapshot.defaults.http_port,
        stat_prefix: "ingress_http".into(),
        stack: Stack { proxy_protocol: false, tls: false, http: true },
        security: SecurityModel::ForwardedProto,
        trusted_hops: 0,
        max_concurrent_streams: None,
        hosts: vec![Arc::new(any)],
        tcp: Vec::new(),
    })]
}

fn reports(
    snapshot: &Snapshot,
    candidates: Vec<Candidate<'_>>,
    previous: &Build,
) -> Vec<Arc<Report>> {
    let same_services = Arc::ptr_eq(&snapshot.services, &previous.services);
    let mut old_reports = previous.reports.iter().peekable();
    candidates
        .into_iter()
        .map(|Candidate { object, verdict }| {
            // Mostly the same object stands at the same place: no text is compared then.
            let mut old = old_reports.next_if(|old| Arc::ptr_eq(&old.object, object));
            if old.is_none() {
                while old_reports.next_if(|old| old.object.key < object.key).is_some() {}
                old = old_reports.next_if(|old| Arc::ptr_eq(&old.object, object));
            }
            let old = old.filter(|old| old.verdict == verdict);
            if let (Some(old), true) = (old, same_services) {
                return Arc::clone(old);
            }
            let references = references::resolve(object, &verdict, snapshot);
            match old {
                Some(old) if old.references == references => Arc::clone(old),
                _ => Arc::new(Report { object: Arc::clone(object), verdict, references }),
            }
        })
        .collect()
}
