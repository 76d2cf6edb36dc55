//! Follows one collection for as long as anybody listens: list, watch, and start again.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube::api::ListParams;
use kube_runtime::watcher::{Config, Error, Event as WatchEvent, watcher};
use tokio::sync::mpsc;

use super::convert::Converter;
use super::raw::Raw;
use super::state::{CollectionState, SourceState};
use crate::source::versions::Version;
use crate::source::{Collection, Event};

/// The first delay after an error. Short, because most errors are a connection that ended.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay: changes should arrive soon after the API server is back.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How often to look for a custom resource definition that is missing.
const CRD_DELAY: Duration = Duration::from_secs(2);
/// A page of a list that takes longer hangs on a dead connection.
const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// A watch that was lost, and has had no error for this long, is back: the watcher doesn't tell.
/// Longer than the client's deadline for a connection (30 s).
const QUIET: Duration = Duration::from_secs(35);
/// How many times a definition must be missing before objects that were seen are given up: an
/// API server that starts may not know its definitions yet.
const MISSING_TIMES: u32 = 3;

/// One collection to follow.
pub(super) struct Watch {
    pub(super) api: Api<Raw>,
    pub(super) config: Config,
    pub(super) collection: Collection,
    /// The collection as people and permissions name it, `mappings.getambassador.io`.
    pub(super) resource: &'static str,
    /// Where it is watched, for messages: `namespace x` or `all namespaces`.
    pub(super) scope: String,
    pub(super) state: SourceState,
    pub(super) events: mpsc::Sender<Event>,
}

/// Why a watcher must be left.
enum End {
    /// Nobody listens any more.
    Closed,
    /// Only a new list helps.
    ListAnew,
}

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// The custom resource definition isn't installed.
    MissingCrd,
    /// The API server refuses us.
    Forbidden,
    /// Where the watch stood is lost: list anew.
    Expired,
    /// Anything that may pass.
    Passing,
}

/// What one watcher has told so far.
#[derive(Default)]
struct Progress {
    /// A list has begun at the watcher, but nothing of it has arrived.
    list_pending: bool,
    /// A list has begun and isn't complete.
    listing: bool,
    /// Where the collection stood before the list was asked for, which therefore holds all of it.
    list_version: Option<u64>,
    /// Errors since the last good event.
    failures: u32,
    /// How many times in a row the definition was missing.
    missing: u32,
}

impl Watch {
    /// Follows the collection until the receiver of the events is gone.
    pub(super) async fn run(self, mut converter: Converter) {
        let mut progress = Progress::default();
        self.state.set(self.collection, CollectionState::Listing);
        while let End::ListAnew = self.follow(&mut converter, &mut progress).await {}
    }

    async fn follow(&self, converter: &mut Converter, progress: &mut Progress) -> End {
        let mut stream = pin!(watcher(self.api.clone(), self.config.clone()));
        loop {
            let listing = progress.list_pending || progress.listing;
            let next = if listing {
                tokio::time::timeout(PAGE_DEADLINE, stream.next()).await
            } else if progress.failures > 0 {
                tokio::time::timeout(QUIET, stream.next()).await
            } else {
                Ok(stream.next().await)
            };
            let Ok(next) = next else {
                if listing {
                    self.disconnected("a list made no progress for a minute");
                    return End::ListAnew;
                }
                progress.failures = 0;
                self.reached();
                continue;
            };
            let end = match next {
                Some(Ok(WatchEvent::Init)) => self.ask_version(converter, progress).await,
                Some(Ok(event)) => self.tell(converter, progress, event).await.err(),
                Some(Err(error)) => self.recover(converter, progress, &error).await,
                None => Some(End::ListAnew),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Asks where the collection stands, because the watcher doesn't tell the version of its list.
    /// Where that fails the list would fare no better.
    async fn ask_version(&self, converter: &mut Converter, progress: &mut Progress) -> Option<End> {
        let one = ListParams::default().limit(1);
        let listed = match tokio::time::timeout(PAGE_DEADLINE, self.api.list(&one)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                let error = Error::InitialListFailed(error);
                let end = self.recover(converter, progress, &error).await;
                return Some(end.unwrap_or(End::ListAnew));
            }
            Err(_) => {
                self.disconnected("a list made no progress for a minute");
                return Some(End::ListAnew);
            }
        };
        let version = listed.metadata.resource_version;
        progress.list_version = version.as_deref().and_then(|version| version.parse().ok());
        if progress.list_version.is_none() {
            tracing::warn!(
                resource = self.resource,
                version,
                "a resource version is not a number: replicas can't be compared in this collection"
            );
        }
        // Told when the first page has come: a list that fails must not disturb anything.
        progress.list_pending = true;
        None
    }

    /// Passes one event of the watcher on.
    async fn tell(
        &self,
        converter: &mut Converter,
        progress: &mut Progress,
        event: WatchEvent<Raw>,
    ) -> Result<(), End> {
        progress.failures = 0;
        progress.missing = 0;
        if std::mem::take(&mut progress.list_pending) {
            progress.listing = true;
            converter.begin_list();
            self.send(None, Some(Event::Init(self.collection))).await?;
        }
        match event {
            WatchEvent::Init => Ok(()),
            WatchEvent::InitApply(raw) | WatchEvent::Apply(raw) => {
                if !progress.listing {
                    self.reached();
                }
                let version = raw.version();
                self.send(version, converter.put(raw).map(Event::Put)).await
            }
            WatchEvent::Delete(raw) => {
                self.reached();
                let id = converter.id(&raw);
                converter.delete(&id);
                self.send(raw.version(), Some(Event::Delete(id))).await
            }
            WatchEvent::InitDone => {
                progress.listing = false;
                converter.end_list();
                self.send(progress.list_version.take(), Some(Event::Listed(self.collection)))
                    .await?;
                self.reached();
                Ok(())
            }
        }
    }

    /// Waits as long as the error deserves; says whether the watcher must be left.
    async fn recover(
        &self,
        converter: &mut Converter,
        progress: &mut Progress,
        error: &Error,
    ) -> Option<End> {
        progress.list_pending = false;
        let trouble = trouble(error, self.collection);
        match trouble {
            Trouble::MissingCrd => {
                if self.missing_crd(converter, progress).await.is_err() {
                    return Some(End::Closed);
                }
                tokio::time::sleep(CRD_DELAY).await;
                return Some(End::ListAnew);
            }
            Trouble::Forbidden => self.forbidden(error),
            Trouble::Expired => {
                // The server answers again: after an outage this is the last step back.
                progress.failures = 0;
                self.disconnected(&error.to_string());
            }
            Trouble::Passing => self.disconnected(&error.to_string()),
        }
        tokio::time::sleep(delay(progress.failures, fastrand::f64())).await;
        progress.failures = progress.failures.saturating_add(1);
        if self.events.is_closed() {
            return Some(End::Closed);
        }
        (trouble == Trouble::Expired).then_some(End::ListAnew)
    }

    /// Without its definition a collection is empty, and the gateway must not wait for it.
    async fn missing_crd(
        &self,
        converter: &mut Converter,
        progress: &mut Progress,
    ) -> Result<(), End> {
        progress.missing = progress.missing.saturating_add(1);
        if progress.missing < MISSING_TIMES && !converter.is_empty() {
            self.disconnected("the custom resource definition is missing");
        } else if self.state.set(self.collection, CollectionState::MissingCrd) {
            tracing::warn!(
                crd = self.resource,
                "a custom resource definition is not installed; waiting for it"
            );
            progress.listing = false;
            converter.begin_list();
            converter.end_list();
            self.send(None, Some(Event::Init(self.collection))).await?;
            self.send(None, Some(Event::Listed(self.collection))).await?;
        }
        if self.events.is_closed() { Err(End::Closed) } else { Ok(()) }
    }

    fn forbidden(&self, error: &Error) {
        let verb = if matches!(error, Error::InitialListFailed(_)) { "list" } else { "watch" };
        let message = format!(
            "may not {verb} {} in {}: grant verbs get, list and watch on it",
            self.resource, self.scope
        );
        if self.state.set(self.collection, CollectionState::Forbidden(message)) {
            tracing::error!(
                verb,
                resource = self.resource,
                scope = self.scope,
                error = %error,
                "the API server refuses access; add the verbs get, list and watch for this resource to the gateway's role"
            );
        }
    }

    /// Notes that the API server doesn't answer; logs when that is new.
    fn disconnected(&self, error: &str) {
        let was_connected =
            !matches!(self.state.get(self.collection), CollectionState::Disconnected(_));
        self.state.set(self.collection, CollectionState::Disconnected(error.to_owned()));
        if was_connected {
            tracing::warn!(
                resource = self.resource,
                error,
                "lost the watch; serving what was seen last while trying again"
            );
        }
    }

    fn reached(&self) {
        if self.state.set(self.collection, CollectionState::Watching) {
            tracing::info!(resource = self.resource, scope = self.scope, "watching");
        }
    }

    /// Sends an event with the version that it brings, or either of them alone.
    async fn send(&self, version: Option<u64>, event: Option<Event>) -> Result<(), End> {
        let collection = self.collection;
        let event = match (version, event) {
            (Some(number), event) => {
                Event::Versioned(Version { collection, number }, event.map(Box::new))
            }
            (None, Some(event)) => event,
            (None, None) => return Ok(()),
        };
        self.events.send(event).await.map_err(|_| End::Closed)
    }
}

/// What an error asks for.
fn trouble(error: &Error, collection: Collection) -> Trouble {
    let (code, watching) = match error {
        Error::InitialListFailed(kube::Error::Api(status)) => (status.code, false),
        Error::WatchStartFailed(kube::Error::Api(status)) => (status.code, true),
        // The server's word in the middle of a watch: 410 and 504 (a resource version of the
        // future, after a restored backup) would come again for the same resource version.
        Error::WatchError(_) => return Trouble::Expired,
        Error::NoResourceVersion => return Trouble::Expired,
        _ => return Trouble::Passing,
    };
    match code {
        403 => Trouble::Forbidden,
        404 if watching => Trouble::Expired,
        404 if collection == Collection::Mappings => Trouble::MissingCrd,
        400 | 410 | 504 if watching => Trouble::Expired,
        _ => Trouble::Passing,
    }
}

/// The delay after `failures` errors in a row: doubling, and of that at least half, by `jitter`
/// in 0..1, so that replicas don't return in step.
fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled =
        FIRST_DELAY.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_DELAY).mul_f64(0.5 + jitter / 2.0)
}
