//! Route groups: routes with the same match and precedence that the same hosts serve, and their
//! shares of the requests.
//!
//! Emissary's weights (IR/irbasemappinggroup): a single route takes all; weighted ones take their
//! weight; weightless ones divide the rest evenly; what nobody takes falls through to lower
//! routes. Where Emissary drops a whole group whose weights exceed 100, here the older members
//! keep theirs and the one that is too much is told (docs/differences.md). Emissary also forgets
//! what attached a route once it is in a group: here one tenant's routes never come to another's
//! Host because their match is the same.

use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::Candidate;
use super::routes::{Prepared, Served};
use crate::model::config::{Attachment, Leg, RouteGroup, Share};
use crate::model::object::Object;
use crate::model::report::{Conflict, Verdict};
use crate::model::route::{Action, Route};
use crate::model::written::WrittenRoute;

const WHOLE: u8 = 100;

/// Merges the routes that are served by match; those that don't fit get their verdict changed.
/// Groups come in the order of their members' smallest key, and are `previous`' own where equal.
pub(super) fn build_groups(
    candidates: &mut [Candidate<'_>],
    prepared: &[Arc<Prepared>],
    previous: &[Arc<RouteGroup>],
) -> Vec<Arc<RouteGroup>> {
    let mut lender = Lender { previous: previous.iter().peekable() };
    let routes = routes(candidates, prepared);
    let mut conflicts = Vec::new();
    let groups = group_by_match(&routes)
        .into_iter()
        .filter_map(|mut set| {
            set.sort_by_key(|index| {
                let object = routes[*index].object;
                (object.created.unwrap_or(i64::MAX), &object.key)
            });
            let members = admit(&routes, &set, &mut conflicts)?;
            lender.lend(&routes, &members).or_else(|| build_group(&routes, &members))
        })
        .collect();
    for (index, verdict) in conflicts {
        candidates[index].verdict = verdict;
    }
    groups
}

/// A route that is served, with the index of its candidate.
struct Member<'a> {
    candidate: usize,
    object: &'a Object,
    written: &'a Arc<WrittenRoute>,
    route: &'a Arc<Route>,
    attachment: &'a Arc<Attachment>,
    digest: u64,
}

impl Member<'_> {
    /// Whether both may stand in one group.
    fn goes_with(&self, other: &Self) -> bool {
        let (one, two) = (self.route, other.route);
        self.digest == other.digest
            && one.precedence == two.precedence
            && self.attachment == other.attachment
            && one.matches == two.matches
    }
}

/// Both lists are in the order of their keys.
fn routes<'a>(candidates: &[Candidate<'_>], prepared: &'a [Arc<Prepared>]) -> Vec<Member<'a>> {
    let mut candidates = candidates.iter().enumerate();
    let mut routes = Vec::with_capacity(prepared.len());
    for prepared in prepared {
        let Ok(Served { route, attachment, digest }) = &prepared.outcome else { continue };
        let (object, written) = (&prepared.object, &prepared.written);
        let found = candidates.find(|(_, known)| Arc::ptr_eq(known.object, object));
        let Some((candidate, _)) = found else { break };
        let digest = digest.0;
        routes.push(Member { candidate, object, written, route, attachment, digest });
    }
    routes
}

/// Indices of routes of equal match, precedence and attachment. Most are asked for once.
type Set = SmallVec<[usize; 2]>;

/// The members of a group.
struct Members {
    /// Those that serve requests, oldest first. Never empty.
    legs: Set,
    /// The one that gets copies.
    mirror: Option<usize>,
}

impl Members {
    fn all(&self) -> impl Iterator<Item = usize> {
        self.legs.iter().copied().chain(self.mirror)
    }
}

/// The sets in the order of their smallest key, which is the order of the routes.
fn group_by_match(routes: &[Member<'_>]) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::with_capacity(routes.len());
    let mut by_match: HashTable<(u64, usize)> = HashTable::with_capacity(routes.len());
    for (index, member) in routes.iter().enumerate() {
        let is_its = |(digest, set): &(u64, usize)| {
            *digest == member.digest && routes[sets[*set][0]].goes_with(member)
        };
        match by_match.entry(member.digest, is_its, |(digest, _)| *digest) {
            Entry::Occupied(set) => {
                let (_, set) = *set.get();
                sets[set].push(index);
            }
            Entry::Vacant(vacant) => {
                vacant.insert((member.digest, sets.len()));
                sets.push(SmallVec::from_slice(&[index]));
            }
        }
    }
    sets
}

/// The members of a set (oldest first) that can live together; `None` where nobody serves.
fn admit(
    routes: &[Member<'_>],
    set: &[usize],
    conflicts: &mut Vec<(usize, Verdict)>,
) -> Option<Members> {
    let mut members = Set::new();
    let mut left = WHOLE;
    for &index in set.iter().filter(|index| !is_mirror(&routes[**index])) {
        let route = routes[index].route;
        let conflict =
            members.first().and_then(|first| conflict(routes[*first].route, route, left));
        if let (Some(conflict), Some(last)) = (conflict, members.last()) {
            let with = match conflict {
                Conflict::Redirect => members[0],
                _ => *last,
            };
            let with = Arc::clone(&routes[with].object.key);
            conflicts.push((routes[index].candidate, Verdict::Conflicted { with, conflict }));
            continue;
        }
        left = left.saturating_sub(route.weight.unwrap_or(0));
        members.push(index);
    }
    let mirror = admit_mirror(routes, set, &members, conflicts);
    (!members.is_empty()).then_some(Members { legs: members, mirror })
}

fn is_mirror(member: &Member<'_>) -> bool {
    matches!(member.route.action, Action::Mirror(_))
}

/// The oldest of those that want copies, if there is anything to copy.
fn admit_mirror(
    routes: &[Member<'_>],
    set: &[usize],
    members: &[usize],
    conflicts: &mut Vec<(usize, Verdict)>,
) -> Option<usize> {
    let forwards = |index: &usize| matches!(routes[*index].route.action, Action::Forward(_));
    let something = members.first().is_some_and(forwards);
    let mut admitted: Option<usize> = None;
    for &index in set.iter().filter(|index| is_mirror(&routes[**index])) {
        let verdict = match admitted {
            _ if !something => Verdict::NothingToCopy,
            Some(first) => Verdict::Conflicted {
                with: Arc::clone(&routes[first].object.key),
                conflict: Conflict::Mirror,
            },
            None => {
                admitted = Some(index);
                continue;
            }
        };
        conflicts.push((routes[index].candidate, verdict));
    }
    admitted
}

/// Why `route` can't join a group that began with `first` and has `left` percent to give.
fn conflict(first: &Route, route: &Route, left: u8) -> Option<Conflict> {
    let redirects = |route: &Route| matches!(route.action, Action::Redirect(_));
    if redirects(first) || redirects(route) {
        return Some(Conflict::Redirect);
    }
    let own = route.weight.unwrap_or(0);
    (own > left).then_some(Conflict::Weight { own, left })
}

fn build_group(routes: &[Member<'_>], members: &Members) -> Option<Arc<RouteGroup>> {
    let first = &routes[*members.legs.first()?];
    let weights: Vec<Option<u8>> =
        members.legs.iter().map(|index| routes[*index].route.weight).collect();
    let mirror = members.mirror.map(|index| {
        let to = routes[index].route.weight.unwrap_or(WHOLE).min(WHOLE);
        build_leg(&routes[index], Share { from: 0, to }, None)
    });
    let legs = members
        .legs
        .iter()
        .zip(shares(&weights))
        .map(|(index, share)| build_leg(&routes[*index], share, mirror.clone()))
        .collect();
    let attachment = Arc::clone(first.attachment);
    Some(Arc::new(RouteGroup { precedence: first.route.precedence, attachment, legs }))
}

fn build_leg(member: &Member<'_>, share: Share, mirror: Option<Arc<Leg>>) -> Arc<Leg> {
    Arc::new(Leg {
        mirror,
        key: member.object.key.clone(),
        created: member.object.created,
        share,
        route: Arc::clone(member.route),
        written: Some(Arc::clone(member.written)),
    })
}

/// The ranges of the hundred draws for members with these weights, whose sum is at most 100.
pub(super) fn shares(weights: &[Option<u8>]) -> Vec<Share> {
    if weights.len() == 1 {
        return vec![Share::ALL]; // a single route takes all, whatever its weight
    }
    let given: u8 = weights.iter().flatten().fold(0, |sum, weight| sum.saturating_add(*weight));
    let rest = u16::from(WHOLE.saturating_sub(given));
    let weightless = weights.iter().filter(|weight| weight.is_none()).count().max(1);
    let weightless = u16::try_from(weightless).unwrap_or(u16::MAX);
    let (mut from, mut nth) = (0_u8, 0_u16);
    weights
        .iter()
        .map(|weight| {
            let size = weight.unwrap_or_else(|| {
                // Cut points at n-ths of the rest: shares differ by one at most and sum exactly.
                let cut = |n: u16| u32::from(rest) * u32::from(n) / u32::from(weightless);
                let size = cut(nth + 1) - cut(nth);
                nth += 1;
                u8::try_from(size).unwrap_or(WHOLE)
            });
            let share = Share { from, to: from.saturating_add(size).min(WHOLE) };
            from = share.to;
            share
        })
        .collect()
}

/// Lends groups of the previous build, walking it beside the new one: both are in the order of
/// their smallest keys.
struct Lender<'a> {
    previous: Peekable<slice::Iter<'a, Arc<RouteGroup>>>,
}

impl Lender<'_> {
    /// The previous group, if it was made of the same members.
    fn lend(&mut self, routes: &[Member<'_>], members: &Members) -> Option<Arc<RouteGroup>> {
        // Mostly the same group stands at the same place: no text is compared then.
        if let Some(old) = self.previous.next_if(|old| is_made_of(old, routes, members)) {
            return Some(Arc::clone(old));
        }
        let smallest = &routes[members.all().min()?].object.key;
        while self.previous.next_if(|old| old.smallest_key() < smallest).is_some() {}
        let old = self.previous.next_if(|old| is_made_of(old, routes, members))?;
        Some(Arc::clone(old))
    }
}

fn is_made_of(group: &RouteGroup, routes: &[Member<'_>], members: &Members) -> bool {
    group.legs.len() == members.legs.len()
        && group.mirror().is_some() == members.mirror.is_some()
        && group.legs.iter().chain(group.mirror()).zip(members.all()).all(|(leg, index)| {
            let member = &routes[index];
            // The address first: it tells nearly all, and the key's texts are far away.
            Arc::ptr_eq(member.route, &leg.route)
                && leg.written.as_ref().is_some_and(|old| Arc::ptr_eq(old, member.written))
                && member.attachment == &group.attachment
                && member.object.created == leg.created
                && member.object.key == leg.key
        })
}
