//! Which Secrets are still to be read, for readiness and diagnostics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::tls::SecretKey;

/// How many are named in a text.
const NAMED: usize = 3;

/// The Secrets that are followed and how each is doing. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SecretProgress {
    secrets: Arc<Mutex<BTreeMap<SecretKey, State>>>,
}

/// How one is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Reading,
    Read,
    Trouble(String),
}

impl SecretProgress {
    /// How many are followed.
    pub fn count(&self) -> usize {
        self.secrets.lock().len()
    }

    /// What is waited for, or has trouble; `None` if all have been read.
    pub fn waiting(&self) -> Option<String> {
        let secrets = self.secrets.lock();
        let open = || secrets.iter().filter(|(_, state)| **state != State::Read);
        let count = open().count();
        let mut text = String::new();
        for (key, state) in open().take(NAMED) {
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = match state {
                State::Trouble(error) => write!(text, "{separator}{key} ({error})"),
                _ => write!(text, "{separator}{key}"),
            };
        }
        match count {
            0 => None,
            count if count > NAMED => Some(format!("reading {text} and {} more", count - NAMED)),
            _ => Some(format!("reading {text}")),
        }
    }

    pub(super) fn begin(&self, key: &SecretKey) {
        self.secrets.lock().insert(key.clone(), State::Reading);
    }

    pub(super) fn read(&self, key: &SecretKey) {
        self.set(key, State::Read);
    }

    /// Whether that is news.
    pub(super) fn trouble(&self, key: &SecretKey, text: &str) -> bool {
        self.set(key, State::Trouble(text.to_owned()))
    }

    pub(super) fn end(&self, key: &SecretKey) {
        self.secrets.lock().remove(key);
    }

    fn set(&self, key: &SecretKey, state: State) -> bool {
        let mut secrets = self.secrets.lock();
        let Some(known) = secrets.get_mut(key) else { return false };
        let is_news = *known != state;
        *known = state;
        is_news
    }
}
