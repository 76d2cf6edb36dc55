//! Lists in the order of their items' keys that share what they have in common.
//!
//! A list is kept in chunks. A copy shares all of them with its original, a change copies one, and
//! two lists are compared without a look into the chunks that they share. So what follows from a
//! list can be made anew at the cost of what has changed in it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::key::ObjectKey;

/// Items in a chunk, at the most. A change copies one chunk, a copy counts all of them.
const CHUNK: usize = 128;

/// An item of a list: its order, and whether it is the very same as another.
pub trait Item: Clone {
    /// What items are found by. Two items of a list never have the same key.
    type Key: ?Sized;

    /// The order of its key beside another.
    fn order(&self, key: &Self::Key) -> Ordering;

    /// The order of its key beside that of another item.
    fn order_of(&self, other: &Self) -> Ordering;

    /// Whether both are one value in memory.
    fn is(&self, other: &Self) -> bool;
}

/// What has a key of its own, so that shared values of it can be sorted.
pub trait Keyed {
    /// The key.
    fn key(&self) -> &ObjectKey;
}

impl<T: Keyed> Item for Arc<T> {
    type Key = ObjectKey;

    fn order(&self, key: &ObjectKey) -> Ordering {
        T::key(self).cmp(key)
    }

    fn order_of(&self, other: &Self) -> Ordering {
        T::key(self).cmp(T::key(other))
    }

    fn is(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

/// A sorted list. Copying it is cheap.
#[derive(Clone)]
pub struct Sorted<I> {
    /// None is empty.
    chunks: Vec<Arc<Vec<I>>>,
    length: usize,
}

/// A place where two lists differ: what the old one has there, and what the new one.
#[derive(Debug, PartialEq)]
pub struct Change<'a, I> {
    /// `None` where it is new.
    pub old: Option<&'a I>,
    /// `None` where it is gone.
    pub new: Option<&'a I>,
}

impl<I> Sorted<I> {
    /// Items.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All items, in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &I> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Whether both share everything.
    pub fn is(&self, other: &Self) -> bool {
        self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(|(one, two)| Arc::ptr_eq(one, two))
    }

    /// The items from the first on for which `is_before` no longer holds, as it does for all
    /// items before that one.
    pub fn from(&self, is_before: impl Fn(&I) -> bool) -> impl Iterator<Item = &I> {
        // That of which the last item isn't before.
        let at = self.chunks.partition_point(|chunk| chunk.last().is_none_or(&is_before));
        let within = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(&is_before));
        self.chunks[at..].iter().flat_map(|chunk| chunk.iter()).skip(within)
    }
}

impl<I: Item> Sorted<I> {
    /// The item of a key.
    pub fn get(&self, key: &I::Key) -> Option<&I> {
        let (at, within) = self.find(|item| item.order(key)).ok()?;
        self.chunks[at].get(within)
    }

    /// Puts an item in the place of the one of its key. Items that come in order are put at the
    /// end without a search.
    pub fn insert(&mut self, item: I) {
        match self.chunks.last_mut() {
            Some(last) if last.last().is_some_and(|last| last.order_of(&item).is_ge()) => {
                self.insert_within(item);
            }
            Some(last) if last.len() < CHUNK => {
                self.length += 1;
                Arc::make_mut(last).push(item);
            }
            _ => {
                self.length += 1;
                self.chunks.push(Arc::new(vec![item]));
            }
        }
    }

    /// Puts an item somewhere before the end.
    fn insert_within(&mut self, item: I) {
        match self.find(|other| other.order_of(&item)) {
            Ok((at, within)) if self.chunks[at][within].is(&item) => {}
            Ok((at, within)) => Arc::make_mut(&mut self.chunks[at])[within] = item,
            Err((at, within)) => {
                self.length += 1;
                let items = Arc::make_mut(&mut self.chunks[at]);
                items.insert(within, item);
                if items.len() > CHUNK {
                    let upper = items.split_off(CHUNK / 2);
                    self.chunks.insert(at + 1, Arc::new(upper));
                }
            }
        }
    }

    /// Takes the item of a key out.
    pub fn remove(&mut self, key: &I::Key) -> Option<I> {
        let (at, within) = self.find(|item| item.order(key)).ok()?;
        let chunk = &mut self.chunks[at];
        let removed = Arc::make_mut(chunk).remove(within);
        self.length -= 1;
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.join(at);
        self.join(at.wrapping_sub(1));
        Some(removed)
    }

    /// Where this list differs from `old`, in the order of the keys.
    pub fn changes<'a>(&'a self, old: &'a Self) -> Vec<Change<'a, I>> {
        let (mut before, mut after) = (Cursor::new(old), Cursor::new(self));
        let mut changes = Vec::new();
        loop {
            if before.skip_shared(&mut after) {
                continue;
            }
            let (old, new) = (before.item(), after.item());
            let order = match (old, new) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) if old.is(new) => {
                    before.step();
                    after.step();
                    continue;
                }
                (Some(old), Some(new)) => old.order_of(new),
            };
            changes.push(Change {
                old: old.filter(|_| order != Ordering::Greater),
                new: new.filter(|_| order != Ordering::Less),
            });
            if order != Ordering::Greater {
                before.step();
            }
            if order != Ordering::Less {
                after.step();
            }
        }
    }

    /// The chunk and the place in it of the item that is equal, or where it would stand.
    fn find(&self, order: impl Fn(&I) -> Ordering) -> Result<(usize, usize), (usize, usize)> {
        // That of which the last item isn't smaller.
        let is_before = |chunk: &Arc<Vec<I>>| chunk.last().is_none_or(|last| order(last).is_lt());
        let at = self.chunks.partition_point(is_before);
        let chunk = self.chunks.get(at).map_or(&[][..], |chunk| &chunk[..]);
        match chunk.binary_search_by(&order) {
            Ok(within) => Ok((at, within)),
            Err(within) => Err((at, within)),
        }
    }

    /// Puts a chunk together with the next, where both are nearly empty.
    fn join(&mut self, at: usize) {
        let Some([chunk, next]) = self.chunks.get_mut(at..).and_then(<[_]>::first_chunk_mut) else {
            return;
        };
        if chunk.len() + next.len() <= CHUNK / 2 {
            Arc::make_mut(chunk).extend(next.iter().cloned());
            self.chunks.remove(at + 1);
        }
    }
}

/// A place in a list.
struct Cursor<'a, I> {
    chunks: &'a [Arc<Vec<I>>],
    within: usize,
}

impl<'a, I> Cursor<'a, I> {
    fn new(list: &'a Sorted<I>) -> Self {
        Self { chunks: &list.chunks, within: 0 }
    }

    fn item(&self) -> Option<&'a I> {
        self.chunks.first()?.get(self.within)
    }

    fn step(&mut self) {
        self.within += 1;
        if self.chunks.first().is_some_and(|chunk| chunk.len() == self.within) {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        self.chunks = &self.chunks[1..];
        self.within = 0;
    }

    /// Passes a chunk that both are at the same place of.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        let is_shared = self.within == other.within
            && matches!((self.chunks, other.chunks), ([one, ..], [two, ..]) if Arc::ptr_eq(one, two));
        if is_shared {
            self.next_chunk();
            other.next_chunk();
        }
        is_shared
    }
}

impl<I> Default for Sorted<I> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

impl<I: Item> FromIterator<I> for Sorted<I> {
    fn from_iter<T: IntoIterator<Item = I>>(items: T) -> Self {
        let mut list = Self::default();
        list.extend(items);
        list
    }
}

impl<I: Item> Extend<I> for Sorted<I> {
    fn extend<T: IntoIterator<Item = I>>(&mut self, items: T) {
        items.into_iter().for_each(|item| self.insert(item));
    }
}

impl<I: Item + PartialEq> PartialEq for Sorted<I> {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length
            && self.iter().zip(other.iter()).all(|(one, two)| one.is(two) || one == two)
    }
}

impl<I: fmt::Debug> fmt::Debug for Sorted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "sorted_tests.rs"]
mod tests;
