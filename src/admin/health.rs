//! Whether the gateway lives and may get requests, as truth: readiness is derived from what has
//! happened, never set on a guess.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use tokio::sync::watch;

use crate::controller::rebuild::Built;

/// Emissary's texts, which probes and scripts may compare.
const ALIVE: &str = "Ambassador is alive and well\n";
const READY: &str = "Ambassador is ready and waiting\n";
const NOT_READY: &str = "Ambassador is not ready\n";

/// What readiness is derived from.
#[derive(Debug)]
pub struct Health {
    built: watch::Receiver<Arc<Built>>,
    listening: AtomicBool,
    draining: AtomicBool,
}

/// Why the gateway is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// The sources are being listed, or the first table is being built.
    NothingPublished,
    /// The ports for clients aren't open yet.
    NotListening,
    /// It is about to end.
    Draining,
}

impl NotReady {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NothingPublished => "the sources are being listed",
            Self::NotListening => "the ports for clients are not open yet",
            Self::Draining => "the gateway is about to end",
        }
    }
}

impl Health {
    /// The health of a gateway that has done nothing yet.
    pub fn new(built: watch::Receiver<Arc<Built>>) -> Self {
        Self { built, listening: AtomicBool::new(false), draining: AtomicBool::new(false) }
    }

    /// All ports for clients are open.
    pub fn set_listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// The gateway is about to end; it is never ready again.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether requests may be sent here, and if not, why.
    pub fn readiness(&self) -> Result<(), NotReady> {
        if self.draining.load(Ordering::Acquire) {
            return Err(NotReady::Draining);
        }
        // Nothing is published before every source has been listed.
        if self.built.borrow().generation == 0 {
            return Err(NotReady::NothingPublished);
        }
        match self.listening.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(NotReady::NotListening),
        }
    }

    /// Whether requests may be sent here.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_ok()
    }
}

/// `/ambassador/v0/check_alive`: a process that answers is alive.
pub(super) fn check_alive() -> (StatusCode, &'static str) {
    (StatusCode::OK, ALIVE)
}

/// `/ambassador/v0/check_ready`.
pub(super) fn check_ready(health: &Health) -> (StatusCode, &'static str) {
    match health.is_ready() {
        true => (StatusCode::OK, READY),
        false => (StatusCode::SERVICE_UNAVAILABLE, NOT_READY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_listed_published_listening_and_not_draining() {
        let (built, receiver) = watch::channel(Arc::new(Built::default()));
        let health = Health::new(receiver);
        assert_eq!(health.readiness(), Err(NotReady::NothingPublished));
        assert_eq!(check_ready(&health), (StatusCode::SERVICE_UNAVAILABLE, NOT_READY));
        built.send_replace(Arc::new(Built { generation: 1, ..Built::default() }));
        assert_eq!(health.readiness(), Err(NotReady::NotListening));
        health.set_listening();
        assert_eq!(check_ready(&health), (StatusCode::OK, READY));
        health.set_draining();
        assert_eq!(health.readiness(), Err(NotReady::Draining));
        assert_eq!(check_alive().0, StatusCode::OK);
    }
}
