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

use super::dial::{DialError, Stream as Socket, dial_with};
use super::pool::{Connection, Opening, Peer, Sender, Shared, Stream};
use super::state::Permit;
use super::target::{Over, Target};
use crate::model::policy::Priority;
use crate::proxy::connection::LocalExecutor;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::proxy::pieces::Pieces;
use crate::telemetry::metrics::ClusterStats;

/// What an HTTP/2 upstream may send ahead on one stream, and on one connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// hyper's least: a head has to fit.
const LEAST_BUFFER: usize = 64 * 1024;

/// The largest head of an HTTP/2 answer (Envoy: 60 KiB).
const MAX_HEAD: u32 = 60 * 1024;

/// How long an upstream may take to say what it is, once the connection stands.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two looks at whether it has.
const SETTINGS_LOOK: Duration = Duration::from_millis(1);

/// Streams that are begun before the upstream says how many it takes: more would wait in the
/// connection's queue.
const STREAMS_AHEAD: usize = 1;

/// The connection that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// Where to.
    pub(super) address: SocketAddr,
    /// Whose limits count it.
    pub(super) priority: Priority,
    /// What is to be spoken.
    pub(super) over: Over,
}

/// The wanted connection: a new one, or one that another request gives back or opens meanwhile.
///
/// # Errors
///
/// Too many wait already, nobody answers within `limit`, TLS can't be begun, or extended CONNECT is
/// wanted and the upstream doesn't take it.
pub(super) async fn open(
    exchange: &Exchange,
    target: &Rc<Target>,
    want: Want,
    limit: Duration,
) -> Result<Connection, Failure> {
    let Want { address, priority, over } = want;
    let Some(_pending) = target.state.try_pending(priority) else {
        target.stats.pending_overflowed();
        return Err(Failure::Overflow);
    };
    let until = Instant::now() + limit;
    let opening = match begin(target, want, until).await? {
        Begun::Opening(opening) => opening,
        Begun::Connection(connection) => return Ok(connection),
    };
    let permit = match target.state.try_permit(priority) {
        Some(permit) => permit,
        None => {
            target.stats.connection_overflowed();
            match wait(target, want).await {
                Got::Connection(connection) => return Ok(connection),
                Got::Permit(permit) => permit,
                Got::Nothing => return Err(Failure::Overflow),
            }
        }
    };
    let until = Instant::now() + limit.min(until.saturating_duration_since(Instant::now()));
    let left = until.saturating_duration_since(Instant::now());
    let client = match over {
        Over::Usual | Over::Stream => target.state.client.as_ref(),
        Over::Http1 => target.state.client_http1.as_ref(),
    };
    let dialled = dial_with(&target.state, client, address, left).await;
    let (socket, local) = dialled.map_err(|error| {
        target.stats.connect_failed();
        // Who refuses HTTP/1.1 takes no upgrade at all.
        let is_tls = matches!(error, DialError::Tls(_));
        let failure = fail(exchange, error);
        if is_tls && over == Over::Http1 { Failure::NoTunnel } else { failure }
    })?;
    let connection = start(target, want, (socket, permit), local).await;
    drop(opening);
    let connection = connection?;
    if over == Over::Stream && !takes_extended(&connection).await {
        return Err(Failure::NoTunnel);
    }
    Ok(connection)
}

/// What the wish for a connection leads to.
enum Begun<'t> {
    /// The right to open one; of HTTP/1.1 anybody may.
    Opening(Option<Opening<'t>>),
    /// One that somebody else has opened meanwhile.
    Connection(Connection),
}

/// Waits while another request opens a connection that this one can share.
async fn begin(target: &Target, want: Want, until: Instant) -> Result<Begun<'_>, Failure> {
    if !target.speaks_http2() || want.over == Over::Http1 {
        return Ok(Begun::Opening(None));
    }
    loop {
        match target.pool.open(want.address) {
            Ok(opening) => return Ok(Begun::Opening(Some(opening))),
            Err(other) => {
                // Registered before anybody else can run, so that no telling is missed.
                let told = other.notified();
                if tokio::time::timeout_at(until, told).await.is_err() {
                    return Err(Failure::ConnectTimeout);
                }
                if let Some(connection) = target.checkout(want.address, want.over) {
                    return Ok(Begun::Connection(connection));
                }
            }
        }
    }
}

/// Whether the upstream takes extended CONNECT, as its SETTINGS say.
async fn takes_extended(connection: &Connection) -> bool {
    let Sender::Http2(Stream(shared)) = &connection.sender else { return false };
    let peer = &shared.peer;
    let told = async {
        while !peer.settled.get() {
            tokio::time::sleep(SETTINGS_LOOK).await;
            peer.look();
        }
    };
    // One whose SETTINGS look like what was assumed before them can't be told from a silent one.
    if tokio::time::timeout(SETTINGS_TIMEOUT, told).await.is_err() {
        peer.settled.set(true);
    }
    peer.extended.get()
}

/// What waiting came to.
enum Got {
    Connection(Connection),
    Permit(Permit),
    Nothing,
}

/// Waits until a connection ends or is given back. The route's time is the limit.
async fn wait(target: &Rc<Target>, want: Want) -> Got {
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
    let mut permit = pin!(target.state.wait_permit(want.priority));
    loop {
        let released = target.pool.released.notified();
        if let Some(connection) = target.checkout(want.address, want.over) {
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

pub(super) fn fail(exchange: &Exchange, error: DialError) -> Failure {
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
    Want { address, over, .. }: Want,
    (socket, permit): (Socket, Permit),
    local: SocketAddr,
) -> Result<Connection, Failure> {
    let born = target.timers.coarse();
    if target.speaks_http2() && over != Over::Http1 {
        return start_http2(target, address, (socket, permit), local).await;
    }
    let mut builder = http1::Builder::new();
    builder.max_buf_size(target.buffer.max(LEAST_BUFFER));
    let handshake = builder.handshake(TokioIo::new(Pieces(socket)));
    let (sender, driver) = handshake.await.map_err(|_| Failure::ConnectFailure)?;
    let open = Rc::new(Open::new(&target.stats, permit));
    let weak = Rc::downgrade(&open);
    tokio::task::spawn_local(async move {
        // Its errors reach the request that is on it, or nobody.
        let _ = driver.with_upgrades().await;
        drop(open);
    });
    let sender = Sender::Http1(sender);
    Ok(Connection { sender, address, local, born, open: weak, held: None })
}

async fn start_http2(
    target: &Rc<Target>,
    address: SocketAddr,
    (socket, permit): (Socket, Permit),
    local: SocketAddr,
) -> Result<Connection, Failure> {
    let born = target.timers.coarse();
    let handshake = http2::Builder::new(LocalExecutor)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD)
        .initial_max_send_streams(STREAMS_AHEAD)
        .handshake(TokioIo::new(Pieces(socket)));
    let (sender, mut driver) = handshake.await.map_err(|_| Failure::ConnectFailure)?;
    let peer = Rc::new(Peer::default());
    peer.limit.set(driver.current_max_send_streams());
    let open = Open::new(&target.stats, permit);
    let told = Rc::clone(&peer);
    tokio::task::spawn_local(async move {
        let driving = poll_fn(|cx| {
            let outcome = pin!(&mut driver).poll(cx);
            if outcome.is_pending() {
                let limit = driver.current_max_send_streams();
                let extended = driver.is_extended_connect_protocol_enabled();
                told.limit.set(limit);
                told.extended.set(extended);
                told.settled.set(told.settled.get() || extended || limit != STREAMS_AHEAD);
                told.driver.borrow_mut().get_or_insert_with(|| cx.waker().clone());
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
        peer,
        streams: Cell::new(0),
        since: Cell::new(born),
        retired: Cell::new(false),
    });
    let stream = Stream::new(&shared);
    target.pool.share(&shared);
    Ok(stream.into_connection())
}

/// Counts a connection for as long as it is open.
pub(super) struct Open {
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
