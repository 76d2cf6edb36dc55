//! The statuses that stand in the cluster, shared by the source that sees them and the
//! controller that plans against them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ObservedStatus;
use crate::model::key::ObjectKey;

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
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    statuses: HashMap<ObjectKey, Arc<ObservedStatus>>,
    dirty: HashSet<ObjectKey>,
}

impl ObservedStatuses {
    /// Remembers that `status` stands at `key` now.
    pub fn put(&self, key: ObjectKey, status: Arc<ObservedStatus>) {
        let mut inner = self.shared.inner.lock();
        inner.dirty.insert(key.clone());
        inner.statuses.insert(key, status);
        drop(inner);
        self.shared.changed.notify_one();
    }

    /// Replaces the status at `key` by what a write has answered. Nothing that the cluster hasn't
    /// shown, or has taken away, is added.
    pub fn refresh(&self, key: &ObjectKey, status: ObservedStatus) {
        if let Some(standing) = self.shared.inner.lock().statuses.get_mut(key) {
            *standing = Arc::new(status);
        }
    }

    /// Forgets a resource that is gone.
    pub fn remove(&self, key: &ObjectKey) {
        let mut inner = self.shared.inner.lock();
        inner.statuses.remove(key);
        inner.dirty.remove(key);
    }

    /// The status at `key`, once the cluster has shown it.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<ObservedStatus>> {
        self.shared.inner.lock().statuses.get(key).cloned()
    }

    /// Waits until a status has changed and takes the keys of all that have since the last call.
    /// There is one reader: the status writer. Cancel-safe.
    pub async fn changed(&self) -> HashSet<ObjectKey> {
        loop {
            let dirty = std::mem::take(&mut self.shared.inner.lock().dirty);
            if !dirty.is_empty() {
                return dirty;
            }
            self.shared.changed.notified().await;
        }
    }
}
