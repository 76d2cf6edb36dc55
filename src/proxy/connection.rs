//! A client's connection: what is known of it, how long it may be silent, how it ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use tokio::task::AbortHandle;

use super::options::Limits;
use super::overload::Level;
use super::port::Port;
use super::tls::Session;
use super::tunnel::Tunnel;
use super::worker::Worker;
use crate::model::policy::HttpPolicy;
use crate::telemetry::listeners::Refusal;
use crate::telemetry::metrics::DownstreamStats;

/// The least window of an HTTP/2 connection.
const MIN_WINDOW: u32 = 65_535;

/// Bytes of an HTTP/1.1 body that are read or kept at once. Reads begin with 8 KiB and grow while they
/// come full. With 64 KiB a large upload costs half as much again.
const BODY_BUFFER: usize = 256 * 1024;

/// What the worker knows of a connection. Times are the worker's milliseconds.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) worker: Rc<Worker>,
    /// The port that it came by.
    pub(crate) port: Rc<Port>,
    /// Its TLS, where it has any.
    pub(crate) tls: Option<Session>,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Our address towards the client.
    pub(crate) local: SocketAddr,
    /// The client's address without its port, for headers.
    pub(crate) peer_value: HeaderValue,
    /// What is counted of its HTTP.
    pub(crate) stats: Arc<DownstreamStats>,
    /// Trusted proxies between the clients and us.
    pub(crate) trusted_hops: u32,
    phase: Cell<Phase>,
    since: Cell<u64>,
    in_flight: Cell<u32>,
    pub(super) framed: Cell<bool>,
    pub(super) leaving: Cell<bool>,
    /// The socket took not all of the last answer.
    pub(super) stuck: Cell<bool>,
    /// It has been idle for so long that its buffers are better given back.
    tired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    pub(super) abort: RefCell<Option<AbortHandle>>,
    /// Its place in the worker's list.
    pub(super) slot: Cell<Option<usize>>,
    /// What it is switched to when its answer is written.
    pub(crate) tunnel: RefCell<Option<Box<Tunnel>>>,
    /// How long bytes that are passed on may be silent.
    idle: Cell<Option<Duration>>,
    /// It has been closed for its silence.
    pub(super) idled: Cell<bool>,
}

/// What is known of a connection before anything is read of it, or after more has been read.
#[derive(Debug)]
pub(super) struct Known {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// What it connected to.
    pub(super) local: SocketAddr,
    /// Its TLS.
    pub(super) tls: Option<Session>,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its first byte.
    New,
    /// The end of what comes before HTTP: the PROXY protocol's header, the TLS handshake.
    Handshake,
    /// Its end, after it was refused.
    Parting,
    /// The rest of a head.
    Head,
    /// The end of a request.
    Busy,
    /// The next request.
    Idle,
    /// The end of a stream of bytes.
    Tunnel,
}

impl Conn {
    /// A new one, not in the worker's list yet. `None` for an address that no header can hold.
    pub(super) fn new(worker: &Rc<Worker>, port: &Rc<Port>, known: Known) -> Option<Self> {
        let ip = known.peer.ip().to_canonical();
        Some(Self {
            worker: Rc::clone(worker),
            port: Rc::clone(port),
            tls: known.tls,
            peer: SocketAddr::new(ip, known.peer.port()),
            local: SocketAddr::new(known.local.ip().to_canonical(), known.local.port()),
            peer_value: HeaderValue::from_str(&ip.to_string()).ok()?,
            stats: port.http_stats(worker),
            trusted_hops: port.listener(worker).map_or(0, |listener| listener.trusted_hops),
            phase: Cell::new(Phase::New),
            since: Cell::new(worker.timers.coarse()),
            in_flight: Cell::new(0),
            framed: Cell::new(false),
            leaving: Cell::new(false),
            stuck: Cell::new(false),
            tired: Cell::new(false),
            waker: RefCell::default(),
            abort: RefCell::default(),
            slot: Cell::new(None),
            tunnel: RefCell::default(),
            idle: Cell::new(None),
            idled: Cell::new(false),
        })
    }

    /// Takes over what the same connection was before more was known of it.
    pub(super) fn inherit(&self, old: &Self) {
        self.leaving.set(old.leaving.get());
        *self.abort.borrow_mut() = old.abort.take();
    }

    /// How its client reached it: `https` where it was TLS that was ended here.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// From here on bytes are passed on as they are; `idle` is how long none may move.
    pub(super) fn begin_tunnel(&self, idle: Option<Duration>) {
        self.idle.set(idle);
        self.enter(Phase::Tunnel, self.worker.timers.coarse());
    }

    /// A byte has moved through a tunnel.
    pub(super) fn touch(&self) {
        self.since.set(self.worker.timers.coarse());
    }

    /// What comes before HTTP begins or has ended.
    pub(super) fn begin(&self, phase: Phase) {
        self.enter(phase, self.worker.timers.coarse());
    }

    /// Ends it without a word.
    pub(super) fn cut(&self) {
        if let Some(abort) = self.abort.borrow().as_ref() {
            abort.abort();
        }
    }

    /// Ends it for having been silent.
    pub(super) fn cut_overdue(&self) {
        match self.phase.get() {
            Phase::Handshake => self.port.stats.refused(Refusal::Timeout),
            Phase::Tunnel => self.idled.set(true),
            Phase::New | Phase::Parting | Phase::Head | Phase::Busy | Phase::Idle => {}
        }
        self.cut();
    }

    /// How many of its requests are in flight.
    pub(super) fn requests_in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// See [`Connections::drain`](super::connections::Connections::drain).
    pub(super) fn drain(&self, silent_since: u64) {
        if self.framed.get() || (self.is_waiting() && self.since.get() < silent_since) {
            self.leaving.set(true);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Since when nothing has been asked here that isn't answered; `None` while something is.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        match self.phase.get() {
            Phase::New | Phase::Handshake | Phase::Parting | Phase::Head | Phase::Idle => {
                Some(self.since.get())
            }
            Phase::Busy | Phase::Tunnel => None,
        }
    }

    /// Ends it for others' sake: in the way that loses no request, or, where that was tried before
    /// and it is the `last` time, or no request has ever been whole, at once.
    pub(super) fn give_way(&self, last: bool) {
        let kindly = self.is_waiting() && !(last && self.leaving.get());
        if !self.leaving.get() {
            self.stats.closed_by_overload();
        }
        if !kindly {
            self.cut();
        }
        self.leave();
    }

    /// From here on nothing new is taken: HTTP/1.1 ends once nothing has arrived, HTTP/2 by GOAWAY.
    fn leave(&self) {
        self.leaving.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Asks it to rest, if it has been idle for so long; whether it was asked now.
    pub(super) fn tire(&self, now: u64, rest_after: Duration) -> bool {
        let is_idle = self.phase.get() == Phase::Idle && !self.framed.get();
        let silent = u128::from(now.saturating_sub(self.since.get()));
        if !is_idle || silent < rest_after.as_millis() || self.tired.replace(true) {
            return false;
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
        true
    }

    /// Whether it is to rest now: HTTP/1.1 between two requests, with nothing to read or to write.
    pub(super) fn rests(&self) -> bool {
        self.tired.get()
            && self.phase.get() == Phase::Idle
            && !self.stuck.get()
            && !self.leaving.get()
    }

    /// It rests no more.
    pub(super) fn wake_up(&self) {
        self.tired.set(false);
    }

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
    /// request that is on its way. HTTP/2 has GOAWAY, which is begun here where load is shed.
    pub(crate) fn says_close(&self) -> bool {
        let connections = &self.worker.connections;
        if connections.level() >= Level::Parting {
            self.stats.parted_by_overload();
            if self.framed.get() {
                self.leave();
            }
            return !self.framed.get();
        }
        (connections.is_draining() || self.port.draining.get()) && !self.framed.get()
    }

    fn enter(&self, phase: Phase, now: u64) {
        self.tired.set(false);
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
    pub(super) async fn left(&self) {
        poll_fn(|cx| {
            if self.leaving.get() {
                return Poll::Ready(());
            }
            self.wake_with(cx);
            Poll::Pending
        })
        .await;
    }

    /// Wakes whoever asks when it is to end.
    pub(super) fn wake_with(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Whether it has been waiting for too long; `idle` is the limit without a request.
    pub(super) fn overdue(&self, now: u64, limits: &Limits, idle: Option<Duration>) -> bool {
        let limit = match self.phase.get() {
            Phase::New => Some(limits.first_byte_timeout.min(idle.unwrap_or(Duration::MAX))),
            Phase::Handshake | Phase::Parting => Some(limits.handshake_timeout),
            Phase::Head => Some(limits.header_timeout),
            Phase::Idle => idle,
            Phase::Tunnel => self.idle.get(),
            Phase::Busy => None,
        };
        let since = u128::from(now.saturating_sub(self.since.get()));
        limit.is_some_and(|limit| since > limit.as_millis())
    }
}

/// Runs HTTP/2's streams on the worker's own thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalExecutor;

// As it is: a block around it would hold it twice, and hyper's futures are large.
impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
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
        // A head is bounded above; this is how much of a body one read may take.
        .max_buf_size(BODY_BUFFER.min(policy.buffer_limit).max(head.max(8 * 1024) + 4 * 1024));
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
        .max_send_buf_size(limits.buffer.min(policy.buffer_limit));
    builder
}
