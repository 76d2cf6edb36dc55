//! The one meeting point of those who build and those who serve.
//!
//! A value is published whole. A reader keeps its own `Arc` and looks for a newer one with a
//! single atomic load, so that nothing is shared on a request's path but a counter that is
//! only written when the configuration changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

/// The writing end. There is one for each value.
#[derive(Debug)]
pub struct Publisher<T> {
    cell: Arc<Cell<T>>,
    /// Values that readers may still hold. They are let go here and not by the last reader, so
    /// that no worker stops to free a large table in the middle of a request.
    retired: Mutex<Vec<Arc<T>>>,
}

/// A reading end; each worker clones one and keeps it for itself.
#[derive(Debug)]
pub struct Reader<T> {
    cell: Arc<Cell<T>>,
    seen: u64,
    value: Arc<T>,
}

#[derive(Debug)]
struct Cell<T> {
    generation: AtomicU64,
    value: RwLock<Arc<T>>,
    /// For those few who wait for a newer value instead of looking at each request.
    news: (Mutex<()>, Condvar),
}

/// Both ends of a new value.
pub fn channel<T>(first: T) -> (Publisher<T>, Reader<T>) {
    let value = Arc::new(first);
    let cell = Arc::new(Cell {
        generation: AtomicU64::new(0),
        value: RwLock::new(Arc::clone(&value)),
        news: Default::default(),
    });
    (
        Publisher { cell: Arc::clone(&cell), retired: Mutex::default() },
        Reader { cell, seen: 0, value },
    )
}

impl<T> Publisher<T> {
    /// Publishes a value: every read that begins after this returns sees it or a later one.
    /// Returns the value's generation, counted from 1.
    pub fn publish(&self, value: Arc<T>) -> u64 {
        let mut current = self.cell.value.write();
        let old = std::mem::replace(&mut *current, value);
        // Under the lock, so that a reader who sees the generation finds its value. Release pairs
        // with the reader's Acquire.
        let generation = self.cell.generation.fetch_add(1, Ordering::Release) + 1;
        drop(current);
        let (lock, news) = &self.cell.news;
        // Under its lock, so that nobody looks before and sleeps after.
        drop(lock.lock());
        news.notify_all();
        let mut retired = self.retired.lock();
        retired.push(old);
        retired.retain(|value| Arc::strong_count(value) > 1);
        generation
    }
}

impl<T> Reader<T> {
    /// The newest value.
    pub fn get(&mut self) -> &Arc<T> {
        if self.cell.generation.load(Ordering::Acquire) != self.seen {
            let current = self.cell.value.read();
            self.seen = self.cell.generation.load(Ordering::Acquire);
            self.value = Arc::clone(&current);
        }
        &self.value
    }

    /// Waits until there is a newer value than [`Reader::get`] gave last, for at most `limit`.
    /// Blocks its thread. Returns whether there is one.
    pub fn wait(&self, limit: Duration) -> bool {
        let is_news = || self.cell.generation.load(Ordering::Acquire) != self.seen;
        let (lock, news) = &self.cell.news;
        let mut guard = lock.lock();
        if !is_news() {
            news.wait_for(&mut guard, limit);
        }
        is_news()
    }

    /// The generation of the value that [`Reader::get`] gave last; 0 is the first value.
    pub fn generation(&self) -> u64 {
        self.seen
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), seen: self.seen, value: Arc::clone(&self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_published_before() {
        let (publisher, mut reader) = channel(0);
        let mut other = reader.clone();
        assert_eq!(**reader.get(), 0);
        assert_eq!(publisher.publish(Arc::new(7)), 1);
        assert_eq!((**reader.get(), **other.get()), (7, 7));
    }

    #[test]
    fn the_last_reader_frees_nothing() {
        let (publisher, mut reader) = channel(0);
        let first = Arc::downgrade(reader.get());
        publisher.publish(Arc::new(1));
        assert_eq!(**reader.get(), 1);
        assert!(first.upgrade().is_some(), "the publisher still holds it");
        publisher.publish(Arc::new(2));
        assert!(first.upgrade().is_none(), "nobody read it any more");
    }

    #[test]
    fn who_waits_is_woken() {
        let (publisher, mut reader) = channel(0);
        assert!(!reader.wait(Duration::ZERO), "nothing is newer than the first value");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| while !reader.wait(Duration::from_secs(10)) {});
            publisher.publish(Arc::new(1));
            waiting.join().unwrap();
        });
        assert_eq!(**reader.get(), 1);
        assert!(!reader.wait(Duration::ZERO), "it has been seen");
    }

    #[test]
    fn readers_never_go_back_while_a_writer_runs() {
        let (publisher, reader) = channel(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let mut reader = reader.clone();
                scope.spawn(move || {
                    let mut last = 0;
                    while last < 10_000 {
                        let now = **reader.get();
                        assert!(now >= last);
                        last = now;
                    }
                });
            }
            for value in 1..=10_000 {
                publisher.publish(Arc::new(value));
            }
        });
    }
}
