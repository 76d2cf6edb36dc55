//! Whether the gateway lives and may get requests, as truth: readiness is derived from what has
//! happened, never set on a guess.

use std::sync::Arc;

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
    phase: watch::Sender<Phase>,
}

/// How far the gateway is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Starting,
    Listening,
    Draining,
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
        Self { built, phase: watch::Sender::new(Phase::Starting) }
    }

    /// All ports for clients are open.
    pub fn set_listening(&self) {
        self.enter(Phase::Listening);
    }

    /// The gateway is about to end; it is never ready again.
    pub fn set_draining(&self) {
        self.enter(Phase::Draining);
    }

    /// There is no way back.
    fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_new = *phase < next;
            *phase = next.max(*phase);
            is_new
        });
    }

    /// Follows the phases of the gateway's life.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Whether requests may be sent here, and if not, why.
    pub fn readiness(&self) -> Result<(), NotReady> {
        let phase = *self.phase.borrow();
        if phase == Phase::Draining {
            return Err(NotReady::Draining);
        }
        // Nothing is published before every source has been listed.
        if self.built.borrow().generation == 0 {
            return Err(NotReady::NothingPublished);
        }
        match phase {
            Phase::Starting => Err(NotReady::NotListening),
            Phase::Listening | Phase::Draining => Ok(()),
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
