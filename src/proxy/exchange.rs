//! One request and its response: what the access log, the metrics and the deadlines know of it.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use super::coding::Coding;
use super::connection::Conn;
use super::error::{Failure, Flag};
use super::grpc::Dialect;
use super::policy::Served;
use super::timer::Timing;
use super::tunnel::Tunnel;
use super::upstream::target::Target;
use super::worker::Worker;
use crate::model::config::Leg;

/// Values that the log wants, in the order of its plan.
pub(crate) type Captured = SmallVec<[Option<HeaderValue>; 4]>;

/// One request and its response. Lives until both bodies are done with.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Its worker.
    pub(crate) worker: Rc<Worker>,
    /// The client's connection.
    pub(crate) conn: Rc<Conn>,
    /// How it is served.
    pub(crate) policy: Rc<Served>,
    /// Who asks: the connection's peer, or whom the trusted proxies before us name.
    pub(crate) client: Cell<IpAddr>,
    /// How its answer may be compressed.
    pub(crate) coding: Cell<Option<Coding>>,
    /// When it began.
    pub(crate) started: Instant,
    /// It is a request; else a connection that is passed on as bytes.
    pub(crate) is_http: bool,
    /// The request's protocol.
    pub(crate) version: Version,
    /// The request's method.
    pub(crate) method: Method,
    /// The request's target in origin form, canonical once it has been checked.
    pub(crate) uri: RefCell<Uri>,
    /// The request's authority.
    pub(crate) authority: RefCell<Option<HeaderValue>>,
    /// Request headers for the log.
    pub(crate) request_values: RefCell<Captured>,
    /// Response headers for the log.
    pub(crate) response_values: RefCell<Captured>,
    /// The response's status; 0 before there is one.
    pub(crate) status: Cell<u16>,
    /// Why it went wrong.
    pub(crate) flag: Cell<Option<Flag>>,
    /// Why the response is as it is.
    pub(crate) details: Cell<&'static str>,
    /// Bytes of the request's body.
    pub(crate) received: Cell<u64>,
    /// Bytes of the response's body.
    pub(crate) sent: Cell<u64>,
    /// The request's body is complete.
    pub(crate) request_done: Cell<bool>,
    /// The response's body is complete.
    pub(crate) response_done: Cell<bool>,
    /// The response is complete or given up.
    pub(crate) finished: Cell<bool>,
    /// Waits for the request's body, while the response may end; `None` while nobody does.
    pub(crate) body_waker: RefCell<Option<Waker>>,
    /// The upstream's address, and ours towards it.
    pub(crate) upstream: Cell<Option<(SocketAddr, SocketAddr)>>,
    /// Why TLS with the upstream failed.
    pub(crate) transport_failure: RefCell<Option<Box<str>>>,
    /// Where it goes.
    pub(crate) target: RefCell<Option<Rc<Target>>>,
    /// A piece of the answer has been offered to the client, and the next isn't asked for.
    pub(crate) offered: Cell<bool>,
    /// The route that took it.
    pub(crate) leg: OnceCell<Arc<Leg>>,
    /// When the request went upstream.
    pub(crate) sent_upstream: Cell<Option<Instant>>,
    /// The route's limit, armed at the end of the request.
    pub(crate) timeout: Cell<Option<Duration>>,
    /// What begins when the client has its answer, where that switches protocols.
    pub(crate) tunnel: RefCell<Option<Box<Tunnel>>>,
    /// How it speaks gRPC, if it does.
    pub(crate) grpc: Cell<Option<Dialect>>,
    /// Its deadlines.
    pub(crate) timing: Timing,
}

impl Exchange {
    /// Begins one.
    pub(crate) fn new(worker: &Rc<Worker>, conn: &Rc<Conn>, head: &http::request::Parts) -> Self {
        let started = Instant::now();
        let now = worker.timers.at(started);
        Self {
            worker: Rc::clone(worker),
            conn: Rc::clone(conn),
            policy: worker.policy(),
            client: Cell::new(conn.peer.ip()),
            coding: Cell::new(None),
            started,
            is_http: true,
            version: head.version,
            method: head.method.clone(),
            uri: RefCell::new(head.uri.clone()),
            authority: RefCell::default(),
            request_values: RefCell::default(),
            response_values: RefCell::default(),
            status: Cell::new(0),
            flag: Cell::new(None),
            details: Cell::new(""),
            received: Cell::new(0),
            sent: Cell::new(0),
            request_done: Cell::new(false),
            response_done: Cell::new(false),
            finished: Cell::new(false),
            body_waker: RefCell::default(),
            upstream: Cell::new(None),
            transport_failure: RefCell::default(),
            target: RefCell::default(),
            offered: Cell::new(false),
            leg: OnceCell::new(),
            sent_upstream: Cell::new(None),
            timeout: Cell::new(None),
            tunnel: RefCell::default(),
            grpc: Cell::new(Dialect::native(head)),
            timing: Timing::new(now, Some(worker.options.limits.stream_idle_timeout)),
        }
    }

    /// Begins one that is no HTTP: a connection that is passed on as bytes.
    pub(crate) fn of_bytes(worker: &Rc<Worker>, conn: &Rc<Conn>) -> Self {
        let (head, ()) = http::Request::new(()).into_parts();
        Self { is_http: false, ..Self::new(worker, conn, &head) }
    }

    /// Keeps the request headers that the log wants.
    pub(crate) fn capture_request(&self, headers: &HeaderMap) {
        let names = self.policy.log.request_headers();
        *self.request_values.borrow_mut() = names.iter().map(|n| headers.get(n).cloned()).collect();
    }

    /// Keeps the response headers that the log wants.
    pub(crate) fn capture_response(&self, headers: &HeaderMap) {
        let names = self.policy.log.response_headers();
        *self.response_values.borrow_mut() =
            names.iter().map(|n| headers.get(n).cloned()).collect();
    }

    /// Notes why the gateway answers itself.
    pub(crate) fn fail(&self, failure: Failure) {
        self.details.set(failure.details());
        if let Some(flag) = failure.flag() {
            self.flag.set(Some(flag));
        }
    }

    /// Whether nothing but the client's body is waited for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.status.get() == 0 && !self.request_done.get() && self.body_waker.borrow().is_some()
    }

    /// A byte has moved.
    pub(crate) fn touch(&self) {
        self.timing.touch(self.worker.timers.coarse());
    }

    /// The request's body is complete: the route's time begins.
    pub(crate) fn end_request(&self) {
        self.end_request_at(Instant::now());
    }

    /// The same, for who knows the time already.
    pub(crate) fn end_request_at(&self, now: Instant) {
        if !self.request_done.replace(true) {
            self.timing.arm(self.worker.timers.at(now), self.timeout.get());
        }
    }

    /// The worker's time.
    pub(crate) fn now(&self) -> u64 {
        self.worker.timers.at(Instant::now())
    }

    /// The path and query.
    pub(crate) fn with_path<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        let uri = self.uri.borrow();
        read(uri.path_and_query().map_or("", |path| path.as_str()))
    }
}

/// Ends an exchange when it is dropped, however that comes: logged and counted exactly once.
#[derive(Debug)]
pub(crate) struct Finish(pub(crate) Rc<Exchange>);

impl Drop for Finish {
    fn drop(&mut self) {
        let exchange = &self.0;
        exchange.finished.set(true);
        exchange.worker.timers.remove(exchange);
        if let Some(waker) = exchange.body_waker.borrow_mut().take() {
            waker.wake();
        }
        if !exchange.response_done.get() && exchange.flag.get().is_none() {
            exchange.flag.set(Some(Flag::DownstreamReset));
            exchange.details.set("downstream_remote_disconnect");
        }
        let took = exchange.started.elapsed();
        let status = exchange.status.get();
        exchange.conn.end_request(exchange.worker.timers.coarse());
        exchange.conn.stats.finish(status, took);
        exchange.worker.log.write(exchange, took);
    }
}
