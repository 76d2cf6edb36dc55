//! A client's connection: which protocol it speaks, how long it may be silent, how it ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::io::{ClientIo, has_arrived};
use super::options::Limits;
use super::service::{Service, build_service};
use super::tunnel::Tunnel;
use super::worker::Worker;
use crate::model::policy::HttpPolicy;

/// RFC 9113 section 3.4: what an HTTP/2 client with prior knowledge sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The least window of an HTTP/2 connection.
const MIN_WINDOW: u32 = 65_535;

/// Bytes of one HTTP/2 stream that wait for a slow client; hyper's own default.
const MAX_SEND_BUFFER: usize = 400 * 1024;

/// What the worker knows of a connection. Times are the worker's milliseconds.
#[derive(Debug)]
pub(crate) struct Conn {
    worker: Rc<Worker>,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Our address towards the client.
    pub(crate) local: SocketAddr,
    /// The client's address without its port, for headers.
    pub(crate) peer_value: HeaderValue,
    /// Trusted proxies between the clients and us.
    pub(crate) trusted_hops: u32,
    phase: Cell<Phase>,
    since: Cell<u64>,
    in_flight: Cell<u32>,
    framed: Cell<bool>,
    leaving: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    abort: RefCell<Option<AbortHandle>>,
    slot: Cell<Option<usize>>,
    /// What it is switched to when its answer is written.
    pub(crate) tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its first byte.
    New,
    /// The rest of a head.
    Head,
    /// The end of a request.
    Busy,
    /// The next request.
    Idle,
}

impl Conn {
    /// A byte has come from the client.
    pub(crate) fn arrived(&self) {
        // HTTP/2's frames come at any time, and need not be a request's.
        if self.framed.get() {
            return;
        }
        if self.is_waiting() {
            self.enter(Phase::Head, self.worker.timers.coarse());
        }
    }

    /// A head is complete.
    pub(crate) fn begin_request(&self, now: u64) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.enter(Phase::Busy, now);
    }

    /// A request is done with.
    pub(crate) fn end_request(&self, now: u64) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        if self.in_flight.get() == 0 {
            self.enter(Phase::Idle, now);
        }
    }

    /// Whether its answers have to say that it ends: HTTP/1.1's way to part without losing the
    /// request that is on its way. HTTP/2 has GOAWAY.
    pub(crate) fn says_close(&self) -> bool {
        self.worker.connections.draining.get() && !self.framed.get()
    }

    fn enter(&self, phase: Phase, now: u64) {
        self.phase.set(phase);
        self.since.set(now);
    }

    /// Whether it is to end now, with nothing in flight. HTTP/1.1 only: HTTP/2 ends by GOAWAY.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get() && !self.framed.get() && self.is_waiting()
    }

    /// Whether the next byte would begin a request.
    fn is_waiting(&self) -> bool {
        matches!(self.phase.get(), Phase::New | Phase::Idle)
    }

    /// Returns when it is to end.
    async fn left(&self) {
        poll_fn(|cx| {
            if self.leaving.get() {
                return Poll::Ready(());
            }
            self.wake_with(cx);
            Poll::Pending
        })
        .await;
    }

    fn wake_with(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Whether it has been waiting for too long.
    fn overdue(&self, now: u64, limits: &Limits, idle: Option<Duration>) -> bool {
        let limit = match self.phase.get() {
            Phase::New => Some(limits.first_byte_timeout.min(idle.unwrap_or(Duration::MAX))),
            Phase::Head => Some(limits.header_timeout),
            Phase::Idle => idle,
            Phase::Busy => None,
        };
        let since = u128::from(now.saturating_sub(self.since.get()));
        limit.is_some_and(|limit| since > limit.as_millis())
    }
}

/// A worker's connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    entries: RefCell<Vec<Rc<Conn>>>,
    /// All are to end, also those that are still to come.
    draining: Cell<bool>,
}

impl Connections {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    fn insert(&self, conn: &Rc<Conn>) {
        let mut entries = self.entries.borrow_mut();
        conn.slot.set(Some(entries.len()));
        entries.push(Rc::clone(conn));
    }

    fn remove(&self, conn: &Conn) {
        let Some(slot) = conn.slot.take() else { return };
        let mut entries = self.entries.borrow_mut();
        entries.swap_remove(slot);
        if let Some(moved) = entries.get(slot) {
            moved.slot.set(Some(slot));
        }
    }

    /// Closes those that have been waiting for too long; `idle` is the limit without a request.
    pub(crate) fn sweep(&self, now: u64, limits: &Limits, idle: Option<Duration>) {
        for conn in self.entries.borrow().iter().filter(|conn| conn.overdue(now, limits, idle)) {
            if let Some(abort) = conn.abort.borrow().as_ref() {
                abort.abort();
            }
        }
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.entries.borrow().iter().map(|conn| conn.in_flight.get()).sum()
    }

    /// Ends each after its requests in flight: GOAWAY, or `connection: close` with the next
    /// answer, since the next request may be on its way. Those of HTTP/1.1 that have been waiting
    /// for a request since before `silent_since` end at once.
    pub(crate) fn drain(&self, silent_since: u64) {
        self.draining.set(true);
        for conn in self.entries.borrow().iter() {
            if conn.framed.get() || (conn.is_waiting() && conn.since.get() < silent_since) {
                conn.leaving.set(true);
            }
            if let Some(waker) = conn.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}

/// Takes a connection in and serves it on a task of its own.
pub(crate) fn start(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    // Small responses must not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let ip = peer.ip().to_canonical();
    let Ok(peer_value) = HeaderValue::from_str(&ip.to_string()) else { return };
    let conn = Rc::new(Conn {
        worker: Rc::clone(worker),
        peer: SocketAddr::new(ip, peer.port()),
        local,
        peer_value,
        trusted_hops: trusted_hops(worker, local.port()),
        phase: Cell::new(Phase::New),
        since: Cell::new(worker.timers.coarse()),
        in_flight: Cell::new(0),
        framed: Cell::new(false),
        leaving: Cell::new(false),
        waker: RefCell::default(),
        abort: RefCell::default(),
        slot: Cell::new(None),
        tunnel: RefCell::default(),
    });
    worker.connections.insert(&conn);
    worker.stats.downstream.connection_opened();
    let guard = Open(Rc::clone(&conn));
    let task = tokio::task::spawn_local(async move {
        let conn = &guard.0;
        if let Some((stream, ahead, protocol)) = sniff(stream, conn).await {
            serve(conn, stream, ahead, protocol).await;
        }
    });
    *conn.abort.borrow_mut() = Some(task.abort_handle());
}

/// What the Listener of a port says of proxies before us.
fn trusted_hops(worker: &Worker, port: u16) -> u32 {
    let mut tables = worker.tables.borrow_mut();
    let listeners = &tables.get().config().listeners;
    // Tests listen on any port.
    let listener = listeners.iter().find(|listener| listener.port == port);
    listener.or(listeners.first()).map_or(0, |listener| listener.trusted_hops)
}

/// Takes a connection off the worker's list however its task ends.
#[derive(Debug)]
struct Open(Rc<Conn>);

impl Drop for Open {
    fn drop(&mut self) {
        // It would keep the connection, which keeps it.
        let tunnel = self.0.tunnel.borrow_mut().take();
        drop(tunnel);
        self.0.worker.connections.remove(&self.0);
        self.0.worker.stats.downstream.connection_closed();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads until it is clear which protocol this is. The worker's sweep bounds the time.
async fn sniff(mut stream: TcpStream, conn: &Conn) -> Option<(TcpStream, Bytes, Protocol)> {
    let mut ahead = BytesMut::with_capacity(2048);
    tokio::select! {
        biased;
        first = stream.readable() => first.ok()?,
        () = conn.left() => if !has_arrived(&stream) {
            return None;
        },
    }
    loop {
        if stream.read_buf(&mut ahead).await.ok()? == 0 {
            return None;
        }
        conn.arrived();
        let length = ahead.len().min(PREFACE.len());
        if ahead[..length] != PREFACE[..length] {
            return Some((stream, ahead.freeze(), Protocol::Http1));
        }
        if length == PREFACE.len() {
            return Some((stream, ahead.freeze(), Protocol::Http2));
        }
    }
}

async fn serve(conn: &Rc<Conn>, stream: TcpStream, ahead: Bytes, protocol: Protocol) {
    let worker = &conn.worker;
    let io = ClientIo::new(stream, ahead, Rc::clone(conn));
    let service = build_service(worker, conn);
    let policy = worker.policy();
    // Errors are the client's: what it had to be told it has been told.
    let _ = match protocol {
        Protocol::Http1 => {
            let connection = policy.http1.serve_connection(io, service);
            let mut draining = Draining { connection, conn, told: false };
            let served = (&mut draining).await;
            let tunnel = conn.tunnel.borrow_mut().take();
            if let (Ok(()), Some(tunnel)) = (&served, tunnel) {
                let parts = draining.connection.into_parts();
                tunnel.run(TokioIo::new(parts.io.preceded_by(parts.read_buf))).await;
            }
            served
        }
        Protocol::Http2 => {
            conn.framed.set(true);
            conn.enter(Phase::Idle, worker.timers.coarse());
            let connection = policy.http2.serve_connection(io, service);
            Draining { connection, conn, told: false }.await
        }
    };
}

/// A hyper connection that ends gracefully when its worker drains.
struct Draining<'a, C> {
    connection: C,
    conn: &'a Conn,
    told: bool,
}

trait Graceful: Future<Output = hyper::Result<()>> + Unpin {
    fn end(self: Pin<&mut Self>);
}

/// hyper would close at once, also where a request has arrived that it hasn't read: [`ClientIo`]
/// looks, and gives it an end of the stream.
impl Graceful for http1::Connection<ClientIo, Service> {
    fn end(self: Pin<&mut Self>) {}
}

impl Graceful for http2::Connection<ClientIo, Service, LocalExecutor> {
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<C: Graceful> Future for Draining<'_, C> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.conn.leaving.get() && !this.told {
            this.told = true;
            Pin::new(&mut this.connection).end();
        }
        this.conn.wake_with(cx);
        Pin::new(&mut this.connection).poll(cx)
    }
}

/// Runs HTTP/2's streams on the worker's own thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// hyper's HTTP/1.1 server with our limits. Its own head timer stays off: it would be a timer a
/// request, and would end idle connections as well; the worker's sweep does both.
pub(crate) fn build_http1(limits: &Limits, policy: &HttpPolicy) -> http1::Builder {
    let head = policy.max_request_head;
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(head)
        .title_case_headers(policy.proper_case)
        // A client that closes its half is taken to be gone, as Envoy does: one that went away
        // looks the same, and must not keep an upstream busy.
        .half_close(false)
        .max_buf_size(head.max(8 * 1024) + 4 * 1024);
    builder
}

/// hyper's HTTP/2 server with our limits.
pub(crate) fn build_http2(limits: &Limits, policy: &HttpPolicy) -> http2::Builder<LocalExecutor> {
    let head = u32::try_from(policy.max_request_head).unwrap_or(u32::MAX);
    let buffer = u32::try_from(policy.buffer_limit).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        // RFC 8441; which route allows what is asked later.
        .enable_connect_protocol()
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(head)
        .initial_stream_window_size(limits.h2_window.min(buffer))
        // RFC 9113 section 6.9.2: the connection's can't be less.
        .initial_connection_window_size(limits.h2_window.min(buffer.max(MIN_WINDOW)))
        .max_send_buf_size(MAX_SEND_BUFFER.min(policy.buffer_limit));
    builder
}
