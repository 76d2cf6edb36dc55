//! The statuses that stand in the cluster, shared by the source that sees them and the
//! controller that plans against them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ObservedStatus;
use crate::model::key::{Kind, ObjectKey};

/// Fewer values than this are never looked over.
const MIN_VALUES: usize = 256;

/// The status of each resource as it stands in the cluster. Clones share one map.
///
/// It lives beside the store, not in it, because a status that comes back must not cause a build.
#[derive(Debug, Clone, Default)]
pub struct ObservedStatuses {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
}

/// What has changed of one kind, and who waits for it.
#[derive(Debug, Default)]
struct Dirty {
    keys: HashSet<Arc<ObjectKey>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    statuses: HashMap<Arc<ObjectKey>, Arc<ObservedStatus>>,
    dirty: HashMap<Kind, Dirty>,
    /// One of each value: most objects of a large cluster say the same, word for word.
    values: HashSet<Arc<ObservedStatus>>,
    /// How many values there may be before those that nothing holds any more are let go.
    values_limit: usize,
}

impl Inner {
    fn share(&mut self, status: ObservedStatus) -> Arc<ObservedStatus> {
        if let Some(same) = self.values.get(&status) {
            return Arc::clone(same);
        }
        if self.values.len() >= self.values_limit {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.values_limit = 2 * self.values.len() + MIN_VALUES;
        }
        let status = Arc::new(status);
        self.values.insert(Arc::clone(&status));
        status
    }
}

impl ObservedStatuses {
    /// The one `Arc` of a value.
    pub fn share(&self, status: ObservedStatus) -> Arc<ObservedStatus> {
        self.shared.inner.lock().share(status)
    }

    /// Remembers that `status` stands at `key` now.
    pub fn put(&self, key: Arc<ObjectKey>, status: Arc<ObservedStatus>) {
        let mut inner = self.shared.inner.lock();
        let dirty = inner.dirty.entry(key.kind).or_default();
        dirty.keys.insert(key.clone());
        dirty.changed.notify_one();
        inner.statuses.insert(key, status);
    }

    /// Replaces the status at `key` by what a write has answered. Nothing that the cluster hasn't
    /// shown, or has taken away, is added.
    pub fn refresh(&self, key: &ObjectKey, status: ObservedStatus) {
        let mut inner = self.shared.inner.lock();
        let status = inner.share(status);
        if let Some(standing) = inner.statuses.get_mut(key) {
            *standing = status;
        }
    }

    /// Forgets a resource that is gone.
    pub fn remove(&self, key: &ObjectKey) {
        let mut inner = self.shared.inner.lock();
        inner.statuses.remove(key);
        if let Some(dirty) = inner.dirty.get_mut(&key.kind) {
            dirty.keys.remove(key);
        }
    }

    /// The status at `key`, once the cluster has shown it.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<ObservedStatus>> {
        self.shared.inner.lock().statuses.get(key).cloned()
    }

    /// Waits until a status of a kind has changed and takes the keys of all that have since the
    /// last call. There is one reader of each kind: its status writer. Cancel-safe.
    pub async fn changed(&self, kind: Kind) -> HashSet<Arc<ObjectKey>> {
        loop {
            let changed = {
                let mut inner = self.shared.inner.lock();
                let dirty = inner.dirty.entry(kind).or_default();
                if !dirty.keys.is_empty() {
                    return std::mem::take(&mut dirty.keys);
                }
                Arc::clone(&dirty.changed)
            };
            changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_statuses_are_kept_once_and_only_while_they_are_used() {
        let statuses = ObservedStatuses::default();
        let status = |n: usize| ObservedStatus { state: Some(n.to_string()), ..Default::default() };
        let held = statuses.share(status(0));
        assert!(Arc::ptr_eq(&held, &statuses.share(status(0))));
        for n in 1..10 * MIN_VALUES {
            statuses.share(status(n));
        }
        assert!(statuses.shared.inner.lock().values.len() <= 2 * MIN_VALUES);
        assert!(Arc::ptr_eq(&held, &statuses.share(status(0))));
    }
}
