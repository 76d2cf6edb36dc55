//! One Secret followed by its name: list, watch, and start again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube_runtime::watcher::{Config, Error, Event as WatchEvent, watcher};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::state_of;
use super::tell::{Closed, Teller};
use crate::model::secret::SecretState;
use crate::source::Collection;
use crate::source::kubernetes::WATCH_SECONDS;
use crate::source::kubernetes::explain::{explain_watch, permission};
use crate::source::kubernetes::raw::Raw;
use crate::source::kubernetes::watch::{Trouble, delay, trouble};

/// A list of one object that takes longer hangs on a dead connection.
const LIST_DEADLINE: Duration = Duration::from_secs(15);
/// How often a Secret is asked for that may not be read: somebody has to change a role first.
const FORBIDDEN_DELAY: Duration = Duration::from_secs(10);

/// A Secret to follow.
pub(super) struct One {
    pub(super) api: Api<Raw>,
    /// Bounds how many begin at once.
    pub(super) starts: Arc<Semaphore>,
    pub(super) teller: Teller,
    /// Whether the permission belongs into a Role and not a ClusterRole.
    pub(super) in_role: bool,
}

/// Where one watcher is.
struct Progress<'a> {
    /// Held until the first list is complete.
    permit: Option<SemaphorePermit<'a>>,
    listing: bool,
    /// What the list has shown so far.
    found: Option<SecretState>,
    failures: u32,
}

impl One {
    /// Follows the Secret until nobody listens.
    pub(super) async fn run(mut self) {
        let starts = Arc::clone(&self.starts);
        let mut failures = 0;
        loop {
            let permit = starts.acquire().await.ok();
            let mut progress = Progress { permit, listing: true, found: None, failures };
            if self.follow(&mut progress).await.is_err() {
                return;
            }
            failures = progress.failures;
        }
    }

    /// Follows one watcher until only a new list helps.
    async fn follow(&mut self, progress: &mut Progress<'_>) -> Result<(), Closed> {
        let config = Config {
            field_selector: Some(format!("metadata.name={}", self.teller.key().name)),
            timeout: Some(WATCH_SECONDS),
            ..Config::default()
        };
        let mut stream = pin!(watcher(self.api.clone(), config));
        loop {
            let limit = match (progress.listing, self.teller.gone_at()) {
                (true, _) => Some(tokio::time::Instant::now() + LIST_DEADLINE),
                (false, gone_at) => gone_at,
            };
            let next = match limit {
                None => stream.next().await,
                Some(limit) => match tokio::time::timeout_at(limit, stream.next()).await {
                    Ok(next) => next,
                    Err(_) if progress.listing => {
                        self.teller.trouble("the API server doesn't answer");
                        return Ok(());
                    }
                    Err(_) => {
                        self.teller.settle().await?;
                        continue;
                    }
                },
            };
            match next {
                Some(Ok(event)) => self.tell(event, progress).await?,
                Some(Err(error)) => {
                    if self.recover(&error, progress).await? {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
    }

    async fn tell(
        &mut self,
        event: WatchEvent<Raw>,
        progress: &mut Progress<'_>,
    ) -> Result<(), Closed> {
        match event {
            WatchEvent::Init => {
                progress.listing = true;
                progress.found = None;
                Ok(())
            }
            WatchEvent::InitApply(raw) => {
                progress.found = Some(state_of(&raw));
                Ok(())
            }
            WatchEvent::InitDone => {
                (progress.listing, progress.permit, progress.failures) = (false, None, 0);
                self.teller.tell(progress.found.take().unwrap_or(SecretState::Missing)).await
            }
            WatchEvent::Apply(raw) => {
                progress.failures = 0;
                self.teller.tell(state_of(&raw)).await
            }
            WatchEvent::Delete(_) => self.teller.tell(SecretState::Missing).await,
        }
    }

    /// Tells what is wrong and waits; says whether only a new list helps. What was read stays in
    /// force.
    async fn recover(
        &mut self,
        error: &Error,
        progress: &mut Progress<'_>,
    ) -> Result<bool, Closed> {
        // Others need not wait for one that fails.
        progress.permit = None;
        let trouble = trouble(error, Collection::Services);
        let wait = delay(progress.failures, fastrand::f64());
        progress.failures = progress.failures.saturating_add(1);
        if trouble == Trouble::Forbidden {
            let text = self.forbidden();
            match self.teller.is_present() {
                true => self.teller.trouble(&text),
                false => self.teller.tell(SecretState::Forbidden(text.into())).await?,
            }
            tokio::time::sleep(FORBIDDEN_DELAY.mul_f64(0.5 + fastrand::f64())).await;
            return Ok(true);
        }
        if trouble == Trouble::Passing {
            self.teller.trouble(&explain_watch(error));
        }
        tokio::time::sleep(wait).await;
        self.teller.settle().await?;
        Ok(trouble == Trouble::Expired || progress.listing)
    }

    fn forbidden(&self) -> String {
        let namespace = &self.teller.key().namespace;
        let role = match self.in_role {
            true => format!("Role in namespace {namespace}"),
            false => format!("ClusterRole, or to a Role in namespace {namespace}"),
        };
        format!(
            "the gateway may not read Secrets of namespace {namespace}: {} to its {role}",
            permission(&["list", "watch"], "secrets", "")
        )
    }
}
