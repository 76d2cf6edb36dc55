//! How much is under way towards each cluster, over all workers, and how much may be.
//!
//! The one place where workers share memory that they write: a limit that each kept for itself
//! would be multiplied by their number.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// A gauge with a limit and many writers.
#[derive(Debug)]
pub(crate) struct Level {
    now: AtomicU32,
    limit: u32,
}

impl Level {
    /// Nothing yet, up to `limit`.
    pub(crate) fn new(limit: u32) -> Self {
        Self { now: AtomicU32::new(0), limit }
    }

    /// Adds one, unless the limit is reached.
    pub(crate) fn try_enter(&self) -> bool {
        self.try_enter_below(self.limit)
    }

    /// Adds one, unless `limit` is reached.
    pub(crate) fn try_enter_below(&self, limit: u32) -> bool {
        // Not added first and taken off again: meanwhile another would be refused a free place.
        let one_more = |now| (now < limit).then_some(now + 1);
        self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Adds one, whatever the limit.
    pub(crate) fn enter(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one off.
    pub(crate) fn leave(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    /// How much there is.
    pub(crate) fn get(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// The limit.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    fn is_full(&self) -> bool {
        self.get() >= self.limit
    }
}

/// What is limited for the requests of one priority.
#[derive(Debug)]
pub(crate) struct PriorityLevels {
    /// Connections.
    pub(crate) connections: Level,
    /// Requests that wait for a connection.
    pub(crate) pending: Level,
    /// Requests.
    pub(crate) requests: Level,
    /// Retries.
    pub(crate) retries: Level,
}

/// The levels of one cluster.
#[derive(Debug)]
pub(crate) struct ClusterLevels {
    /// Of the priority `default`, and of `high`.
    pub(crate) priorities: [PriorityLevels; 2],
    /// Its endpoints.
    pub(crate) members: AtomicU32,
    /// Those that aren't left out for their answers or their health.
    pub(crate) healthy: AtomicU32,
    /// Endpoints that are left out for their answers.
    pub(crate) ejected: AtomicU32,
    /// How often one was.
    pub(crate) ejections: AtomicU32,
}

impl ClusterLevels {
    /// Nothing yet.
    pub(crate) fn new(priorities: [PriorityLevels; 2]) -> Self {
        Self {
            priorities,
            members: AtomicU32::new(0),
            healthy: AtomicU32::new(0),
            ejected: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
        }
    }
}

/// The levels of all clusters that are in use, by the name in metrics. Several may share one.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    by_name: Mutex<HashMap<Arc<str>, Vec<Weak<ClusterLevels>>>>,
}

impl Levels {
    /// Shows a cluster's levels for as long as somebody holds them.
    pub(crate) fn add(&self, name: &Arc<str>, levels: &Arc<ClusterLevels>) {
        let mut by_name = self.by_name.lock();
        by_name.retain(|_, all| {
            all.retain(|one| one.strong_count() > 0);
            !all.is_empty()
        });
        by_name.entry(Arc::clone(name)).or_default().push(Arc::downgrade(levels));
    }

    /// Those of a name.
    pub(super) fn of(&self, name: &str) -> Vec<Arc<ClusterLevels>> {
        let by_name = self.by_name.lock();
        by_name.get(name).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }
}

/// A limit of a cluster: its name in metrics, and the level.
pub(super) type PickLevel = fn(&PriorityLevels) -> &Level;

/// The gauges `envoy_cluster_circuit_breakers_<priority>_<name>`: 1 where a limit is reached.
pub(super) const OPEN: [(&str, PickLevel); 4] = [
    ("cx_open", |one| &one.connections),
    ("rq_pending_open", |one| &one.pending),
    ("rq_open", |one| &one.requests),
    ("rq_retry_open", |one| &one.retries),
];

/// Whether a limit is reached in any of the clusters.
pub(super) fn is_open(all: &[Arc<ClusterLevels>], priority: usize, pick: PickLevel) -> bool {
    all.iter().any(|one| pick(&one.priorities[priority]).is_full())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_never_exceeds_its_limit() {
        let level = Arc::new(Level::new(3));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let level = Arc::clone(&level);
                std::thread::spawn(move || (0..100).filter(|_| level.try_enter()).count())
            })
            .collect();
        let entered: usize = threads.into_iter().map(|one| one.join().expect("no panic")).sum();
        assert_eq!((entered, level.get()), (3, 3));
        assert!(level.is_full());
        level.leave();
        assert!(level.try_enter() && !level.try_enter());
    }

    #[test]
    fn levels_are_shown_while_they_are_held() {
        let levels = Levels::default();
        let name: Arc<str> = "a".into();
        let priority = || PriorityLevels {
            connections: Level::new(1),
            pending: Level::new(1),
            requests: Level::new(1),
            retries: Level::new(1),
        };
        let one = Arc::new(ClusterLevels::new([priority(), priority()]));
        levels.add(&name, &one);
        one.priorities[1].requests.enter();
        let shown = levels.of("a");
        assert!(
            is_open(&shown, 1, |one| &one.requests) && !is_open(&shown, 0, |one| &one.requests)
        );
        drop((shown, one));
        assert!(levels.of("a").is_empty());
    }
}
