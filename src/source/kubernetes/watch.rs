//! Follows one collection for as long as anybody listens: list, watch, and start again.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube::api::ListParams;
use kube_runtime::watcher::{Config, Error, Event as WatchEvent, watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::convert::Converter;
use super::explain::{Kind, explain_missing, explain_watch, permission};
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
/// A watch that is refused this soon after its first list was never open.
const FIRST_WATCH: Duration = Duration::from_secs(10);

/// One collection to follow.
pub(super) struct Watch {
    pub(super) api: Api<Raw>,
    pub(super) config: Config,
    pub(super) collection: Collection,
    /// What is watched, as discovery and permissions name it.
    pub(super) kind: Kind<'static>,
    /// The same as people name it, `mappings.getambassador.io`.
    pub(super) resource: &'static str,
    /// Where it is watched.
    pub(super) scope: Scope,
    pub(super) state: SourceState,
    pub(super) events: mpsc::Sender<Event>,
}

/// The only namespace that is watched, or all.
#[derive(Debug, Clone)]
pub(super) struct Scope(pub(super) Option<String>);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(namespace) => write!(f, "namespace {namespace}"),
            None => f.write_str("all namespaces"),
        }
    }
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
pub(super) enum Trouble {
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
    /// When the first list was complete.
    first_listed: Option<Instant>,
}

impl Progress {
    /// Whether the collection was never followed, for all we know.
    fn was_never_followed(&self) -> bool {
        self.first_listed.is_none_or(|listed| listed.elapsed() < FIRST_WATCH)
    }
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
                progress.first_listed.get_or_insert_with(Instant::now);
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
            Trouble::Forbidden => self.forbidden(error, progress.was_never_followed()),
            Trouble::Expired => {
                // The server answers again: after an outage this is the last step back.
                progress.failures = 0;
                self.disconnected(&explain_watch(error));
            }
            Trouble::Passing => self.disconnected(&explain_watch(error)),
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
            return self.is_heard();
        }
        let is_new = !matches!(self.state.get(self.collection), CollectionState::MissingCrd(_));
        let reason = explain_missing(&self.api.clone().into_client(), self.kind).await;
        if self.state.set(self.collection, CollectionState::MissingCrd(reason.clone())) {
            tracing::warn!(
                crd = self.resource,
                reason,
                "objects of this kind can't be read; serving without them and looking again every two seconds"
            );
        }
        if is_new {
            progress.listing = false;
            converter.begin_list();
            converter.end_list();
            self.send(None, Some(Event::Init(self.collection))).await?;
            self.send(None, Some(Event::Listed(self.collection))).await?;
        }
        self.is_heard()
    }

    fn is_heard(&self) -> Result<(), End> {
        if self.events.is_closed() { Err(End::Closed) } else { Ok(()) }
    }

    fn forbidden(&self, error: &Error, never_followed: bool) {
        let verb = if matches!(error, Error::InitialListFailed(_)) { "list" } else { "watch" };
        let Kind { group, plural, .. } = self.kind;
        let role = match &self.scope.0 {
            Some(namespace) => format!("Role in namespace {namespace}"),
            None => "ClusterRole".to_owned(),
        };
        let message = format!(
            "may not {verb} {} in {}: {} to the gateway's {role}",
            self.resource,
            self.scope,
            permission(&[verb], plural, group)
        );
        // What was never followed stays so until an event or a list has come.
        let never_followed = match self.state.get(self.collection) {
            CollectionState::Forbidden { never_followed: before, .. } => before,
            _ => never_followed,
        };
        let state = CollectionState::Forbidden { message: message.clone(), never_followed };
        if self.state.set(self.collection, state) {
            tracing::error!(
                verb,
                resource = self.resource,
                scope = %self.scope,
                needed = message,
                error = explain_watch(error),
                "the API server refuses access; trying again until the permission is there"
            );
        }
    }

    /// Notes that the API server doesn't answer; logs when that is new.
    fn disconnected(&self, error: &str) {
        let before = self.state.get(self.collection);
        self.state.set(self.collection, CollectionState::Disconnected(error.to_owned()));
        match before {
            CollectionState::Disconnected(_) => {}
            CollectionState::Listing => tracing::warn!(
                resource = self.resource,
                error,
                "can't list; not ready before that works; trying again"
            ),
            _ => tracing::warn!(
                resource = self.resource,
                error,
                "lost the watch; serving what was seen last while trying again"
            ),
        }
    }

    fn reached(&self) {
        if self.state.set(self.collection, CollectionState::Watching) {
            tracing::info!(resource = self.resource, scope = %self.scope, "watching");
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
pub(super) fn trouble(error: &Error, collection: Collection) -> Trouble {
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
        404 if collection.kind().is_some() => Trouble::MissingCrd,
        400 | 410 | 504 if watching => Trouble::Expired,
        _ => Trouble::Passing,
    }
}

/// The delay after `failures` errors in a row: doubling, and of that at least half, by `jitter`
/// in 0..1, so that replicas don't return in step.
pub(super) fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled =
        FIRST_DELAY.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_DELAY).mul_f64(0.5 + jitter / 2.0)
}
