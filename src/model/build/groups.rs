//! Route groups: routes with the same match and precedence, and their shares of the requests.
//!
//! Emissary's weights (IR/irbasemappinggroup): a single route takes all; weighted ones take their
//! weight; weightless ones divide the rest evenly; what nobody takes falls through to lower
//! routes. Where Emissary drops a whole group whose weights exceed 100, here the older members
//! keep theirs and the one that is too much is told (docs/differences.md).

use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use smallvec::SmallVec;

use super::Candidate;
use crate::model::config::{Leg, RouteGroup, Share};
use crate::model::object::Content;
use crate::model::report::{Conflict, Verdict};
use crate::model::route::{Action, Route, RouteMatch};

const WHOLE: u8 = 100;

/// Merges the accepted candidates by match; those that don't fit get their verdict changed.
/// Groups come in the order of their members' smallest key, and are `previous`' own where equal.
pub(super) fn build_groups(
    candidates: &mut [Candidate<'_>],
    previous: &[Arc<RouteGroup>],
) -> Vec<Arc<RouteGroup>> {
    let mut lender = Lender { previous: previous.iter().peekable() };
    group_by_match(candidates)
        .into_iter()
        .filter_map(|mut set| {
            set.sort_by_key(|index| {
                let object = candidates[*index].object;
                (object.created.unwrap_or(i64::MAX), &object.key)
            });
            let members = admit(candidates, &set)?;
            lender.lend(candidates, &members).or_else(|| build_group(candidates, &members))
        })
        .collect()
}

/// Indices of accepted candidates of equal match and precedence. Most matches are asked for once.
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

/// The sets in the order of their smallest key, which is the order of the candidates.
fn group_by_match(candidates: &[Candidate<'_>]) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::with_capacity(candidates.len());
    let mut by_match: HashMap<(&RouteMatch, i64), usize, RandomState> =
        HashMap::with_capacity_and_hasher(candidates.len(), RandomState::default());
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(route) = accepted_route(candidate) {
            match by_match.entry((&route.matches, route.precedence)) {
                Entry::Occupied(set) => sets[*set.get()].push(index),
                Entry::Vacant(vacant) => {
                    vacant.insert(sets.len());
                    sets.push(SmallVec::from_slice(&[index]));
                }
            }
        }
    }
    sets
}

fn accepted_route<'a>(candidate: &Candidate<'a>) -> Option<&'a Arc<Route>> {
    match (&candidate.verdict, &candidate.object.content) {
        (Verdict::Accepted, Content::Route(route)) => Some(route),
        _ => None,
    }
}

/// The members of a set (oldest first) that can live together; `None` where nobody serves.
fn admit(candidates: &mut [Candidate<'_>], set: &[usize]) -> Option<Members> {
    let mut members = Set::new();
    let mut left = WHOLE;
    for index in set {
        let Some(route) = accepted_route(&candidates[*index]) else { continue };
        if is_mirror(route) {
            continue;
        }
        let conflict = match members.first().and_then(|first| accepted_route(&candidates[*first])) {
            Some(first) => conflict(first, route, left),
            None => None,
        };
        if let (Some(conflict), Some(last)) = (conflict, members.last()) {
            let with = match conflict {
                Conflict::Redirect | Conflict::Mirror => candidates[members[0]].object.key.clone(),
                Conflict::Weight { .. } => candidates[*last].object.key.clone(),
            };
            candidates[*index].verdict = Verdict::Conflicted { with: Box::new(with), conflict };
            continue;
        }
        left = left.saturating_sub(route.weight.unwrap_or(0));
        members.push(*index);
    }
    let mirror = admit_mirror(candidates, set, &members);
    (!members.is_empty()).then_some(Members { legs: members, mirror })
}

fn is_mirror(route: &Route) -> bool {
    matches!(route.action, Action::Mirror(_))
}

/// The oldest of those that want copies, if there is anything to copy.
fn admit_mirror(
    candidates: &mut [Candidate<'_>],
    set: &[usize],
    members: &[usize],
) -> Option<usize> {
    let forwards = members.first().and_then(|first| accepted_route(&candidates[*first])).is_some_and(
        |route| matches!(route.action, Action::Forward(_)),
    );
    let mut admitted: Option<usize> = None;
    for index in set {
        if !accepted_route(&candidates[*index]).is_some_and(|route| is_mirror(route)) {
            continue;
        }
        candidates[*index].verdict = match admitted {
            _ if !forwards => Verdict::NothingToCopy,
            Some(first) => Verdict::Conflicted {
                with: Box::new(candidates[first].object.key.clone()),
                conflict: Conflict::Mirror,
            },
            None => {
                admitted = Some(*index);
                continue;
            }
        };
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

fn build_group(candidates: &[Candidate<'_>], members: &Members) -> Option<Arc<RouteGroup>> {
    let routes: Vec<(&Candidate<'_>, &Arc<Route>)> = members
        .legs
        .iter()
        .filter_map(|index| Some((&candidates[*index], accepted_route(&candidates[*index])?)))
        .collect();
    let precedence = routes.first()?.1.precedence;
    let weights: Vec<Option<u8>> = routes.iter().map(|(_, route)| route.weight).collect();
    let legs = routes
        .into_iter()
        .zip(shares(&weights))
        .map(|((candidate, route), share)| build_leg(candidate, route, share))
        .collect();
    let mirror = members.mirror.and_then(|index| {
        let candidate = &candidates[index];
        let route = accepted_route(candidate)?;
        let share = Share { from: 0, to: route.weight.unwrap_or(WHOLE).min(WHOLE) };
        Some(build_leg(candidate, route, share))
    });
    Some(Arc::new(RouteGroup { precedence, legs, mirror }))
}

fn build_leg(candidate: &Candidate<'_>, route: &Arc<Route>, share: Share) -> Arc<Leg> {
    Arc::new(Leg {
        key: candidate.object.key.clone(),
        created: candidate.object.created,
        share,
        route: Arc::clone(route),
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
    fn lend(&mut self, candidates: &[Candidate<'_>], members: &Members) -> Option<Arc<RouteGroup>> {
        // Mostly the same group stands at the same place: no text is compared then.
        if let Some(old) = self.previous.next_if(|old| is_made_of(old, candidates, members)) {
            return Some(Arc::clone(old));
        }
        let smallest = &candidates[members.all().min()?].object.key;
        while self.previous.next_if(|old| old.smallest_key() < smallest).is_some() {}
        let old = self.previous.next_if(|old| is_made_of(old, candidates, members))?;
        Some(Arc::clone(old))
    }
}

fn is_made_of(group: &RouteGroup, candidates: &[Candidate<'_>], members: &Members) -> bool {
    group.legs.len() == members.legs.len()
        && group.mirror.is_some() == members.mirror.is_some()
        && group.legs.iter().chain(&group.mirror).zip(members.all()).all(|(leg, index)| {
            let candidate = &candidates[index];
            // The address first: it tells nearly all, and the key's texts are far away.
            accepted_route(candidate).is_some_and(|route| Arc::ptr_eq(route, &leg.route))
                && candidate.object.created == leg.created
                && candidate.object.key == leg.key
        })
}
