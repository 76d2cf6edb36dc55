//! Writes to the API server: few at a time, paced, timed, and tried again by planning anew.
//!
//! Callers enqueue keys, not writes: what is to be written is planned when its turn comes, so
//! that it is the newest, and a key that needs nothing any more costs nothing.

mod call;
mod pace;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kube::Client;
use kube::core::{ApiResource, DynamicObject};
use tokio::time::Instant;

use call::Failure;
pub(super) use call::{Operation, Write};
use pace::Pace;

/// Writes under way at once. Enough to hide the API server's latency, and a share of it that
/// leaves room for others.
const IN_FLIGHT: usize = 8;
/// Keys that are planned in one go; after them other tasks get their turn.
const PLANNED_AT_ONCE: usize = 256;
/// Pause after the first failure to reach the API server; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause while the API server can't be reached, and for a kind that it refuses.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause while the kind can't be written at all: only an administrator changes that.
const KIND_PAUSE: Duration = Duration::from_secs(60);
/// The longest delay before an object that was refused by itself is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// How a write ended.
#[derive(Debug)]
pub(super) enum Written {
    /// Its status was written; the object as it stands now.
    Status(Box<DynamicObject>),
    /// It was applied; the object as it stands now, and the fingerprint of what was applied.
    Applied(Box<DynamicObject>, u64),
    /// The object is gone; there is nothing to write to.
    Gone,
    /// The kind's definition doesn't know a field of it; the API server's words name it.
    Undeclared(String),
}

/// The queue of writes to objects of one kind.
pub(super) struct Applier<K> {
    client: Client,
    resource: ApiResource,
    urgent: VecDeque<K>,
    calm: VecDeque<K>,
    /// What is under way, and whether it was enqueued again meanwhile.
    busy: HashMap<K, bool>,
    in_flight: FuturesUnordered<BoxFuture<'static, (K, Result<Written, Failure>)>>,
    later: FuturesUnordered<BoxFuture<'static, K>>,
    attempts: HashMap<K, u32>,
    paused_until: Option<Instant>,
    /// Failures in a row that concern more than one object.
    failures: u32,
    /// The last trouble that was logged and still lasts.
    trouble: Option<&'static str>,
    pace: Pace,
}

impl<K: Hash + Eq + Clone + Send + 'static> Applier<K> {
    pub(super) fn new(client: Client, resource: ApiResource) -> Self {
        Self {
            client,
            resource,
            urgent: VecDeque::new(),
            calm: VecDeque::new(),
            busy: HashMap::new(),
            in_flight: FuturesUnordered::new(),
            later: FuturesUnordered::new(),
            attempts: HashMap::new(),
            paused_until: None,
            failures: 0,
            trouble: None,
            pace: Pace::new(Instant::now()),
        }
    }

    /// Enqueues what has just changed: it goes first.
    pub(super) fn enqueue_urgent(&mut self, key: K) {
        self.urgent.push_back(key);
    }

    /// Enqueues what may need a write, without hurry.
    pub(super) fn enqueue(&mut self, key: K) {
        self.calm.push_back(key);
    }

    /// Forgets what is enqueued and drops what is under way.
    pub(super) fn clear(&mut self) {
        let fresh = Self::new(self.client.clone(), self.resource.clone());
        *self = Self { trouble: self.trouble, ..fresh };
    }

    /// Writes what is enqueued until a write has ended, and says how. Waits while there is
    /// nothing to write. Cancel-safe: a write under way goes on at the next call.
    pub(super) async fn next(&mut self, mut plan: impl FnMut(&K) -> Option<Write>) -> (K, Written) {
        loop {
            let wake = self.start(&mut plan);
            tokio::select! {
                Some((key, result)) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    if let Some(done) = self.finish(key, result) {
                        return done;
                    }
                }
                Some(key) = self.later.next(), if !self.later.is_empty() => self.calm.push_back(key),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = std::future::pending() => {}
            }
        }
    }

    /// Starts what may be started now; says when to look again, if time alone is in the way.
    fn start(&mut self, plan: &mut impl FnMut(&K) -> Option<Write>) -> Option<Instant> {
        let now = Instant::now();
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return (!self.urgent.is_empty() || !self.calm.is_empty()).then_some(until);
        }
        for _ in 0..PLANNED_AT_ONCE {
            if self.in_flight.len() >= IN_FLIGHT || (self.urgent.is_empty() && self.calm.is_empty())
            {
                return None;
            }
            if let Err(at) = self.pace.ask(now) {
                return Some(at);
            }
            let key = self.urgent.pop_front().or_else(|| self.calm.pop_front())?;
            if let Some(again) = self.busy.get_mut(&key) {
                *again = true;
            } else if let Some(write) = plan(&key) {
                self.pace.take();
                self.busy.insert(key.clone(), false);
                let (client, resource) = (self.client.clone(), self.resource.clone());
                self.in_flight.push(Box::pin(async move {
                    let result = call::execute(client, resource, write).await;
                    (key, result)
                }));
            }
        }
        Some(now)
    }

    fn finish(&mut self, key: K, result: Result<Written, Failure>) -> Option<(K, Written)> {
        let again = self.busy.remove(&key).unwrap_or(false);
        let failure = match result {
            Ok(written) => {
                self.failures = 0;
                self.attempts.remove(&key);
                if self.trouble.take().is_some() {
                    tracing::info!(kind = self.resource.kind, "writing to the API server again");
                }
                if again {
                    self.urgent.push_back(key.clone());
                }
                return Some((key, written));
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Rejected(error) => self.retry_later(key, &error),
            Failure::Unreachable(error) => {
                // To the end, so that an object that alone causes this holds up no other.
                self.urgent.push_back(key);
                self.pause(
                    FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE),
                );
                self.note("unreachable", "can't write to the API server; trying again", &error);
            }
            Failure::Forbidden(error) => {
                self.retry_later(key, "");
                if self.failures >= IN_FLIGHT as u32 {
                    self.pause(KIND_PAUSE);
                }
                self.note(
                    "forbidden",
                    "the API server refuses a write; trying again until the permission is there",
                    &error,
                );
            }
            Failure::Unsupported(error) => {
                self.calm.push_back(key);
                self.pause(KIND_PAUSE);
                self.note(
                    "unsupported",
                    "this kind can't be written: its definition is missing or has no status subresource; serving without; install Nuncio's definitions (chart nuncio-crds, or crds/)",
                    &error,
                );
            }
        }
        self.failures = self.failures.saturating_add(1);
        None
    }

    fn pause(&mut self, length: Duration) {
        self.paused_until = Some(Instant::now() + length);
    }

    fn retry_later(&mut self, key: K, error: &str) {
        let attempts = self.attempts.entry(key.clone()).or_insert(0);
        *attempts = attempts.saturating_add(1);
        let delay = Duration::from_secs(1 << (*attempts - 1).min(6)).min(LONGEST_RETRY);
        if *attempts == 1 && !error.is_empty() {
            tracing::warn!(
                kind = self.resource.kind,
                error,
                "the API server rejects a write; trying again"
            );
        }
        self.later.push(Box::pin(async move {
            tokio::time::sleep(delay).await;
            key
        }));
    }

    /// Logs a trouble when it is new.
    fn note(&mut self, trouble: &'static str, message: &'static str, error: &str) {
        if self.trouble.replace(trouble) != Some(trouble) {
            tracing::warn!(
                kind = self.resource.kind,
                group = self.resource.group,
                error,
                "{message}"
            );
        }
    }
}
