//! What has changed since the previous build.

use std::sync::Arc;

use super::{Candidate, Kept};
use crate::model::key::{Kind, ObjectKey};
use crate::model::object::Object;
use crate::model::snapshot::Snapshot;

/// What has changed since the previous build. Mappings are kept apart from other objects: there
/// are many of them, and one has no effect but on those of its name and of its match.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    /// The keys of Mappings that are new, gone or other ones, in their order.
    routes: Vec<&'a ObjectKey>,
    /// Whether anything else has changed.
    pub(super) others: bool,
}

impl<'a> Changes<'a> {
    /// The changes since what was kept.
    pub(super) fn since(snapshot: &'a Snapshot, kept: Option<&'a Kept>) -> Self {
        let Some(Kept { snapshot: before, .. }) = kept else {
            return Self { routes: Vec::new(), others: true };
        };
        let changes = snapshot.objects.changes(&before.objects);
        let changed: Vec<&ObjectKey> =
            changes.into_iter().filter_map(|one| Some(&*one.new.or(one.old)?.key)).collect();
        let end = changed.partition_point(|key| key.kind == Kind::Mapping);
        let others = end < changed.len() || !has_same_rest(snapshot, before);
        Self { routes: changed[..end].to_vec(), others }
    }

    /// The Mappings that have the name of one that has changed, in the order of their keys.
    pub(super) fn touched<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> impl Iterator<Item = &'s Arc<Object>> {
        let names = self.routes.chunk_by(|a, b| name(a) == name(b));
        names.filter_map(|keys| keys.first()).flat_map(|first| {
            let same = snapshot.objects.from(|object| name(&object.key) < name(first));
            same.take_while(|object| name(&object.key) == name(first))
        })
    }

    /// The changed Mappings that aren't candidates any more.
    pub(super) fn gone(&self, candidates: &[Candidate<'_>]) -> Vec<&'a ObjectKey> {
        let is_gone = |key: &&&ObjectKey| find(candidates, key).is_none();
        self.routes.iter().filter(is_gone).copied().collect()
    }
}

/// The index of the candidate of a key, among candidates in the order of their keys.
pub(super) fn find(candidates: &[Candidate<'_>], key: &ObjectKey) -> Option<usize> {
    candidates.binary_search_by(|candidate| (*candidate.object.key).cmp(key)).ok()
}

/// All Mappings.
pub(super) fn routes(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Object>> {
    snapshot.objects.iter().take_while(|object| object.key.kind == Kind::Mapping)
}

/// All other objects.
pub(super) fn others(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Object>> {
    snapshot.objects.from(|object| object.key.kind == Kind::Mapping)
}

fn name(key: &ObjectKey) -> (Kind, &str, &str) {
    (key.kind, &key.namespace, &key.name)
}

/// Whether both say the same beside their objects, as far as can be seen by addresses.
fn has_same_rest(new: &Snapshot, old: &Snapshot) -> bool {
    Arc::ptr_eq(&new.services, &old.services)
        && Arc::ptr_eq(&new.secrets, &old.secrets)
        && Arc::ptr_eq(&new.pem_files, &old.pem_files)
        && Arc::ptr_eq(&new.last_good, &old.last_good)
        && Arc::ptr_eq(&new.observations, &old.observations)
        && new.now == old.now
        && new.defaults == old.defaults
}
