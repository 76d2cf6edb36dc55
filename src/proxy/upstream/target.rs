//! A worker's view of one cluster: its endpoints, its turn, its connections.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use http::HeaderValue;

use super::dns::Dns;
use super::members::{Endpoint, Members};
use super::names::Source;
use super::pool::{Connection, Lifetimes, Pool, Sender};
use super::state::{ClusterState, Registry};
use crate::model::cluster::{Cluster, Upstream};
use crate::model::policy::{BalanceMethod, Limit, Priority};
use crate::proxy::error::Failure;
use crate::proxy::timer::Timers;
use crate::telemetry::metrics::{ClusterStats, WorkerStats};

/// How long a cluster that nothing uses any more is remembered, in milliseconds.
const FORGET_AFTER: u64 = 10 * 60 * 1000;

/// A worker's clusters.
#[derive(Debug)]
pub(crate) struct Upstreams {
    targets: RefCell<HashMap<Arc<Cluster>, Rc<Target>>>,
    dns: Dns,
    registry: Arc<Registry>,
    stats: Arc<WorkerStats>,
    timers: Rc<Timers>,
    idle: Duration,
    buffer: usize,
}

/// What a worker's clusters are made from.
#[derive(Debug)]
pub(crate) struct UpstreamsParts {
    /// The resolver.
    pub(crate) dns: Dns,
    /// What workers share of clusters.
    pub(crate) registry: Arc<Registry>,
    /// The worker's counters.
    pub(crate) stats: Arc<WorkerStats>,
    /// The worker's clock.
    pub(crate) timers: Rc<Timers>,
    /// An unused connection is closed after this time, unless its cluster says otherwise.
    pub(crate) idle: Duration,
    /// Bytes of an answer that are read ahead of the client.
    pub(crate) buffer: usize,
}

/// One cluster.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is.
    pub(crate) cluster: Arc<Cluster>,
    /// What is counted of it.
    pub(crate) stats: Arc<ClusterStats>,
    /// Its host without a port, for routes that ask for the upstream's.
    pub(crate) host: HeaderValue,
    /// Where its addresses come from.
    pub(crate) source: Source,
    /// What all workers share of it.
    pub(crate) state: Arc<ClusterState>,
    /// Its connections.
    pub(super) pool: Pool,
    /// How long these last.
    pub(super) lifetimes: Lifetimes,
    pub(super) timers: Rc<Timers>,
    /// Bytes that are read ahead of the client.
    pub(super) buffer: usize,
    view: RefCell<Option<Rc<View>>>,
    turn: Cell<usize>,
    used: Cell<u64>,
    /// It has been told that its upstreams take no upgrades.
    told: Cell<bool>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// What the cluster speaks.
    Usual,
    /// HTTP/2, with extended CONNECT.
    Stream,
    /// HTTP/1.1, although the cluster speaks HTTP/2.
    Http1,
}

/// The endpoints as the worker last saw them.
#[derive(Debug)]
pub(super) struct View {
    addresses: Arc<[SocketAddr]>,
    epoch: u64,
    /// The endpoints.
    pub(super) members: Arc<Members>,
}

/// A request that counts against the cluster's limits for as long as it is held.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Its cluster.
    pub(in crate::proxy) target: Rc<Target>,
    priority: Priority,
    endpoint: Option<Arc<Endpoint>>,
}

impl Ticket {
    /// One for a request of `priority`; `None` where there are too many.
    pub(super) fn take(target: &Rc<Target>, priority: Priority) -> Option<Self> {
        let entered = target.state.of(priority).requests.try_enter();
        entered.then(|| Self { target: Rc::clone(target), priority, endpoint: None })
    }

    /// The request goes to this endpoint.
    pub(super) fn go_to(&mut self, endpoint: &Arc<Endpoint>) {
        if self.target.state.method() != BalanceMethod::LeastRequest {
            return;
        }
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = self.endpoint.replace(Arc::clone(endpoint)) {
            before.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.target.state.of(self.priority).requests.leave();
        if let Some(endpoint) = &self.endpoint {
            endpoint.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A connection in use. Given back when its response has ended; dropped, it closes, or its stream
/// does.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The connection.
    pub(crate) connection: Connection,
    /// The request that uses it.
    pub(super) ticket: Ticket,
}

impl Lease {
    /// The response has ended. `clean` says that the request has, too.
    pub(crate) fn give_back(self, clean: bool) {
        let Self { connection, ticket } = self;
        let target = Rc::clone(&ticket.target);
        drop(ticket);
        let Sender::Http1(sender) = &connection.sender else { return };
        // One of HTTP/1.1 where HTTP/2 is spoken was for that request only.
        if target.speaks_http2() || !clean || sender.is_closed() {
            return;
        }
        // Another worker's request waits for a connection to end, and none of ours does.
        let wanted = target.state.waiting.load(Ordering::Relaxed) > 0;
        if wanted && target.pool.waiting.get() == 0 {
            return;
        }
        target.pool.keep(connection, &target.lifetimes, target.timers.coarse());
    }
}

impl Upstreams {
    /// None yet.
    pub(crate) fn new(parts: UpstreamsParts) -> Self {
        let UpstreamsParts { dns, registry, stats, timers, idle, buffer } = parts;
        Self { targets: RefCell::default(), dns, registry, stats, timers, idle, buffer }
    }

    /// The worker's view of a cluster.
    pub(crate) fn target(&self, cluster: &Arc<Cluster>) -> Rc<Target> {
        let mut targets = self.targets.borrow_mut();
        if let Some(target) = targets.get(cluster) {
            target.used.set(self.timers.coarse());
            return Rc::clone(target);
        }
        let policy = &cluster.policy;
        let target = Rc::new(Target {
            stats: self.stats.cluster(cluster.metrics_name()),
            host: build_host(&cluster.upstream),
            source: self.dns.source(&cluster.upstream, &policy.dns),
            state: self.registry.state(cluster),
            pool: Pool::default(),
            lifetimes: Lifetimes {
                idle: policy.idle_timeout.map_or(Some(self.idle), Limit::duration),
                total: policy.max_lifetime.and_then(Limit::duration),
            },
            timers: Rc::clone(&self.timers),
            buffer: self.buffer,
            view: RefCell::default(),
            turn: Cell::new(fastrand::usize(..1 << 16)),
            used: Cell::new(self.timers.coarse()),
            told: Cell::new(false),
            cluster: Arc::clone(cluster),
        });
        targets.insert(Arc::clone(cluster), Rc::clone(&target));
        target
    }

    /// Closes idle connections where another worker's request waits for one to end.
    pub(crate) fn relieve(&self) {
        if self.registry.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        for target in self.targets.borrow().values() {
            let waiting = target.state.waiting.load(Ordering::Relaxed);
            if target.pool.waiting.get() == 0 {
                (0..waiting).take_while(|_| target.pool.close_one()).for_each(drop);
            }
        }
    }

    /// Closes all connections that are unused.
    pub(crate) fn close_idle(&self) {
        for target in self.targets.borrow().values() {
            while target.pool.close_one() {}
        }
    }

    /// Closes connections that are unused or old, forgets clusters that nothing uses.
    pub(crate) fn sweep(&self, now: u64) {
        let mut targets = self.targets.borrow_mut();
        let before = targets.len();
        targets.retain(|_, target| {
            target.state.look_at_ejected();
            target.pool.sweep(&target.lifetimes, now);
            Rc::strong_count(target) > 1 || now.saturating_sub(target.used.get()) < FORGET_AFTER
        });
        if targets.len() < before {
            self.stats.forget_unused();
        }
    }
}

impl Target {
    /// Where this request's turn begins.
    pub(crate) fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// The endpoints at these addresses.
    pub(super) fn view(&self, addresses: &Arc<[SocketAddr]>) -> Rc<View> {
        let mut view = self.view.borrow_mut();
        if let Some(view) = &*view
            && view.epoch == self.state.epoch()
            && Arc::ptr_eq(&view.addresses, addresses)
        {
            return Rc::clone(view);
        }
        let (epoch, members) = self.state.members(addresses);
        let new = Rc::new(View { addresses: Arc::clone(addresses), epoch, members });
        *view = Some(Rc::clone(&new));
        new
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.cluster.policy.http2 == Some(true)
    }

    /// A connection to `address` that is open already.
    pub(super) fn checkout(&self, address: SocketAddr, over: Over) -> Option<Connection> {
        let now = self.timers.coarse();
        match over {
            Over::Usual if !self.speaks_http2() => {
                self.pool.checkout(address, &self.lifetimes, now)
            }
            Over::Usual => self.pool.checkout_stream(address, &self.lifetimes, now, false),
            Over::Stream => self.pool.checkout_stream(address, &self.lifetimes, now, true),
            Over::Http1 => None,
        }
    }

    /// How an upgrade gets to `address`; `as_stream` says that HTTP/2 has words for it.
    pub(super) fn over(&self, address: SocketAddr, as_stream: bool) -> Result<Over, Failure> {
        if !self.speaks_http2() {
            return Ok(Over::Usual);
        }
        if as_stream && self.pool.takes_extended(address) != Some(false) {
            return Ok(Over::Stream);
        }
        // In cleartext HTTP/2 is spoken without asking: nothing else is understood.
        if self.state.client_http1.is_some() {
            return Ok(Over::Http1);
        }
        if !self.told.replace(true) {
            let cluster = &self.cluster.name;
            tracing::warn!(%cluster, "upgrades fail: the upstream has no extended CONNECT");
        }
        Err(Failure::NoTunnel)
    }
}

fn build_host(upstream: &Upstream) -> HeaderValue {
    let text = match upstream {
        Upstream::Address(address) => address.ip().to_string(),
        Upstream::Name { host, .. } => host.to_string(),
        Upstream::Service(reference) => {
            format!("{}.{}", reference.service.name, reference.service.namespace)
        }
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}
