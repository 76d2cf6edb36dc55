//! The end of a worker: how it parts from its clients without losing a request.
//!
//! Who is told that a connection ends opens another elsewhere. Who isn't told finds out only when
//! a request is lost. So a drain has two parts:
//!
//! 1. For a quarter of its time everyone is served, and told: GOAWAY, or `connection: close` with
//!    each answer. New connections are still accepted, since not every node may know yet that this
//!    pod is going. Idle ones stay open, so that their next request can be told.
//! 2. Then nothing new is accepted. A connection that is silent for that long again is closed,
//!    and those with a request in flight go on until the deadline.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::connection;
use super::timer::TICK;
use super::worker::Worker;

/// How long the port stays open where nobody is connected; and how long what the kernel has
/// connected already is accepted at last, so that it isn't reset.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Ends all connections of a worker, by force at the deadline.
pub(crate) async fn drain(worker: &Rc<Worker>, listener: TcpListener, deadline: Instant) {
    let grace = deadline.saturating_duration_since(Instant::now()) / 4;
    tell(worker, &listener, grace).await;
    accept_rest(worker, &listener).await;
    drop(listener);
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    while worker.connections.len() > 0 && Instant::now() < deadline {
        worker.connections.drain(worker.timers.coarse().saturating_sub(grace));
        tokio::time::sleep(TICK).await;
    }
    let connections = worker.connections.len();
    if connections > 0 {
        let requests = worker.connections.in_flight();
        tracing::warn!(connections, requests, "the drain time is over: what is left is cut");
    }
}

/// Serves on for `grace`, or until nobody is left.
async fn tell(worker: &Rc<Worker>, listener: &TcpListener, grace: Duration) {
    let until = Instant::now() + grace;
    let mut last = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until && (worker.connections.len() > 0 || last.elapsed() < ACCEPT_REST) {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, peer)) = accepted {
                connection::start(worker, stream, peer);
                last = Instant::now();
            },
            // Also for those that have come since.
            _ = ticks.tick() => worker.connections.drain(0),
        }
    }
}

/// Those who have been connected by the kernel already must not be reset. Clients that keep
/// coming must not hold it up.
async fn accept_rest(worker: &Rc<Worker>, listener: &TcpListener) {
    let until = Instant::now() + ACCEPT_REST;
    while Instant::now() < until
        && let Ok(Ok((stream, peer))) = timeout(Duration::from_millis(1), listener.accept()).await
    {
        connection::start(worker, stream, peer);
    }
}
