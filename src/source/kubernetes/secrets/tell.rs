//! What is told of one Secret: only what is new, and no deletion before it lasts.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::progress::SecretProgress;
use crate::model::secret::SecretState;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;
use crate::source::Event;

/// How long a Secret that is deleted stays in force, so that one that is replaced by deleting it
/// first (`kubectl replace --force`) costs no handshake.
pub(super) const DELETION_GRACE: Duration = Duration::from_secs(2);

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Closed;

/// Tells of one Secret.
pub(super) struct Teller {
    key: SecretKey,
    events: mpsc::Sender<Event>,
    progress: SecretProgress,
    told: Option<SecretState>,
    /// When a deletion is to be told.
    gone_at: Option<Instant>,
}

impl Teller {
    pub(super) fn new(
        key: SecretKey,
        events: mpsc::Sender<Event>,
        progress: SecretProgress,
    ) -> Self {
        Self { key, events, progress, told: None, gone_at: None }
    }

    pub(super) fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Whether something was told that can be used.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.told, Some(SecretState::Present(_)))
    }

    /// When [`Teller::settle`] has something to do.
    pub(super) fn gone_at(&self) -> Option<Instant> {
        self.gone_at
    }

    /// Tells what the Secret holds now.
    pub(super) async fn tell(&mut self, state: SecretState) -> Result<(), Closed> {
        if state == SecretState::Missing && self.is_present() {
            self.gone_at.get_or_insert_with(|| Instant::now() + DELETION_GRACE);
            return Ok(());
        }
        self.gone_at = None;
        self.send(state).await
    }

    /// Tells a deletion that has lasted.
    pub(super) async fn settle(&mut self) -> Result<(), Closed> {
        if self.gone_at.is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        self.gone_at = None;
        self.send(SecretState::Missing).await
    }

    /// Notes why nothing can be told.
    pub(super) fn trouble(&self, text: &str) {
        if self.progress.trouble(&self.key, text) {
            tracing::warn!(
                secret = %self.key,
                error = text,
                kept = self.is_present(),
                "a Secret can't be read; trying again"
            );
        }
    }

    async fn send(&mut self, state: SecretState) -> Result<(), Closed> {
        self.progress.read(&self.key);
        if self.told.as_ref() == Some(&state) {
            return Ok(());
        }
        log(&self.key, &state);
        self.told = Some(state.clone());
        let event = Event::Pem(PemSource::Secret(self.key.clone()), Some(state));
        self.events.send(event).await.map_err(|_| Closed)
    }
}

fn log(key: &SecretKey, state: &SecretState) {
    match state {
        SecretState::Present(_) => tracing::info!(secret = %key, "Secret read"),
        SecretState::Missing => tracing::warn!(secret = %key, "a Secret that is named is missing"),
        SecretState::Unreadable(problem) => {
            tracing::warn!(secret = %key, %problem, "a Secret that is named can't be used");
        }
        SecretState::Forbidden(needed) => {
            tracing::error!(secret = %key, %needed, "a Secret that is named may not be read");
        }
    }
}
