//! A worker's view of one cluster: its addresses, its turn, its idle connections.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use http::HeaderValue;
use hyper::client::conn::http1::SendRequest;

use super::dns::Dns;
use super::names::Source;
use crate::model::cluster::{Cluster, Upstream};
use crate::proxy::body::RequestBody;
use crate::proxy::timer::Timers;
use crate::telemetry::metrics::{ClusterStats, WorkerStats};

/// How long a cluster that nothing uses any more is remembered, in milliseconds.
const FORGET_AFTER: u64 = 10 * 60 * 1000;

/// A worker's clusters.
#[derive(Debug)]
pub(crate) struct Upstreams {
    targets: RefCell<HashMap<Arc<Cluster>, Rc<Target>>>,
    dns: Dns,
    stats: Arc<WorkerStats>,
    timers: Rc<Timers>,
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
    timers: Rc<Timers>,
    turn: Cell<usize>,
    used: Cell<u64>,
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
}

/// A connection to an upstream.
pub(crate) struct Connection {
    /// Its sending half; the rest runs on a task of its own.
    pub(crate) sender: SendRequest<RequestBody>,
    /// The upstream's address.
    pub(crate) address: SocketAddr,
    /// Our address towards it.
    pub(crate) local: SocketAddr,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u64,
}

/// A connection in use. Given back when its response has ended; dropped, it closes.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The connection.
    pub(crate) connection: Connection,
    /// Whose it is.
    pub(crate) target: Rc<Target>,
}

impl Lease {
    /// The response has ended. `clean` says that the request has, too.
    pub(crate) fn give_back(self, clean: bool) {
        let Self { connection, target } = self;
        if !clean || connection.sender.is_closed() {
            return;
        }
        let since = target.timers.coarse();
        let mut idle = target.idle.borrow_mut();
        idle.entry(connection.address).or_default().push(Idle { connection, since });
    }
}

impl Upstreams {
    /// None yet.
    pub(crate) fn new(dns: Dns, stats: Arc<WorkerStats>, timers: Rc<Timers>) -> Self {
        Self { targets: RefCell::default(), dns, stats, timers }
    }

    /// The worker's view of a cluster.
    pub(crate) fn target(&self, cluster: &Arc<Cluster>) -> Rc<Target> {
        let mut targets = self.targets.borrow_mut();
        if let Some(target) = targets.get(cluster) {
            target.used.set(self.timers.coarse());
            return Rc::clone(target);
        }
        let target = Rc::new(Target {
            stats: self.stats.cluster(&cluster.name.0),
            host: build_host(&cluster.upstream),
            source: self.dns.source(&cluster.upstream),
            timers: Rc::clone(&self.timers),
            turn: Cell::new(fastrand::usize(..1 << 16)),
            used: Cell::new(self.timers.coarse()),
            idle: RefCell::default(),
            cluster: Arc::clone(cluster),
        });
        targets.insert(Arc::clone(cluster), Rc::clone(&target));
        target
    }

    /// Closes connections that were idle for `limit`, forgets clusters that nothing uses.
    pub(crate) fn sweep(&self, now: u64, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mut targets = self.targets.borrow_mut();
        let before = targets.len();
        targets.retain(|_, target| {
            target.idle.borrow_mut().retain(|_, idle| {
                idle.retain(|one| {
                    !one.connection.sender.is_closed() && now.saturating_sub(one.since) < limit
                });
                !idle.is_empty()
            });
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

    /// An idle connection to `address` that is ready, the last used first.
    pub(crate) fn checkout(&self, address: SocketAddr) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&address)?;
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            if list[at].connection.sender.is_closed() {
                list.swap_remove(at);
            } else if list[at].connection.sender.is_ready() {
                return Some(list.swap_remove(at).connection);
            }
        }
        None
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
