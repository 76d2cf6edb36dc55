//! Connections that are passed on as bytes: to one of a group's clusters, both ways, until both
//! have ended or nothing moves any more.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Conn;
use super::error::{Failure, Flag};
use super::exchange::Exchange;
use super::io::Transport;
use super::upstream::target::Target;
use super::worker::Worker;
use crate::model::listener::{TcpGroup, TcpLeg};
use crate::telemetry::listeners::TcpStats;
use crate::telemetry::metrics::ClusterStats;

/// Bytes on their way, in each direction: all that a slow reader lets the other side park here.
const BUFFER: usize = 16 * 1024;

/// Addresses that one connection tries at most.
const MAX_ADDRESSES: usize = 16;

/// Passes a connection on. `ahead` has been read of it already.
pub(super) async fn serve(conn: &Rc<Conn>, group: &TcpGroup, client: Transport, ahead: BytesMut) {
    let worker = &conn.worker;
    let tunnel = Tunnel::begin(conn);
    let Some(leg) = pick(group, fastrand::u8(0..100)) else {
        tunnel.stats.no_route();
        return tunnel.exchange.fail(Failure::NoRoute);
    };
    let target = worker.upstreams.target(&leg.cluster);
    *tunnel.exchange.target.borrow_mut() = Some(Rc::clone(&target));
    // Connecting has a limit of its own.
    conn.begin_tunnel(None);
    let mut upstream = match dial(worker, &target).await {
        Ok((stream, address, local)) => {
            tunnel.exchange.upstream.set(Some((address, local)));
            stream
        }
        Err(failure) => return tunnel.exchange.fail(failure),
    };
    let _open = Upstream::new(&target.stats);
    conn.begin_tunnel(leg.idle_timeout.duration());
    let mut client = Metered { inner: client, ahead, exchange: Rc::clone(&tunnel.exchange) };
    // An error is the end of one side, and so of both.
    let ended = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await;
    if ended.is_ok() {
        tunnel.exchange.response_done.set(true);
    }
}

/// The member whose share holds the draw.
fn pick(group: &TcpGroup, draw: u8) -> Option<&Arc<TcpLeg>> {
    group.legs.iter().find(|leg| leg.share.contains(draw))
}

/// Connects to one of a cluster's addresses.
async fn dial(
    worker: &Worker,
    target: &Target,
) -> Result<(TcpStream, SocketAddr, SocketAddr), Failure> {
    // Never in cleartext what has to be encrypted.
    if target.cluster.tls.is_some() {
        return Err(Failure::ConnectFailure);
    }
    let limit = target.cluster.policy.connect_timeout();
    let addresses = match target.source.known(&worker.endpoints) {
        Some(addresses) => addresses?,
        None => {
            timeout(limit, target.source.wait()).await.map_err(|_| Failure::NameNotResolved)??
        }
    };
    let count = addresses.len();
    let turn = target.next_turn();
    let until = Instant::now() + limit;
    let mut last = Failure::NoHealthyUpstream;
    for step in 0..count.min(MAX_ADDRESSES) {
        let address = addresses[turn.wrapping_add(step) % count];
        let rest = until.saturating_duration_since(Instant::now());
        // The half is kept for the others: one that swallows packets doesn't cost the connection.
        let share = if step + 1 < count { rest / 2 } else { rest };
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().map_err(|_| Failure::ConnectFailure)?;
                return Ok((stream, address, local));
            }
            Ok(Err(_)) => last = Failure::ConnectFailure,
            Err(_) => last = Failure::ConnectTimeout,
        }
        target.stats.connect_failed();
    }
    Err(last)
}

/// One connection: counted and logged when it is dropped, however that comes.
struct Tunnel {
    exchange: Rc<Exchange>,
    stats: Arc<TcpStats>,
    began: Instant,
}

impl Tunnel {
    fn begin(conn: &Rc<Conn>) -> Self {
        let worker = &conn.worker;
        let listener = conn.port.listener(worker);
        let prefix = listener.map_or_else(|| "".into(), |one| Arc::clone(&one.stat_prefix));
        let stats = worker.stats.tcp(&prefix);
        stats.opened();
        Self { exchange: Rc::new(Exchange::of_bytes(worker, conn)), stats, began: Instant::now() }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let exchange = &self.exchange;
        if exchange.conn.idled.get() {
            self.stats.idled();
            exchange.flag.set(Some(Flag::StreamIdle));
        }
        self.stats.closed(exchange.received.get(), exchange.sent.get());
        exchange.worker.log.write(exchange, self.began.elapsed());
    }
}

/// Counts an upstream connection for as long as it is open.
struct Upstream(Arc<ClusterStats>);

impl Upstream {
    fn new(stats: &Arc<ClusterStats>) -> Self {
        stats.connection_opened();
        Self(Arc::clone(stats))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// The client's stream: what was read ahead first, and all that moves counted.
struct Metered {
    inner: Transport,
    ahead: BytesMut,
    exchange: Rc<Exchange>,
}

impl Metered {
    fn moved(&self, received: usize, sent: usize) {
        let exchange = &self.exchange;
        exchange.received.set(exchange.received.get() + received as u64);
        exchange.sent.set(exchange.sent.get() + sent as u64);
        exchange.conn.touch();
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = if self.ahead.has_remaining() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut self.inner).poll_read(cx, buffer)
        };
        if polled.is_ready() {
            self.moved(buffer.filled().len() - before, 0);
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &polled {
            self.moved(0, *count);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
