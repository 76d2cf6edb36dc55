//! PURE: the objects that this replica serves, and of which not all others are known to. A writer
//! asks here what it may say of an object; here is said when to ask again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::barrier::{Judgement, Replicas};
use crate::source::versions::Versions;
use crate::telemetry::timings::Timings;

/// How long a status is kept back. Replicas confirm within milliseconds as a rule, so that the
/// first thing that is written is also the last.
const HOLD: Duration = Duration::from_secs(1);

/// What may be said of an object that this replica serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// Every replica that gets requests serves it.
    #[default]
    Everywhere,
    /// Some haven't confirmed that they do; the text is for the author of the object.
    Pending(Arc<str>),
    /// As `Everywhere`, but for replicas that had their time; the text names them.
    Except(Arc<str>),
}

/// The objects that wait.
#[derive(Debug)]
pub(in crate::controller) struct Room<K> {
    replicas: Arc<Replicas>,
    grace: Duration,
    timings: Arc<Timings>,
    /// In order of the builds that they wait for.
    groups: VecDeque<Group<K>>,
    group_of: HashMap<K, u64>,
    next_number: u64,
}

/// The objects that one build has changed.
#[derive(Debug)]
struct Group<K> {
    number: u64,
    needed: Arc<Versions>,
    since: Instant,
    keys: HashSet<K>,
    judgement: Judgement,
    /// `None` while the status is kept back.
    standing: Option<Standing>,
}

impl<K: Hash + Eq + Clone> Room<K> {
    /// An empty room. After `grace` an object waits no longer.
    pub(in crate::controller) fn new(grace: Duration, timings: Arc<Timings>) -> Self {
        let replicas = Arc::new(Replicas::default());
        let (groups, group_of) = (VecDeque::new(), HashMap::new());
        Self { replicas, grace, timings, groups, group_of, next_number: 0 }
    }

    /// Lets an object wait that has changed in a build which needs `needed`.
    pub(in crate::controller) fn enter(&mut self, key: K, needed: &Arc<Versions>, now: Instant) {
        self.leave(&key);
        let is_last = |group: &Group<K>| Arc::ptr_eq(&group.needed, needed);
        if !self.groups.back().is_some_and(is_last) {
            let judgement = self.replicas.judge(needed);
            if judgement == Judgement::Confirmed {
                return;
            }
            self.groups.push_back(Group {
                number: self.next_number,
                needed: Arc::clone(needed),
                since: now,
                keys: HashSet::new(),
                judgement,
                standing: None,
            });
            self.next_number += 1;
        }
        if let Some(group) = self.groups.back_mut() {
            self.group_of.insert(key.clone(), group.number);
            group.keys.insert(key);
        }
    }

    /// An object of which nothing is served needn't wait.
    pub(in crate::controller) fn leave(&mut self, key: &K) {
        let Some(number) = self.group_of.remove(key) else { return };
        if let Some(at) = self.position(number) {
            self.groups[at].keys.remove(key);
            if self.groups[at].keys.is_empty() {
                self.groups.remove(at);
            }
        }
    }

    /// What may be said of an object; `None` for nothing yet.
    pub(in crate::controller) fn standing(&self, key: &K) -> Option<Standing> {
        let group = self.group_of.get(key).and_then(|number| self.position(*number));
        group.map_or(Some(Standing::Everywhere), |at| self.groups[at].standing.clone())
    }

    /// Takes in what is known of the replicas now.
    pub(in crate::controller) fn set_replicas(&mut self, replicas: Arc<Replicas>) {
        self.replicas = replicas;
    }

    /// Looks who may go or has waited for long, and returns all of whom there is something else
    /// to say than before.
    pub(in crate::controller) fn look(&mut self, now: Instant) -> Vec<K> {
        let mut news = Vec::new();
        let mut kept: VecDeque<Group<K>> = VecDeque::with_capacity(self.groups.len());
        for mut group in std::mem::take(&mut self.groups) {
            let judgement = self.replicas.judge(&group.needed);
            if judgement == Judgement::Confirmed {
                self.timings.barrier.observe(now.saturating_duration_since(group.since));
                for key in &group.keys {
                    self.group_of.remove(key);
                }
                news.extend(group.keys);
                continue;
            }
            if group.stand(judgement, now, self.grace) {
                news.extend(group.keys.iter().cloned());
            }
            // Those who waited in vain wait for the last of them: it needs what all others do.
            let excepted = |group: &Group<K>| matches!(group.standing, Some(Standing::Except(_)));
            if let Some(before) = kept.pop_back_if(|before| excepted(before) && excepted(&group)) {
                for key in &before.keys {
                    self.group_of.insert(key.clone(), group.number);
                }
                group.keys.extend(before.keys);
            }
            kept.push_back(group);
        }
        self.groups = kept;
        news
    }

    /// When to look again, if nothing is heard of the replicas until then.
    pub(in crate::controller) fn wake(&self) -> Option<Instant> {
        let wake = |group: &Group<K>| match group.standing {
            None => Some(group.since + HOLD.min(self.grace)),
            Some(Standing::Pending(_)) => Some(group.since + self.grace),
            Some(_) => None,
        };
        self.groups.iter().filter_map(wake).min()
    }

    /// Forgets all that wait.
    pub(in crate::controller) fn clear(&mut self) {
        self.groups.clear();
        self.group_of.clear();
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.groups.binary_search_by_key(&number, |group| group.number).ok()
    }
}

impl<K> Group<K> {
    /// Decides what may be said now; returns whether that is something else than before.
    fn stand(&mut self, judgement: Judgement, now: Instant, grace: Duration) -> bool {
        let waited = now.saturating_duration_since(self.since);
        let is_same = self.judgement == judgement;
        let standing = match &self.standing {
            // Once it is true it stays so, although others may fall behind.
            Some(Standing::Except(_)) if is_same => return false,
            Some(Standing::Pending(_)) if is_same && waited < grace => return false,
            Some(Standing::Except(_)) => Some(excepted(&judgement, grace)),
            _ if waited >= grace => Some(excepted(&judgement, grace)),
            _ if waited >= HOLD => Some(Standing::Pending(judgement.pending_text().into())),
            _ => None,
        };
        self.judgement = judgement;
        let is_new = self.standing != standing;
        self.standing = standing;
        is_new
    }
}

fn excepted(judgement: &Judgement, grace: Duration) -> Standing {
    Standing::Except(judgement.except_text(grace.as_secs()).into())
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
