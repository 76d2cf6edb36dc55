//! The end of a worker, or of one of its ports: how it parts from its clients without losing a
//! request.
//!
//! Who is told that a connection ends opens another elsewhere. Who isn't told finds out only when
//! a request is lost. So a drain has two parts:
//!
//! 1. For a quarter of its time everyone is served, and told: GOAWAY, or `connection: close` with
//!    each answer. New connections are still accepted, since not every node may know yet that this
//!    pod is going. Idle ones stay open, so that their next request can be told.
//! 2. Then nothing new is accepted. A connection that is silent for that long again is closed,
//!    and those with a request in flight go on until the deadline.
//!
//! A port that the configuration has no more begins with the second part.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connections::Which;
use super::port::{ACCEPT_REST, Ports};
use super::timer::TICK;
use super::worker::Worker;

/// How long a silent client of a port that is gone may take to ask, and so to be told.
pub(crate) const SILENT_GRACE: Duration = Duration::from_secs(10);

/// Ends all connections of a worker, by force at the deadline.
pub(crate) async fn drain(worker: &Rc<Worker>, ports: Ports, deadline: Instant) {
    let grace = deadline.saturating_duration_since(Instant::now()) / 4;
    tell(worker, grace).await;
    ports.close_all().await;
    end_connections(worker, Which::All, grace, deadline).await;
}

/// Serves on for `grace`, or until nobody is left and nobody has come for a moment.
async fn tell(worker: &Rc<Worker>, grace: Duration) {
    let connections = &worker.connections;
    let until = Instant::now() + grace;
    let (mut last, mut opened) = (Instant::now(), connections.opened());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until
        && (connections.count(Which::All) > 0 || last.elapsed() < ACCEPT_REST)
    {
        ticks.tick().await;
        // Also for those that have come since.
        connections.drain(Which::All, 0);
        if connections.opened() != opened {
            (last, opened) = (Instant::now(), connections.opened());
        }
    }
}

/// Ends connections: silent ones after `grace`, those with a request in flight after it, and what
/// is left at the deadline.
pub(crate) async fn end_connections(
    worker: &Worker,
    which: Which<'_>,
    grace: Duration,
    deadline: Instant,
) {
    let connections = &worker.connections;
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    // Once in any case: connections that are still to come have to know.
    connections.drain(which, 0);
    while connections.count(which) > 0 && Instant::now() < deadline {
        connections.drain(which, worker.timers.coarse().saturating_sub(grace));
        tokio::time::sleep(TICK).await;
    }
    let left = connections.count(which);
    if left > 0 {
        let requests = connections.in_flight();
        tracing::warn!(connections = left, requests, "the drain time is over: what is left is cut");
        connections.cut(which);
    }
}
