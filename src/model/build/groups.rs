//! Route groups: routes with the same match and precedence that the same hosts serve, and their
//! shares of the requests.
//!
//! Emissary's weights (IR/irbasemappinggroup): a single route takes all; weighted ones take their
//! weight; weightless ones divide the rest evenly; what nobody takes falls through to lower
//! routes. Where Emissary drops a whole group whose weights exceed 100, here the older members
//! keep theirs and the one that is too much is told (docs/differences.md). Emissary also forgets
//! what attached a route once it is in a group: here one tenant's routes never come to another's
//! Host because their match is the same.

use std::sync::Arc;

use smallvec::SmallVec;

use super::routes::{Prepared, Routes, Served};
use super::{Candidate, Kept, probes};
use crate::model::config::{Leg, RouteGroup, Share};
use crate::model::key::ObjectKey;
use crate::model::report::{Conflict, Verdict};
use crate::model::route::{Action, Route};
use crate::model::sorted::{Keyed, Sorted};

const WHOLE: u8 = 100;

/// Routes that can't live in their group, with what is to be told of them.
type Conflicts = Vec<(Arc<ObjectKey>, Verdict)>;

/// All groups, after some of them have been made anew.
pub(super) struct Regrouped {
    /// The groups, the gateway's own among them.
    pub(super) groups: Sorted<Arc<RouteGroup>>,
    conflicts: Conflicts,
}

/// Makes the groups of these digests anew, and takes over the others that `base` had. `previous`
/// are its groups, and lend those that came out equal.
pub(super) fn regroup(
    routes: &Routes,
    digests: &[u64],
    base: Option<&Kept>,
    previous: &Sorted<Arc<RouteGroup>>,
) -> Regrouped {
    let (mut made, mut old, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    for digest in digests {
        made.extend(build_groups(routes.of_digest(*digest), previous, &mut conflicts));
        // A group has the key of one of its members.
        let members = base.into_iter().flat_map(|base| base.routes.of_digest(*digest));
        old.extend(members.map(|member| &*member.object.key));
    }
    made.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    let mut groups = base.map(|_| previous.clone()).unwrap_or_default();
    for key in old {
        if made.binary_search_by(|group| group.key().cmp(key)).is_err() {
            groups.remove(key);
        }
    }
    groups.extend(made);
    groups.extend(probes::groups());
    Regrouped { groups, conflicts }
}

impl Regrouped {
    /// Tells the candidates that can't live in their group.
    pub(super) fn tell(&mut self, candidates: &mut [Candidate<'_>]) {
        self.conflicts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if self.conflicts.is_empty() {
            return;
        }
        for candidate in candidates {
            let key = &candidate.object.key;
            if let Ok(at) = self.conflicts.binary_search_by(|(other, _)| other.cmp(key)) {
                candidate.verdict = self.conflicts[at].1.clone();
            }
        }
    }
}

/// The groups of these routes, which are all that have one digest. `previous` lends those that came
/// out equal.
fn build_groups<'a>(
    routes: impl Iterator<Item = &'a Arc<Prepared>>,
    previous: &Sorted<Arc<RouteGroup>>,
    conflicts: &mut Conflicts,
) -> SmallVec<[Arc<RouteGroup>; 1]> {
    let mut sets: SmallVec<[Set<'a>; 1]> = SmallVec::new();
    for member in routes.filter_map(|route| Member::of(route)) {
        // Digests of different matches can be equal.
        match sets.iter_mut().find(|set| set[0].goes_with(member)) {
            Some(set) => set.push(member),
            None => sets.push(SmallVec::from_slice(&[member])),
        }
    }
    let group = |mut set: Set<'a>| {
        set.sort_by_key(|member| {
            let object = &member.prepared.object;
            (object.created.unwrap_or(i64::MAX), &object.key)
        });
        let members = admit(&set, conflicts)?;
        lend(&members, previous).or_else(|| build_group(&members))
    };
    sets.into_iter().filter_map(group).collect()
}

/// A route that is served.
#[derive(Clone, Copy)]
struct Member<'a> {
    prepared: &'a Prepared,
    served: &'a Served,
}

impl<'a> Member<'a> {
    fn of(prepared: &'a Prepared) -> Option<Self> {
        Some(Self { prepared, served: prepared.outcome.as_ref().ok()? })
    }

    fn route(self) -> &'a Arc<Route> {
        &self.served.route
    }

    fn key(self) -> &'a Arc<ObjectKey> {
        &self.prepared.object.key
    }

    /// Whether both may stand in one group.
    fn goes_with(self, other: Self) -> bool {
        let (one, two) = (self.route(), other.route());
        one.precedence == two.precedence
            && self.served.attachment == other.served.attachment
            && one.matches == two.matches
    }

    fn is_mirror(self) -> bool {
        matches!(self.route().action, Action::Mirror(_))
    }
}

/// Routes of equal match, precedence and attachment. Most are asked for once.
type Set<'a> = SmallVec<[Member<'a>; 1]>;

/// The members of a group.
struct Members<'a> {
    /// Those that serve requests, oldest first. Never empty.
    legs: Set<'a>,
    /// The one that gets copies.
    mirror: Option<Member<'a>>,
}

impl<'a> Members<'a> {
    fn all(&self) -> impl Iterator<Item = Member<'a>> {
        self.legs.iter().copied().chain(self.mirror)
    }
}

/// The members of a set (oldest first) that can live together; `None` where nobody serves.
fn admit<'a>(set: &[Member<'a>], conflicts: &mut Conflicts) -> Option<Members<'a>> {
    let mut legs = Set::new();
    let mut left = WHOLE;
    for &member in set.iter().filter(|member| !member.is_mirror()) {
        let route = member.route();
        let conflict = legs.first().and_then(|first| conflict(first.route(), route, left));
        if let (Some(conflict), Some(last)) = (conflict, legs.last()) {
            let with = match conflict {
                Conflict::Redirect => legs[0],
                _ => *last,
            };
            let with = Arc::clone(with.key());
            conflicts.push((Arc::clone(member.key()), Verdict::Conflicted { with, conflict }));
            continue;
        }
        left = left.saturating_sub(route.weight.unwrap_or(0));
        legs.push(member);
    }
    let mirror = admit_mirror(set, &legs, conflicts);
    (!legs.is_empty()).then_some(Members { legs, mirror })
}

/// The oldest of those that want copies, if there is anything to copy.
fn admit_mirror<'a>(
    set: &[Member<'a>],
    legs: &[Member<'a>],
    conflicts: &mut Conflicts,
) -> Option<Member<'a>> {
    let forwards = |leg: &Member<'_>| matches!(leg.route().action, Action::Forward(_));
    let something = legs.first().is_some_and(forwards);
    let mut admitted: Option<Member<'a>> = None;
    for &member in set.iter().filter(|member| member.is_mirror()) {
        let verdict = match admitted {
            _ if !something => Verdict::NothingToCopy,
            Some(first) => {
                Verdict::Conflicted { with: Arc::clone(first.key()), conflict: Conflict::Mirror }
            }
            None => {
                admitted = Some(member);
                continue;
            }
        };
        conflicts.push((Arc::clone(member.key()), verdict));
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

fn build_group(members: &Members<'_>) -> Option<Arc<RouteGroup>> {
    let first = members.legs.first()?;
    let weights: SmallVec<[Option<u8>; 2]> =
        members.legs.iter().map(|member| member.route().weight).collect();
    let mirror = members.mirror.map(|member| {
        let to = member.route().weight.unwrap_or(WHOLE).min(WHOLE);
        build_leg(member, Share { from: 0, to }, None)
    });
    let legs = members
        .legs
        .iter()
        .zip(shares(&weights))
        .map(|(member, share)| build_leg(*member, share, mirror.clone()))
        .collect();
    let attachment = Arc::clone(&first.served.attachment);
    Some(Arc::new(RouteGroup { precedence: first.route().precedence, attachment, legs }))
}

fn build_leg(member: Member<'_>, share: Share, mirror: Option<Arc<Leg>>) -> Arc<Leg> {
    Arc::new(Leg {
        mirror,
        key: Arc::clone(member.key()),
        created: member.prepared.object.created,
        share,
        route: Arc::clone(member.route()),
        written: Some(Arc::clone(&member.prepared.written)),
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

/// The group of the previous build, if it was made of the same members.
fn lend(members: &Members<'_>, previous: &Sorted<Arc<RouteGroup>>) -> Option<Arc<RouteGroup>> {
    let smallest = members.all().map(Member::key).min()?;
    previous.get(smallest).filter(|old| is_made_of(old, members)).cloned()
}

fn is_made_of(group: &RouteGroup, members: &Members<'_>) -> bool {
    group.legs.len() == members.legs.len()
        && group.mirror().is_some() == members.mirror.is_some()
        && group.legs.iter().chain(group.mirror()).zip(members.all()).all(|(leg, member)| {
            // The address first: it tells nearly all, and the key's texts are far away.
            Arc::ptr_eq(member.route(), &leg.route)
                && leg
                    .written
                    .as_ref()
                    .is_some_and(|old| Arc::ptr_eq(old, &member.prepared.written))
                && member.served.attachment == group.attachment
                && member.prepared.object.created == leg.created
                && *member.key() == leg.key
        })
}
