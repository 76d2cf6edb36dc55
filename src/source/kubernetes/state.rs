//! How each watched collection is doing, for readiness and diagnostics.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::source::Collection;

/// The state of every watched collection. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SourceState {
    collections: Arc<Mutex<BTreeMap<Collection, CollectionState>>>,
}

/// How one collection is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionState {
    /// Its first list is not complete.
    Listing,
    /// It is listed and followed.
    Watching,
    /// Its custom resource definition is not installed, or serves other versions: nothing of it
    /// can exist. The text says which, and what to install.
    MissingCrd(String),
    /// The API server refuses it.
    Forbidden {
        /// Names the verb, the resource and the role to change.
        message: String,
        /// Whether it was never followed: what is served of it is as old as this process, or
        /// nothing. Such a replica isn't ready; one that loses a permission goes on.
        never_followed: bool,
    },
    /// The API server can't be reached or fails; what was seen before stays in force.
    Disconnected(String),
}

impl SourceState {
    /// The state of one collection; [`CollectionState::Listing`] before anything is known.
    pub fn get(&self, collection: Collection) -> CollectionState {
        self.collections.lock().get(&collection).cloned().unwrap_or(CollectionState::Listing)
    }

    /// The states of all collections that have been started.
    pub fn all(&self) -> BTreeMap<Collection, CollectionState> {
        self.collections.lock().clone()
    }

    /// Sets a state and returns whether it differs from the one before.
    pub(super) fn set(&self, collection: Collection, state: CollectionState) -> bool {
        let mut collections = self.collections.lock();
        if collections.get(&collection) == Some(&state) {
            return false;
        }
        collections.insert(collection, state);
        true
    }
}
