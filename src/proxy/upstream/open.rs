//! Gets a connection to an endpoint within the cluster's limits, and starts HTTP on it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::dial::{DialError, Stream as Socket, dial};
use super::pool::{Connection, Sender, Shared, Stream};
use super::state::Permit;
use super::target::Target;
use crate::model::policy::Priority;
use crate::proxy::connection::LocalExecutor;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::telemetry::metrics::ClusterStats;

/// What an HTTP/2 upstream may send ahead on one stream, and on one connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The largest head of an HTTP/2 answer (Envoy: 60 KiB).
const MAX_HEAD: u32 = 60 * 1024;

/// A connection to `address`: a new one, or one that another request gives back or opens meanwhile.
///
/// # Errors
///
/// Too many wait already, nobody answers within `limit`, or TLS can't be begun.
pub(super) async fn open(
    exchange: &Exchange,
    target: &Rc<Target>,
    address: SocketAddr,
    priority: Priority,
    limit: Duration,
) -> Result<Connection, Failure> {
    let Some(_pending) = target.state.try_pending(priority) else {
        target.stats.pending_overflowed();
        return Err(Failure::Overflow);
    };
    let until = Instant::now() + limit;
    let opening = loop {
        if !target.speaks_http2() {
            break None;
        }
        match target.pool.open(address) {
            Ok(opening) => break Some(opening),
            Err(other) => {
                // Registered before anybody else can run, so that no telling is missed.
                let told = other.notified();
                if tokio::time::timeout_at(until, told).await.is_err() {
                    return Err(Failure::ConnectTimeout);
                }
                if let Some(connection) = target.checkout(address) {
                    return Ok(connection);
                }
            }
        }
    };
    let permit = match target.state.try_permit(priority) {
        Some(permit) => permit,
        None => {
            target.stats.connection_overflowed();
            match wait(target, address, priority).await {
                Got::Connection(connection) => return Ok(connection),
                Got::Permit(permit) => permit,
                Got::Nothing => return Err(Failure::Overflow),
            }
        }
    };
    let until = Instant::now() + limit.min(until.saturating_duration_since(Instant::now()));
    let left = until.saturating_duration_since(Instant::now());
    let (socket, local) = dial(&target.state, address, left).await.map_err(|error| {
        target.stats.connect_failed();
        fail(exchange, error)
    })?;
    let connection = start(target, (socket, permit), address, local).await;
    drop(opening);
    connection
}

/// What waiting came to.
enum Got {
    Connection(Connection),
    Permit(Permit),
    Nothing,
}

/// Waits until a connection ends or is given back. The route's time is the limit.
async fn wait(target: &Rc<Target>, address: SocketAddr, priority: Priority) -> Got {
    struct Counted<'a>(&'a Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get().saturating_sub(1));
        }
    }
    let waiting = &target.pool.waiting;
    waiting.set(waiting.get() + 1);
    let _counted = Counted(waiting);
    let _waiting = target.state.wait();
    let mut permit = pin!(target.state.wait_permit(priority));
    loop {
        let released = target.pool.released.notified();
        if let Some(connection) = target.checkout(address) {
            return Got::Connection(connection);
        }
        // One to another endpoint is in the way.
        target.pool.close_one();
        tokio::select! {
            permit = &mut permit => return permit.map_or(Got::Nothing, Got::Permit),
            () = released => {}
        }
    }
}

fn fail(exchange: &Exchange, error: DialError) -> Failure {
    match error {
        DialError::Refused => Failure::ConnectFailure,
        DialError::Timeout => Failure::ConnectTimeout,
        DialError::Tls(reason) => {
            *exchange.transport_failure.borrow_mut() = Some(reason.into());
            Failure::TlsFailure
        }
    }
}

async fn start(
    target: &Rc<Target>,
    (socket, permit): (Socket, Permit),
    address: SocketAddr,
    local: SocketAddr,
) -> Result<Connection, Failure> {
    let born = target.timers.coarse();
    if !target.speaks_http2() {
        let handshake = http1::Builder::new().handshake(TokioIo::new(socket));
        let (sender, driver) = handshake.await.map_err(|_| Failure::ConnectFailure)?;
        let open = Open::new(&target.stats, permit);
        tokio::task::spawn_local(async move {
            // Its errors reach the request that is on it, or nobody.
            let _ = driver.with_upgrades().await;
            drop(open);
        });
        return Ok(Connection { sender: Sender::Http1(sender), address, local, born });
    }
    let handshake = http2::Builder::new(LocalExecutor)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD)
        // Until the upstream says how many it takes: more would wait in this connection's queue.
        .initial_max_send_streams(1)
        .handshake(TokioIo::new(socket));
    let (sender, mut driver) = handshake.await.map_err(|_| Failure::ConnectFailure)?;
    let limit = Rc::new(Cell::new(driver.current_max_send_streams()));
    let open = Open::new(&target.stats, permit);
    let told = Rc::clone(&limit);
    tokio::task::spawn_local(async move {
        let driving = poll_fn(|cx| {
            let outcome = pin!(&mut driver).poll(cx);
            if outcome.is_pending() {
                told.set(driver.current_max_send_streams());
            }
            outcome
        });
        let _ = driving.await;
        drop(open);
    });
    let shared = Rc::new(Shared {
        sender,
        address,
        local,
        born,
        limit,
        streams: Cell::new(0),
        since: Cell::new(born),
        retired: Cell::new(false),
    });
    let stream = Stream::new(&shared);
    target.pool.share(&shared);
    Ok(Connection { sender: Sender::Http2(stream), address, local, born })
}

/// Counts a connection for as long as it is open.
struct Open {
    stats: Arc<ClusterStats>,
    _permit: Permit,
}

impl Open {
    fn new(stats: &Arc<ClusterStats>, permit: Permit) -> Self {
        stats.connection_opened();
        Self { stats: Arc::clone(stats), _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stats.connection_closed();
    }
}

/// Waits for `future`, but no longer than the exchange's deadlines let it.
pub(crate) async fn within<F: Future>(
    exchange: &Exchange,
    future: F,
) -> Result<F::Output, Failure> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Some(failure) = exchange.timing.expired() {
            return Poll::Ready(Err(failure));
        }
        exchange.timing.register(cx.waker());
        future.as_mut().poll(cx).map(Ok)
    })
    .await
}
