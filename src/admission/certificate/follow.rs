//! Objects followed by their names: what they are now.

use std::fmt::Debug;
use std::pin::Pin;

use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt};
use kube::{Api, Resource};
use kube_runtime::WatchStreamExt;
use kube_runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

/// The news of one object.
type News<K> = Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>;

/// The same, with the object's place among several.
type NumberedNews<K> = Pin<Box<dyn Stream<Item = (usize, watcher::Result<Event<K>>)> + Send>>;

/// An object that is watched by its name, so that the permission can name it too.
pub(super) struct Followed<K> {
    stream: News<K>,
    seen: Seen<K>,
}

/// Several objects of a kind, each watched by its name.
pub(super) struct FollowedSet<K> {
    streams: SelectAll<NumberedNews<K>>,
    seen: Vec<Seen<K>>,
}

/// What was seen of an object.
struct Seen<K> {
    /// The object as it was seen last.
    value: Option<K>,
    /// While it is listed anew: what was found so far.
    pending: Option<K>,
    /// Whether it was ever listed, so that `None` means that there is none.
    known: bool,
}

impl<K> Followed<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Clone,
{
    /// Follows the object of that name.
    pub(super) fn new(api: Api<K>, name: &str) -> Self {
        Self { stream: news(api, name), seen: Seen::default() }
    }

    /// The object as it was seen last; the outer `None` as long as nobody knows.
    pub(super) fn get(&self) -> Option<Option<&K>> {
        self.seen.known.then_some(self.seen.value.as_ref())
    }

    /// An object that was read besides, and is newer than what was seen.
    pub(super) fn set(&mut self, value: Option<K>) {
        self.seen.value = value;
    }

    /// Waits for the next news; an error is one that the watch recovers from by itself.
    pub(super) async fn next(&mut self) -> Result<(), watcher::Error> {
        match self.stream.next().await {
            Some(event) => self.seen.take(event?),
            // A watch never ends.
            None => std::future::pending().await,
        }
        Ok(())
    }
}

impl<K> FollowedSet<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Clone,
{
    /// Follows the objects of these names.
    pub(super) fn new(api: &Api<K>, names: &[String]) -> Self {
        let mut streams = SelectAll::new();
        for (index, name) in names.iter().enumerate() {
            streams.push(news(api.clone(), name).map(move |event| (index, event)).boxed());
        }
        Self { streams, seen: names.iter().map(|_| Seen::default()).collect() }
    }

    /// Those that there are, as far as anybody knows.
    pub(super) fn values(&self) -> impl Iterator<Item = &K> {
        self.seen.iter().filter_map(|seen| seen.value.as_ref())
    }

    /// Waits for the next news; an error is one that the watch recovers from by itself.
    pub(super) async fn next(&mut self) -> Result<(), watcher::Error> {
        match self.streams.next().await {
            Some((index, event)) => self.seen[index].take(event?),
            // A watch never ends, and of no objects there are no news.
            None => std::future::pending().await,
        }
        Ok(())
    }
}

impl<K> Seen<K> {
    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.pending = None,
            Event::InitApply(object) => self.pending = Some(object),
            Event::InitDone => {
                self.value = self.pending.take();
                self.known = true;
            }
            Event::Apply(object) => self.value = Some(object),
            Event::Delete(_) => self.value = None,
        }
    }
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self { value: None, pending: None, known: false }
    }
}

fn news<K>(api: Api<K>, name: &str) -> News<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Clone,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, config).default_backoff().boxed()
}
