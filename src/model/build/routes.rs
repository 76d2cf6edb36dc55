//! Routes as they are served: their upstreams looked up, what they leave open filled, and the
//! hosts that serve them.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;

use super::Candidate;
use super::attach::Takers;
use super::clusters::build_cluster;
use super::environment::Environment;
use super::shared::Shared;
use crate::model::common::Common;
use crate::model::config::Attachment;
use crate::model::object::{Content, Object};
use crate::model::policy::RoutePolicy;
use crate::model::report::{Detached, Missing, Verdict};
use crate::model::route::{Action, Forward, HeaderEdits, Route};
use crate::model::written::WrittenRoute;

/// What becomes of one object's route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    /// The object.
    pub(super) object: Arc<Object>,
    /// What it says.
    pub(super) written: Arc<WrittenRoute>,
    /// What is served of it.
    pub(super) outcome: Result<Served, Unserved>,
}

/// A route that is served.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Served {
    /// The route.
    pub(super) route: Arc<Route>,
    /// Which hosts serve it.
    pub(super) attachment: Arc<Attachment>,
    /// Of what groups are told apart by.
    pub(super) digest: Digest,
}

/// A hash of match, precedence and attachment: each build groups all routes by them, and their
/// texts are far away. It differs by process, so that nobody can write routes that collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(pub(super) u64);

impl Digest {
    fn of(route: &Route, attachment: &Attachment) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        Self(HASHER.hash_one((&route.matches, route.precedence, attachment)))
    }
}

impl Prepared {
    /// The route, where it is served.
    pub(super) fn served(&self) -> Option<&Arc<Route>> {
        self.outcome.as_ref().ok().map(|served| &served.route)
    }
}

/// Why a route isn't served.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Unserved {
    /// It names what doesn't exist.
    Missing(Box<Missing>),
    /// No host takes it.
    Detached(Detached),
}

/// What the routes of a build depend on beside their objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// What they share.
    pub(super) environment: Arc<Environment>,
    /// What attaches them.
    pub(super) takers: Arc<Takers>,
}

/// The routes of all accepted candidates, in the order of their keys; those that aren't served
/// are told so. `previous` lends what came out equal: without a look where `same` says that
/// nothing around the objects has changed.
pub(super) fn prepare(
    candidates: &mut [Candidate<'_>],
    around: &Surroundings,
    previous: &[Arc<Prepared>],
    same: bool,
) -> Vec<Arc<Prepared>> {
    let mut old = previous.iter().peekable();
    let mut shared = Shared::new();
    let mut prepared = Vec::with_capacity(previous.len() + 1);
    for candidate in candidates {
        let (Verdict::Accepted, Content::Route(written)) =
            (&candidate.verdict, &candidate.object.content)
        else {
            continue;
        };
        // Mostly the same object stands at the same place: no text is compared then.
        let mut lent = old.next_if(|old| Arc::ptr_eq(&old.object, candidate.object));
        if lent.is_none() {
            while old.next_if(|old| old.object.key < candidate.object.key).is_some() {}
            lent = old.next_if(|old| old.object.key == candidate.object.key);
        }
        let next = match lent {
            Some(lent) if same && Arc::ptr_eq(&lent.object, candidate.object) => Arc::clone(lent),
            lent => {
                shared.learn(prepared.last());
                let outcome = serve(candidate.object, written, around, &mut shared);
                borrow(candidate.object, written, outcome, lent)
            }
        };
        match &next.outcome {
            Ok(_) => {}
            Err(Unserved::Missing(missing)) => {
                candidate.verdict = Verdict::Unresolved(missing.clone());
            }
            Err(Unserved::Detached(detached)) => {
                candidate.verdict = Verdict::NotAttached(*detached);
            }
        }
        prepared.push(next);
    }
    prepared
}

/// Lends of the old what equals the new, so that those who follow see by addresses what changed.
fn borrow(
    object: &Arc<Object>,
    written: &Arc<WrittenRoute>,
    mut outcome: Result<Served, Unserved>,
    old: Option<&Arc<Prepared>>,
) -> Arc<Prepared> {
    let Some(old) = old else {
        let (object, written) = (Arc::clone(object), Arc::clone(written));
        return Arc::new(Prepared { object, written, outcome });
    };
    let same_text = old.written == *written;
    if let (Ok(new), Ok(known), true) = (&mut outcome, &old.outcome, same_text) {
        if new.route == known.route {
            new.route = Arc::clone(&known.route);
        }
        if new.attachment == known.attachment {
            new.attachment = Arc::clone(&known.attachment);
        }
    }
    let written = Arc::clone(if same_text { &old.written } else { written });
    Arc::new(Prepared { object: Arc::clone(object), written, outcome })
}

fn serve(
    object: &Object,
    written: &WrittenRoute,
    around: &Surroundings,
    shared: &mut Shared,
) -> Result<Served, Unserved> {
    let route = build_route(written, &around.environment, shared)
        .map_err(|missing| Unserved::Missing(Box::new(missing)))?;
    let host = written.matches.host.as_ref();
    let attachment = around.takers.attachment(host, &object.labels).map_err(Unserved::Detached)?;
    let (route, attachment) = (Arc::new(route), shared.attachment(attachment));
    Ok(Served { digest: Digest::of(&route, &attachment), route, attachment })
}

/// The route with everything in it.
fn build_route(
    written: &WrittenRoute,
    environment: &Environment,
    shared: &mut Shared,
) -> Result<Route, Missing> {
    let action = match &written.action {
        Action::Forward(forward) => Action::Forward(Forward {
            cluster: shared.cluster(build_cluster(&forward.cluster, environment)?),
            path: forward.path.clone(),
            host: forward.host.clone(),
        }),
        Action::Mirror(upstream) => {
            Action::Mirror(shared.cluster(build_cluster(upstream, environment)?))
        }
        Action::Redirect(redirect) => Action::Redirect(Arc::clone(redirect)),
        Action::Probe(probe) => Action::Probe(*probe),
    };
    let defaults = &environment.defaults;
    Ok(Route {
        matches: Arc::clone(&written.matches),
        precedence: written.precedence,
        weight: written.weight,
        action,
        request_headers: fill_edits(&written.request_headers, &defaults.request_headers),
        response_headers: fill_edits(&written.response_headers, &defaults.response_headers),
        policy: fill_policy(&written.policy, &defaults.route),
    })
}

/// What the object says, and where it says nothing what the Module says.
fn fill_policy(own: &Arc<RoutePolicy>, default: &RoutePolicy) -> Arc<RoutePolicy> {
    if *default == RoutePolicy::default() {
        return Arc::clone(own);
    }
    let policy = RoutePolicy {
        timeout: own.timeout.or(default.timeout),
        idle_timeout: own.idle_timeout.or(default.idle_timeout),
        retry: own.retry.clone().or_else(|| default.retry.clone()),
        cors: own.cors.clone().or_else(|| default.cors.clone()),
        priority: own.priority.or(default.priority),
        upgrades: own.upgrades.clone().or_else(|| default.upgrades.clone()),
        linkerd_headers: own.linkerd_headers.or(default.linkerd_headers),
        bypass_auth: own.bypass_auth.or(default.bypass_auth),
    };
    policy.share()
}

/// The Module's edits come after the object's own, and only for headers that it doesn't mention.
fn fill_edits(own: &Arc<HeaderEdits>, default: &HeaderEdits) -> Arc<HeaderEdits> {
    if default.is_empty() {
        return Arc::clone(own);
    }
    let mentioned = |name: &http::HeaderName| {
        own.remove.contains(name) || own.add.iter().any(|add| add.name == *name)
    };
    let mut edits = HeaderEdits::clone(own);
    edits.remove.extend(default.remove.iter().filter(|name| !mentioned(name)).cloned());
    edits.add.extend(default.add.iter().filter(|add| !mentioned(&add.name)).cloned());
    edits.share()
}
