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
//! 6. [`references`]: whether the Services exist that an object names; [`reports`] says all.
//!
//! Steps 2 and 3 are about a handful of objects, and made anew where one of them has changed. The
//! others are about thousands: they begin with what the previous build made, and look at what has
//! changed since ([`changes`]), and at what stands beside it.
//!
//! [`answers`] says of a finished build where its settings were written.

mod answers;
mod attach;
mod changes;
mod clusters;
mod environment;
mod groups;
mod hosts;
mod listeners;
mod others;
mod probes;
mod references;
mod reports;
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
use self::changes::Changes;
use self::others::Others;
use self::references::Lookup;
use self::reports::Reporter;
use self::routes::{Routes, Surroundings};
use super::config::GatewayConfig;
use super::listener::VirtualHost;
use super::object::Object;
use super::report::{Report, Verdict};
use super::snapshot::{Services, Snapshot};
use super::sorted::Sorted;
use super::written::PemSource;

/// The result of a build.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// What to serve.
    pub config: Arc<GatewayConfig>,
    /// One report for each object that speaks to this gateway, in key order.
    pub reports: Sorted<Arc<Report>>,
    /// The Services that the reports' references were judged by.
    pub services: Arc<Services>,
    /// The Secrets and files that objects name, whether they exist or not: to be read, watched and
    /// put into the next snapshot.
    pub wanted: Arc<BTreeSet<PemSource>>,
    pub(crate) kept: Option<Arc<Kept>>,
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
#[derive(Debug)]
pub(crate) struct Kept {
    /// What it was made from.
    snapshot: Snapshot,
    around: Surroundings,
    routes: Routes,
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
    let kept = previous.kept.as_deref();
    let changes = Changes::since(snapshot, kept);
    let others = match kept {
        Some(kept) if !changes.others => Others::lend(kept, previous),
        _ => Others::build(snapshot, previous),
    };
    // What was made of routes stands where nothing around them has changed.
    let base = kept.filter(|_| others.same);
    let id = &snapshot.defaults.ambassador_id;
    let mut candidates = match base {
        Some(_) => select::select(changes.touched(snapshot), id),
        None => select::select(changes::routes(snapshot), id),
    };
    let gone = base.map(|_| changes.gone(&candidates)).unwrap_or_default();

    let mut routes = base.map(|base| base.routes.clone()).unwrap_or_default();
    let preparing = routes::Preparing::new(&others.around, kept, others.same);
    let digests = routes.update(&mut candidates, &gone, preparing);
    let mut regrouped = groups::regroup(&routes, &digests, base, &previous.config.groups);
    let neighbours = match base {
        Some(_) => routes.neighbours(&digests, &candidates),
        None => Vec::new(),
    };
    candidates
        .extend(neighbours.iter().map(|object| Candidate { object, verdict: Verdict::Accepted }));
    regrouped.tell(&mut candidates);

    let http = Arc::clone(&others.around.environment.defaults.http);
    let config = GatewayConfig { listeners: others.listeners, http, groups: regrouped.groups };
    let config = match is_same(&config, &previous.config) {
        true => Arc::clone(&previous.config),
        false => Arc::new(config),
    };
    let environment = &others.around.environment;
    let lookup = Lookup { snapshot, environment, config: &config, hosts: &others.hosts };
    let reporter = Reporter { lookup, routes: &routes, previous, base };
    let reports = reporter.reports(candidates, &gone, others.candidates);
    Build {
        reports,
        services: Arc::clone(&snapshot.services),
        wanted: others.wanted,
        kept: Some(Arc::new(Kept {
            snapshot: snapshot.clone(),
            around: others.around,
            routes,
            hosts: others.hosts,
        })),
        config,
    }
}

/// The old value where the new one equals it.
fn lend<T: PartialEq>(new: T, old: Option<&Arc<T>>) -> Arc<T> {
    old.filter(|old| new == ***old).map_or_else(|| Arc::new(new), Arc::clone)
}

/// Equality by address where parts were lent, which is where they are equal.
fn is_same(new: &GatewayConfig, old: &GatewayConfig) -> bool {
    let (one, two) = (&new.listeners, &old.listeners);
    new.http == old.http
        && new.groups.is(&old.groups)
        && one.len() == two.len()
        && one.iter().zip(two).all(|(new, old)| Arc::ptr_eq(new, old))
}
