//! From a [`Snapshot`] to what should be served and what is to be said about each object.
//!
//! The steps, each in a file of its own:
//!
//! 1. [`select`]: of the objects that speak to this gateway, which are candidates, and which are
//!    rejected or shadowed by another of their name;
//! 2. [`environment`]: what they share and name by its name: the Module's defaults, resolvers,
//!    TLSContexts; [`secrets`] has the certificates;
//! 3. [`hosts`], [`tcp`] and [`listeners`]: who is let in where;
//! 4. [`routes`]: each route with its cluster ([`clusters`]) and what it leaves open, and the
//!    hosts that serve it ([`attach`]);
//! 5. [`groups`]: routes with the same match become one route group with exact shares, and those
//!    that can't live in theirs are told so; [`probes`] adds the gateway's own routes;
//! 6. [`references`]: whether the Services exist that an object names.
//!
//! [`answers`] says of a finished build where its settings were written.

mod answers;
mod attach;
mod clusters;
mod environment;
mod groups;
mod hosts;
mod listeners;
mod probes;
mod references;
mod routes;
mod secrets;
mod select;
mod shared;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::answers::TlsOrigin;
use self::attach::Takers;
use self::environment::Environment;
use self::references::Lookup;
use self::routes::{Prepared, Surroundings};
use self::secrets::Secrets;
use super::config::GatewayConfig;
use super::key::Kind;
use super::listener::{Listener, VirtualHost};
use super::object::Object;
use super::report::{Report, Verdict};
use super::snapshot::{Services, Snapshot};
use super::written::PemSource;

/// The result of a build.
#[derive(Debug, Clone, Default)]
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
    pub(crate) kept: Arc<Kept>,
}

/// What is kept for the next build follows from the rest and its inputs.
impl PartialEq for Build {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.reports == other.reports
            && self.services == other.services
            && self.wanted == other.wanted
    }
}

/// What is kept of a build for the next one alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    around: Surroundings,
    routes: Vec<Arc<Prepared>>,
    hosts: Vec<Arc<VirtualHost>>,
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
    // What isn't a route is a handful among thousands, and looked over many times.
    let routes_end = candidates.partition_point(|one| one.object.key.kind == Kind::Mapping);
    let others = &mut candidates[routes_end..];
    let environment = Environment::build(snapshot, others);
    let environment = lend(environment, &previous.kept.around.environment);
    let wanted = secrets::wanted(snapshot, others, &environment);
    let wanted = lend(wanted, &previous.wanted);
    let (listeners, hosts) = listeners(snapshot, others, &environment, previous);

    let takers = Takers::new(&listeners, snapshot.defaults.strict_selectors);
    let around = &previous.kept.around;
    let takers = match takers.is_same(&around.takers) {
        true => Arc::clone(&around.takers),
        false => Arc::new(takers),
    };
    let same =
        Arc::ptr_eq(&environment, &around.environment) && Arc::ptr_eq(&takers, &around.takers);
    let around = Surroundings { environment, takers };
    let routes = routes::prepare(&mut candidates, &around, &previous.kept.routes, same);
    let mut groups = groups::build_groups(&mut candidates, &routes, &previous.config.groups);
    groups.extend(probes::groups());

    let http = Arc::clone(&around.environment.defaults.http);
    let config = GatewayConfig { listeners, http, groups };
    let config = match is_same(&config, &previous.config) {
        true => Arc::clone(&previous.config),
        false => Arc::new(config),
    };
    let environment = &around.environment;
    let lookup = Lookup { snapshot, environment, config: &config, hosts: &hosts };
    let reports = reports(&lookup, candidates, &routes, (previous, same));
    Build {
        reports,
        services: Arc::clone(&snapshot.services),
        wanted,
        kept: Arc::new(Kept { around, routes, hosts }),
        config,
    }
}

/// What is listened on, and the Hosts that are served or closed.
fn listeners(
    snapshot: &Snapshot,
    candidates: &mut [Candidate<'_>],
    environment: &Environment,
    previous: &Build,
) -> (Vec<Arc<Listener>>, Vec<Arc<VirtualHost>>) {
    let secrets = Secrets::new(snapshot);
    let hosts = hosts::build_hosts(candidates, environment, &secrets, &previous.kept.hosts);
    let tcp = tcp::build_groups(candidates, &hosts, environment, &secrets);
    let old = &previous.config.listeners;
    let listeners = listeners::build_listeners(snapshot, candidates, &hosts, tcp, old);
    (listeners, hosts.into_iter().map(|built| built.host).collect())
}

/// The old value where the new one equals it.
fn lend<T: PartialEq>(new: T, old: &Arc<T>) -> Arc<T> {
    if new == **old { Arc::clone(old) } else { Arc::new(new) }
}

/// Equality by address where parts were lent, which is where they are equal.
fn is_same(new: &GatewayConfig, old: &GatewayConfig) -> bool {
    fn alike<T>(new: &[Arc<T>], old: &[Arc<T>]) -> bool {
        new.len() == old.len() && new.iter().zip(old).all(|(new, old)| Arc::ptr_eq(new, old))
    }
    new.http == old.http && alike(&new.listeners, &old.listeners) && alike(&new.groups, &old.groups)
}

/// One report for each candidate. Those of routes are lent without a look where nothing that they
/// are judged by has changed.
fn reports(
    lookup: &Lookup<'_>,
    candidates: Vec<Candidate<'_>>,
    routes: &[Arc<Prepared>],
    (previous, same): (&Build, bool),
) -> Vec<Arc<Report>> {
    let same_services = Arc::ptr_eq(&lookup.snapshot.services, &previous.services);
    let mut old_reports = previous.reports.iter().peekable();
    let mut routes = routes.iter().peekable();
    candidates
        .into_iter()
        .map(|Candidate { object, verdict }| {
            let route = routes.next_if(|route| Arc::ptr_eq(&route.object, object));
            // Mostly the same object stands at the same place: no text is compared then.
            let mut old = old_reports.next_if(|old| Arc::ptr_eq(&old.object, object));
            if old.is_none() {
                while old_reports.next_if(|old| old.object.key < object.key).is_some() {}
                old = old_reports.next_if(|old| Arc::ptr_eq(&old.object, object));
            }
            let old = old.filter(|old| old.verdict == verdict);
            let judged_alike = same_services && same && object.key.kind == Kind::Mapping;
            if let (Some(old), true) = (old, judged_alike) {
                return Arc::clone(old);
            }
            let references = lookup.references(object, &verdict, route.map(|route| &**route));
            let failure = lookup.failure(object);
            let warning = lookup.warning(object, &verdict);
            match old {
                Some(old)
                    if old.references == references
                        && old.failure == failure
                        && old.warning == warning =>
                {
                    Arc::clone(old)
                }
                _ => {
                    let object = Arc::clone(object);
                    Arc::new(Report { object, verdict, references, failure, warning })
                }
            }
        })
        .collect()
}
