//! How long a build is held back for Secrets that it wants and nobody has read yet.

use std::collections::BTreeSet;

use tokio::time::{Duration, Instant};

use crate::model::written::PemSource;
use crate::source::store::Store;

/// Before anything is served: a restart must not serve a Host without its certificate, but one
/// Secret that can't be read must not keep all others from being served either.
const FIRST: Duration = Duration::from_secs(10);
/// Later: a new name takes the API server some milliseconds. Everybody's changes wait meanwhile.
const LATER: Duration = Duration::from_secs(1);

/// What is waited for, and what was waited for in vain.
#[derive(Debug, Default)]
pub(super) struct Patience {
    until: Option<Instant>,
    given_up: BTreeSet<PemSource>,
}

impl Patience {
    /// When the wait is over, while there is one.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.until
    }

    /// Whether to wait for what is wanted. Nothing is waited for twice.
    pub(super) fn waits(
        &mut self,
        store: &Store,
        wanted: &BTreeSet<PemSource>,
        is_first: bool,
    ) -> bool {
        self.given_up.retain(|source| wanted.contains(source) && !store.is_read(source));
        let unread: Vec<&PemSource> = wanted
            .iter()
            .filter(|source| !store.is_read(source) && !self.given_up.contains(*source))
            .collect();
        if unread.is_empty() {
            self.until = None;
            return false;
        }
        let limit = if is_first { FIRST } else { LATER };
        let until = *self.until.get_or_insert_with(|| Instant::now() + limit);
        if Instant::now() < until {
            return true;
        }
        tracing::warn!(
            count = unread.len(),
            first = unread.first().map(tracing::field::display),
            "serving without certificates that could not be read in time"
        );
        self.given_up.extend(unread.into_iter().cloned());
        self.until = None;
        false
    }
}
