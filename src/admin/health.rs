//! Whether the gateway lives and may get requests, as truth: readiness is derived from what has
//! happened, never set on a guess.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::watch;

use super::{Concern, SourceState, SourceStates};
use crate::controller::rebuild::Built;

/// Emissary's texts, which probes and scripts may compare.
const ALIVE: &str = "Ambassador is alive and well\n";
const READY: &str = "Ambassador is ready and waiting\n";
const NOT_READY: &str = "Ambassador is not ready\n";

/// What readiness is derived from.
pub struct Health {
    built: watch::Receiver<Arc<Built>>,
    sources: SourceStates,
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
    /// A source can't be followed, and never could: what is served may be old.
    NotFollowed,
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
            Self::NotFollowed => "a source can't be followed",
            Self::NotListening => "the ports for clients are not open yet",
            Self::Draining => "the gateway is about to end",
        }
    }
}

impl Health {
    /// The health of a gateway that has done nothing yet.
    pub fn new(built: watch::Receiver<Arc<Built>>, sources: SourceStates) -> Self {
        Self { built, sources, phase: watch::Sender::new(Phase::Starting) }
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
        if (self.sources)().iter().any(|source| source.concern == Concern::Blocking) {
            return Err(NotReady::NotFollowed);
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

/// `/ambassador/v0/check_ready`. After Emissary's line it says why, and which sources have
/// trouble, so that people see in the probe what to do.
pub(super) fn check_ready(health: &Health) -> (StatusCode, String) {
    let (code, mut body) = match health.readiness() {
        Ok(()) => (StatusCode::OK, READY.to_owned()),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{NOT_READY}{}\n", reason.as_str()))
        }
    };
    for SourceState { name, state, concern } in (health.sources)() {
        if concern != Concern::Fine {
            body.push_str(&format!("{name}: {state}\n"));
        }
    }
    (code, body)
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(concern: Concern) -> (watch::Sender<Arc<Built>>, Health) {
        let (built, receiver) = watch::channel(Arc::new(Built::default()));
        let state =
            SourceState { name: "mappings".to_owned(), state: "as it is".to_owned(), concern };
        (built, Health::new(receiver, Arc::new(move || vec![state.clone()])))
    }

    fn publish(built: &watch::Sender<Arc<Built>>) {
        built.send_replace(Arc::new(Built { generation: 1, ..Built::default() }));
    }

    #[test]
    fn ready_is_listed_published_listening_and_not_draining() {
        let (built, health) = health(Concern::Fine);
        assert_eq!(health.readiness(), Err(NotReady::NothingPublished));
        let body = "Ambassador is not ready\nthe sources are being listed\n".to_owned();
        assert_eq!(check_ready(&health), (StatusCode::SERVICE_UNAVAILABLE, body));
        publish(&built);
        assert_eq!(health.readiness(), Err(NotReady::NotListening));
        health.set_listening();
        assert_eq!(check_ready(&health), (StatusCode::OK, READY.to_owned()));
        health.set_draining();
        assert_eq!(health.readiness(), Err(NotReady::Draining));
        assert_eq!(check_alive().0, StatusCode::OK);
    }

    #[test]
    fn trouble_with_a_source_is_told_and_only_some_keeps_from_serving() {
        for (concern, readiness, first) in [
            (Concern::Degraded, Ok(()), READY),
            (Concern::Blocking, Err(NotReady::NotFollowed), NOT_READY),
        ] {
            let (built, health) = health(concern);
            publish(&built);
            health.set_listening();
            assert_eq!(health.readiness(), readiness);
            let (_, body) = check_ready(&health);
            assert!(body.starts_with(first), "{body}");
            assert!(body.ends_with("mappings: as it is\n"), "{body}");
        }
    }
}
