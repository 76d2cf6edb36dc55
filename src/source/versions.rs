//! How far a process has come in each collection, in resource versions, so that one replica can
//! tell whether another has taken in what it has.
//!
//! Resource versions of one collection are numbers that only grow (KEP-5504; true of every API
//! server before it as well), but for a backup that is restored.
//!
//! Pure bookkeeping: no IO and no clock.

use std::collections::BTreeMap;

use super::Collection;

/// A moment of a collection: everything up to `metadata.resourceVersion` `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The collection.
    pub collection: Collection,
    /// The resource version.
    pub number: u64,
}

/// A moment of each collection that is followed; `None` where nothing is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions(BTreeMap<Collection, Option<u64>>);

impl Versions {
    /// Collections in order, each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Collection, Option<u64>)> {
        self.0.iter().map(|(collection, number)| (*collection, *number))
    }

    /// Whether whoever has come this far has taken in all that `wanted` names.
    ///
    /// A collection that isn't followed here at all is not waited for: a program of another
    /// version serves nothing of it, and never will. But who names none hasn't begun.
    pub fn covers(&self, wanted: &Self) -> bool {
        let has_begun = !self.0.is_empty() || wanted.0.is_empty();
        has_begun
            && wanted.iter().all(|(collection, wanted)| {
                self.0.get(&collection).is_none_or(|number| *number >= wanted)
            })
    }
}

impl FromIterator<(Collection, Option<u64>)> for Versions {
    fn from_iter<I: IntoIterator<Item = (Collection, Option<u64>)>>(versions: I) -> Self {
        Self(versions.into_iter().collect())
    }
}

/// What this process has taken in.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<Collection, Mark>);

/// The two numbers of a collection.
///
/// They differ, because most versions have no event in the collection: a list tells of a moment
/// that nobody who was there before has heard of.
#[derive(Debug, Default, Clone, Copy)]
struct Mark {
    /// The newest object or event that was taken in. Whoever needs what we have needs this; and
    /// whoever has followed the collection has come this far, so that it can be asked of others.
    newest: Option<u64>,
    /// Everything up to here has been taken in.
    complete: Option<u64>,
    listing: Option<Listing>,
}

/// A list that runs.
#[derive(Debug, Clone, Copy)]
struct Listing {
    /// The newest that was taken in before it.
    before: Option<u64>,
    /// The newest object in it so far.
    newest: Option<u64>,
}

impl Marks {
    /// Nothing has been taken in yet.
    pub(super) fn new(collections: impl IntoIterator<Item = Collection>) -> Self {
        Self(collections.into_iter().map(|collection| (collection, Mark::default())).collect())
    }

    /// A list begins.
    pub(super) fn begin_list(&mut self, collection: Collection) {
        let mark = self.mark(collection);
        mark.listing = Some(Listing { before: mark.newest, newest: None });
    }

    /// An object or an event of this version was taken in.
    pub(super) fn take(&mut self, version: Version) {
        let mark = self.mark(version.collection);
        let number = Some(version.number);
        mark.newest = mark.newest.max(number);
        match &mut mark.listing {
            // A list has no order: it is complete at its end.
            Some(listing) => listing.newest = listing.newest.max(number),
            None => mark.complete = mark.complete.max(number),
        }
    }

    /// A list is complete, and holds everything up to this number.
    pub(super) fn end_list(&mut self, version: Version) {
        let mark = self.mark(version.collection);
        let Some(listing) = mark.listing.take() else { return };
        let listed = Some(version.number).max(listing.newest);
        if listing.before > Some(version.number) {
            // A backup was restored: what was seen of the time after it doesn't count.
            (mark.newest, mark.complete) = (listing.newest, listed);
        } else {
            mark.complete = mark.complete.max(listed);
        }
    }

    /// The collection is empty because it has no definition, or its versions can't be read.
    pub(super) fn forget(&mut self, collection: Collection) {
        *self.mark(collection) = Mark::default();
    }

    /// What others must have taken in to know what we know.
    pub(super) fn needed(&self) -> Versions {
        let needed = self.0.iter().filter(|(_, mark)| mark.newest.is_some());
        needed.map(|(collection, mark)| (*collection, mark.newest)).collect()
    }

    /// How far we have come.
    pub(super) fn complete(&self) -> Versions {
        self.0.iter().map(|(collection, mark)| (*collection, mark.complete)).collect()
    }

    fn mark(&mut self, collection: Collection) -> &mut Mark {
        self.0.entry(collection).or_default()
    }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
