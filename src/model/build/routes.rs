//! Routes as they are served: their upstreams looked up, what they leave open filled, and the
//! hosts that serve them.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;

use super::attach::Takers;
use super::changes::find;
use super::clusters::build_cluster;
use super::environment::Environment;
use super::shared::Shared;
use super::{Candidate, Kept};
use crate::model::common::Common;
use crate::model::config::Attachment;
use crate::model::key::ObjectKey;
use crate::model::object::{Content, Object};
use crate::model::policy::RoutePolicy;
use crate::model::report::{Detached, Missing, Verdict};
use crate::model::route::{Action, Forward, HeaderEdits, Route};
use crate::model::sorted::{Item, Keyed, Sorted};
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

impl Keyed for Prepared {
    fn key(&self) -> &ObjectKey {
        &self.object.key
    }
}

/// A route that is served, in a list by its digest: those that may be one group are neighbours.
#[derive(Debug, Clone)]
pub(crate) struct ByMatch {
    /// The digest.
    pub(super) digest: u64,
    /// The route.
    pub(super) route: Arc<Prepared>,
}

impl ByMatch {
    /// Where a route stands; nowhere if it isn't served.
    pub(super) fn of(route: &Arc<Prepared>) -> Option<Self> {
        let Digest(digest) = route.outcome.as_ref().ok()?.digest;
        Some(Self { digest, route: Arc::clone(route) })
    }
}

impl Item for ByMatch {
    type Key = Self;

    fn order(&self, key: &Self) -> Ordering {
        let by_digest = self.digest.cmp(&key.digest);
        by_digest.then_with(|| self.route.object.key.cmp(&key.route.object.key))
    }

    fn order_of(&self, other: &Self) -> Ordering {
        self.order(other)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.route, &other.route)
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

/// All accepted routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    /// In the order of their keys.
    pub(super) by_key: Sorted<Arc<Prepared>>,
    /// Those that are served.
    by_match: Sorted<ByMatch>,
}

impl Routes {
    /// Takes the routes of candidates in, and those of `gone` out; says the digests of all that
    /// came, went or became another, each once and in order.
    pub(super) fn update(
        &mut self,
        candidates: &mut [Candidate<'_>],
        gone: &[&ObjectKey],
        mut preparing: Preparing<'_>,
    ) -> Vec<u64> {
        let (mut digests, mut come) = (Vec::new(), Vec::new());
        for key in gone {
            let old = self.by_key.remove(key);
            self.leave(old.as_ref(), &mut digests);
        }
        for candidate in candidates {
            let new = preparing.prepare(candidate);
            let old = self.by_key.get(&candidate.object.key);
            if let (Some(old), Some(new)) = (old, &new)
                && Arc::ptr_eq(old, new)
            {
                // It may still not be able to live in its group: that is told anew.
                digests.extend(ByMatch::of(old).map(|place| place.digest));
                continue;
            }
            let old = old.cloned();
            self.leave(old.as_ref(), &mut digests);
            match new {
                Some(new) => {
                    come.extend(ByMatch::of(&new));
                    self.by_key.insert(new);
                }
                None => drop(self.by_key.remove(&candidate.object.key)),
            }
        }
        digests.extend(come.iter().map(|one| one.digest));
        come.sort_unstable_by(ByMatch::order_of);
        self.by_match.extend(come);
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    fn leave(&mut self, old: Option<&Arc<Prepared>>, digests: &mut Vec<u64>) {
        if let Some(place) = old.and_then(ByMatch::of) {
            self.by_match.remove(&place);
            digests.push(place.digest);
        }
    }

    /// The routes of a digest that are served, in the order of their keys.
    pub(super) fn of_digest(&self, digest: u64) -> impl Iterator<Item = &Arc<Prepared>> {
        let from = self.by_match.from(move |one| one.digest < digest);
        from.take_while(move |one| one.digest == digest).map(|one| &one.route)
    }

    /// The objects of other routes with these digests.
    pub(super) fn neighbours(
        &self,
        digests: &[u64],
        candidates: &[Candidate<'_>],
    ) -> Vec<Arc<Object>> {
        let routes = digests.iter().flat_map(|digest| self.of_digest(*digest));
        let others = routes.filter(|route| find(candidates, &route.object.key).is_none());
        others.map(|route| Arc::clone(&route.object)).collect()
    }
}

/// Makes routes of candidates, one after the other.
pub(super) struct Preparing<'a> {
    around: &'a Surroundings,
    /// Lends what came out equal.
    old: Option<&'a Routes>,
    /// Nothing around the objects has changed, so that the same object gives the same route.
    same: bool,
    shared: Shared,
    last: Option<Arc<Prepared>>,
}

impl<'a> Preparing<'a> {
    /// Nothing yet. `same` says that nothing around the objects has changed since what was kept.
    pub(super) fn new(around: &'a Surroundings, kept: Option<&'a Kept>, same: bool) -> Self {
        let old = kept.map(|kept| &kept.routes);
        Self { around, old, same, shared: Shared::new(), last: None }
    }

    /// The route of a candidate, if it is accepted; one that isn't served is told so.
    fn prepare(&mut self, candidate: &mut Candidate<'_>) -> Option<Arc<Prepared>> {
        let (Verdict::Accepted, Content::Route(written)) =
            (&candidate.verdict, &candidate.object.content)
        else {
            return None;
        };
        let key = &candidate.object.key;
        // The old one or, where it is new, the one beside it.
        let beside = self.old.and_then(|old| old.by_key.from(|one| one.object.key < *key).next());
        let next = match beside.filter(|old| old.object.key == *key) {
            Some(old) if self.same && Arc::ptr_eq(&old.object, candidate.object) => Arc::clone(old),
            old => {
                self.shared.learn(beside);
                self.shared.learn(self.last.as_ref());
                let outcome = serve(candidate.object, written, self.around, &mut self.shared);
                borrow(candidate.object, written, outcome, old)
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
        self.last = Some(Arc::clone(&next));
        Some(next)
    }
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
