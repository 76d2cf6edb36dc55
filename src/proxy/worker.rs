//! One worker: a thread with its own accept queue, connections, pools and counters.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::access_log::WorkerLog;
use super::connections::Connections;
use super::drain::drain;
use super::error::Failure;
use super::exchange::Exchange;
use super::listen::PortCommand;
use super::options::{ProxyOptions, ReadyCheck};
use super::overload::{Level, hurried, shed};
use super::policy::{Policies, Served};
use super::port::{Port, Ports};
use super::timer::{TICK, Timers};
use super::tls::TlsConfigs;
use super::upstream::dns::Dns;
use super::upstream::state::Registry;
use super::upstream::target::{Upstreams, UpstreamsParts};
use crate::model::service::Endpoints;
use crate::publish::Reader;
use crate::routing::RouteTable;
use crate::telemetry::metrics::WorkerStats;

/// Ticks between two looks at the idle connections.
const TICKS_A_SWEEP: u32 = 12;

/// Ticks between two looks at who could give way, where there is pressure.
const TICKS_A_SHEDDING: u32 = 5;

/// What all parts of a worker share. Never leaves its thread.
pub(crate) struct Worker {
    /// What the proxy was started with.
    pub(crate) options: Arc<ProxyOptions>,
    /// The published routes.
    pub(crate) tables: RefCell<Reader<RouteTable>>,
    /// The published endpoints.
    pub(crate) endpoints: RefCell<Reader<Endpoints>>,
    /// Whether the gateway is ready, for its probe.
    pub(crate) ready: ReadyCheck,
    /// The clock and the deadlines.
    pub(crate) timers: Rc<Timers>,
    /// The clients' connections.
    pub(crate) connections: Connections,
    /// Its ports, those that are closing among them.
    pub(crate) ports: RefCell<Vec<Weak<Port>>>,
    /// The clusters and their connections.
    pub(crate) upstreams: Upstreams,
    /// Copies of requests that are under way.
    pub(crate) copies: Cell<u32>,
    /// TLS towards clients, all workers'.
    pub(crate) tls: Arc<TlsConfigs>,
    /// The counters.
    pub(crate) stats: Arc<WorkerStats>,
    /// The access log.
    pub(crate) log: WorkerLog,
    policies: Policies,
    /// Its part of the requests that may be upstream.
    most_requests: usize,
    /// Answers wait for memory.
    paused: Cell<bool>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// What a worker is made from; crosses to its thread.
pub(crate) struct WorkerParts {
    /// What the proxy was started with.
    pub(crate) options: Arc<ProxyOptions>,
    /// The published routes.
    pub(crate) tables: Reader<RouteTable>,
    /// The published endpoints.
    pub(crate) endpoints: Reader<Endpoints>,
    /// Whether the gateway is ready.
    pub(crate) ready: ReadyCheck,
    /// The resolver.
    pub(crate) dns: Dns,
    /// TLS towards clients.
    pub(crate) tls: Arc<TlsConfigs>,
    /// What workers share of clusters.
    pub(crate) registry: Arc<Registry>,
    /// The counters.
    pub(crate) stats: Arc<WorkerStats>,
    /// The access log.
    pub(crate) log: WorkerLog,
}

/// How far a worker's life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It accepts connections.
    Serving,
    /// It ends those that it has, until the deadline.
    Draining {
        /// When it ends in any case.
        deadline: Instant,
    },
}

impl Worker {
    fn new(parts: WorkerParts) -> Self {
        let timers = Rc::new(Timers::new());
        let policies = Policies::new(&parts.options);
        let most_requests = parts.options.limits.requests / parts.options.workers.max(1);
        Self {
            upstreams: Upstreams::new(UpstreamsParts {
                dns: parts.dns,
                registry: parts.registry,
                stats: Arc::clone(&parts.stats),
                timers: Rc::clone(&timers),
                idle: parts.options.limits.upstream_idle_timeout,
                buffer: parts.options.limits.buffer,
            }),
            options: parts.options,
            tables: RefCell::new(parts.tables),
            endpoints: RefCell::new(parts.endpoints),
            ready: parts.ready,
            timers,
            connections: Connections::default(),
            copies: Cell::new(0),
            ports: RefCell::default(),
            tls: parts.tls,
            stats: parts.stats,
            log: parts.log,
            policies,
            most_requests: most_requests.max(1),
            paused: Cell::new(false),
        }
    }

    /// The policy that requests and connections which begin now are served by.
    pub(crate) fn policy(&self) -> Rc<Served> {
        let mut tables = self.tables.borrow_mut();
        self.policies.get(&tables.get().config().http, &self.options)
    }

    /// Why no further request may go upstream, where none may.
    pub(crate) fn overloaded(&self) -> Option<Failure> {
        if self.options.overload.level() >= Level::Refusing {
            return Some(Failure::Overloaded);
        }
        (self.timers.len() >= self.most_requests).then_some(Failure::TooManyRequests)
    }

    /// Whether there is no memory to read more of an answer now. Who asks is woken when there is.
    pub(crate) fn pauses(&self) -> bool {
        let pauses = self.options.overload.level() == Level::Cutting;
        if pauses {
            self.paused.set(true);
        }
        pauses
    }

    /// Counts a request that its upstream took too long for.
    pub(crate) fn count_timeout(&self, exchange: &Exchange, failure: Failure) {
        if failure == Failure::Timeout
            && let Some(target) = &*exchange.target.borrow()
        {
            target.stats.timed_out();
        }
    }

    /// Lets each port keep what the newest table says of it.
    fn remember_ports(&self) {
        self.ports.borrow_mut().retain(|port| {
            let port = port.upgrade();
            port.inspect(|port| port.remember(self)).is_some()
        });
    }

    /// Looks after deadlines and idle connections.
    async fn tend(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limits = &self.options.limits;
        let hurried = hurried(limits);
        let mut count = 0_u32;
        loop {
            ticks.tick().await;
            self.timers.tick();
            self.remember_ports();
            self.upstreams.relieve();
            count = count.wrapping_add(1);
            let level = self.options.overload.level();
            self.connections.tick(level);
            if level < Level::Cutting && self.paused.replace(false) {
                self.timers.wake_all();
            }
            if level > Level::Calm && count.is_multiple_of(TICKS_A_SHEDDING) {
                shed(self, level);
            }
            if count.is_multiple_of(TICKS_A_SWEEP) {
                let limits = if level > Level::Calm { &hurried } else { limits };
                let now = self.timers.coarse();
                let idle = self.policy().http.idle_timeout.duration();
                self.connections.sweep(now, limits, idle);
                self.connections.tire(now, limits.rest_after);
                self.upstreams.sweep(now);
            }
        }
    }
}

/// A worker's life from its first connection to its last.
pub(crate) async fn run(
    parts: WorkerParts,
    mut commands: UnboundedReceiver<PortCommand>,
    mut life: watch::Receiver<Life>,
) -> io::Result<()> {
    let worker = Rc::new(Worker::new(parts));
    let mut ports = Ports::new(&worker);
    let tender = {
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move { worker.tend().await })
    };
    let deadline = loop {
        tokio::select! {
            // What has been opened has to be closed as well.
            biased;
            Some(command) = commands.recv() => ports.apply(command),
            changed = life.changed() => {
                let now = *life.borrow_and_update();
                match now {
                    // Nobody is left who could ask for a drain.
                    Life::Serving if changed.is_err() => break Instant::now(),
                    Life::Serving => {}
                    Life::Draining { deadline } => break deadline,
                }
            }
        }
    };
    drain(&worker, ports, deadline).await;
    tender.abort();
    Ok(())
}
