//! One object followed by its name: what it is now.

use std::fmt::Debug;
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use kube::{Api, Resource};
use kube_runtime::WatchStreamExt;
use kube_runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

/// An object that is watched by its name, so that the permission can name it too.
pub(super) struct Followed<K> {
    stream: Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>,
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
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let stream = watcher(api, config).default_backoff().boxed();
        Self { stream, value: None, pending: None, known: false }
    }

    /// The object as it was seen last; the outer `None` as long as nobody knows.
    pub(super) fn get(&self) -> Option<Option<&K>> {
        self.known.then_some(self.value.as_ref())
    }

    /// An object that was read besides, and is newer than what was seen.
    pub(super) fn set(&mut self, value: Option<K>) {
        self.value = value;
    }

    /// Waits for the next news; an error is one that the watch recovers from by itself.
    pub(super) async fn next(&mut self) -> Result<(), watcher::Error> {
        match self.stream.next().await {
            Some(Ok(event)) => self.take(event),
            Some(Err(error)) => return Err(error),
            // A watch never ends.
            None => std::future::pending().await,
        }
        Ok(())
    }

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
