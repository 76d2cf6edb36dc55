//! The data plane's counters: one writer each, merged when they are asked for.
//!
//! Each worker counts for itself, without a locked instruction or a shared cache line. Names are
//! Envoy's, so that dashboards made for Emissary go on working.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::levels::Levels;
use super::listeners::{ListenerStats, TcpStats};
use crate::model::service::Endpoints;
use crate::publish::Reader;
use crate::routing::RouteTable;

/// Upper bounds of the histograms in milliseconds: Envoy's defaults.
pub(super) const BOUNDS_MS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Different statuses that are counted one by one for a cluster; what comes after counts in its
/// class only.
const CODES: usize = 16;

/// A counter or gauge with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    // Load and store, not fetch_add: there is one writer, and a locked instruction costs as much
    // as several of these.
    pub(crate) fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    pub(super) buckets: [Count; BOUNDS_MS.len()],
    pub(super) sum_micros: Count,
    pub(super) count: Count,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let millis = took.as_secs_f64() * 1000.0;
        if let Some(at) = BOUNDS_MS.iter().position(|bound| millis <= *bound) {
            self.buckets[at].add(1);
        }
        self.sum_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.count.add(1);
    }
}

/// What is counted of clients' HTTP, for one `stat_prefix`.
#[derive(Debug, Default)]
pub(crate) struct DownstreamStats {
    pub(super) requests: Count,
    pub(super) active: Count,
    /// By class of status, 1xx to 5xx.
    pub(super) classes: [Count; 5],
    pub(super) time: Histogram,
    pub(super) connections: Count,
    pub(super) connections_active: Count,
    pub(super) overload_parted: Count,
    pub(super) overload_closed: Count,
    pub(super) overload_refused: Count,
    pub(super) overload_cut: Count,
}

impl DownstreamStats {
    /// An answer that ends its connection, for want of memory.
    pub(crate) fn parted_by_overload(&self) {
        self.overload_parted.add(1);
    }

    /// A connection without a request that has to end for others.
    pub(crate) fn closed_by_overload(&self) {
        self.overload_closed.add(1);
    }

    /// A request that was answered 503, for want of memory.
    pub(crate) fn refused_by_overload(&self) {
        self.overload_refused.add(1);
    }

    /// A client that was too slow for the memory it held: it didn't read, or hardly sent its body.
    pub(crate) fn cut_by_overload(&self) {
        self.overload_cut.add(1);
    }

    pub(crate) fn begin(&self) {
        self.requests.add(1);
        self.active.add(1);
    }

    pub(crate) fn finish(&self, status: u16, took: Duration) {
        self.active.subtract(1);
        count_class(&self.classes, status);
        self.time.observe(took);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.add(1);
        self.connections_active.add(1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections_active.subtract(1);
    }
}

/// What is counted of one cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterStats {
    pub(super) requests: Count,
    pub(super) completed: Count,
    pub(super) classes: [Count; 5],
    pub(super) codes: [(AtomicU16, Count); CODES],
    pub(super) time: Histogram,
    pub(super) timeouts: Count,
    pub(super) retries: Count,
    pub(super) connections: Count,
    pub(super) connections_active: Count,
    pub(super) connect_failures: Count,
    pub(super) connection_overflows: Count,
    pub(super) pending_overflows: Count,
    pub(super) retry_successes: Count,
    pub(super) retry_overflows: Count,
    pub(super) retry_limits: Count,
    pub(super) try_timeouts: Count,
}

impl ClusterStats {
    pub(crate) fn begin(&self) {
        self.requests.add(1);
    }

    pub(crate) fn finish(&self, status: u16, took: Duration) {
        self.completed.add(1);
        count_class(&self.classes, status);
        for (code, count) in &self.codes {
            let seen = code.load(Ordering::Relaxed);
            if seen == 0 {
                code.store(status, Ordering::Relaxed);
            }
            if seen == 0 || seen == status {
                count.add(1);
                break;
            }
        }
        self.time.observe(took);
    }

    pub(crate) fn timed_out(&self) {
        self.timeouts.add(1);
    }

    pub(crate) fn retried(&self) {
        self.retries.add(1);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.add(1);
        self.connections_active.add(1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections_active.subtract(1);
    }

    pub(crate) fn connect_failed(&self) {
        self.connect_failures.add(1);
    }

    /// A connection was wanted, and the limit reached.
    pub(crate) fn connection_overflowed(&self) {
        self.connection_overflows.add(1);
    }

    /// A request was refused by a limit.
    pub(crate) fn pending_overflowed(&self) {
        self.pending_overflows.add(1);
    }

    pub(crate) fn retry_succeeded(&self) {
        self.retry_successes.add(1);
    }

    /// A retry was wanted, and there were too many.
    pub(crate) fn retry_overflowed(&self) {
        self.retry_overflows.add(1);
    }

    /// A request has used up its retries.
    pub(crate) fn retry_limit_exceeded(&self) {
        self.retry_limits.add(1);
    }

    pub(crate) fn try_timed_out(&self) {
        self.try_timeouts.add(1);
    }
}

fn count_class(classes: &[Count; 5], status: u16) {
    // 0 is a request whose client went away before there was a status.
    if let Some(class) = (status / 100).checked_sub(1)
        && let Some(count) = classes.get(usize::from(class))
    {
        count.add(1);
    }
}

/// All that one worker counts.
#[derive(Debug, Default)]
pub(crate) struct WorkerStats {
    /// How many clusters are counted one by one.
    most: usize,
    /// The others.
    rest: Arc<ClusterStats>,
    downstream: Named<DownstreamStats>,
    pub(super) clusters: Mutex<HashMap<Arc<str>, Arc<ClusterStats>>>,
    listeners: Named<ListenerStats>,
    tcp: Named<TcpStats>,
}

type Named<T> = Mutex<HashMap<Arc<str>, Arc<T>>>;

impl WorkerStats {
    /// Nothing yet. Up to `most` clusters are counted one by one.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// How many clusters are counted one by one.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What is counted of those that are too many.
    pub(super) fn rest(&self) -> Arc<ClusterStats> {
        Arc::clone(&self.rest)
    }

    /// The counters of a cluster; asked for once, when the worker first uses it. Where there are
    /// too many clusters, those of all that come later.
    pub(crate) fn cluster(&self, name: &Arc<str>) -> Arc<ClusterStats> {
        let mut clusters = self.clusters.lock();
        if clusters.len() >= self.most && !clusters.contains_key(name) {
            return Arc::clone(&self.rest);
        }
        Arc::clone(clusters.entry(Arc::clone(name)).or_default())
    }

    /// The counters of clients' HTTP, by their listener's `stat_prefix`; asked for once a port.
    pub(crate) fn downstream(&self, prefix: &Arc<str>) -> Arc<DownstreamStats> {
        Arc::clone(self.downstream.lock().entry(Arc::clone(prefix)).or_default())
    }

    /// The counters of a port, by its address in Envoy's form (`0.0.0.0_8443`); asked for once.
    pub(crate) fn listener(&self, address: &Arc<str>) -> Arc<ListenerStats> {
        Arc::clone(self.listeners.lock().entry(Arc::clone(address)).or_default())
    }

    /// The counters of connections that are passed on, by their listener's `stat_prefix`.
    pub(crate) fn tcp(&self, prefix: &Arc<str>) -> Arc<TcpStats> {
        Arc::clone(self.tcp.lock().entry(Arc::clone(prefix)).or_default())
    }

    /// Forgets the counters of ports that nobody listens on any more.
    pub(crate) fn forget_ports(&self) {
        self.listeners.lock().retain(|_, stats| Arc::strong_count(stats) > 1);
        self.downstream.lock().retain(|_, stats| Arc::strong_count(stats) > 1);
    }

    pub(super) fn downstream_prefixes(&self) -> Vec<(Arc<str>, Arc<DownstreamStats>)> {
        clone_entries(&self.downstream)
    }

    pub(super) fn listeners(&self) -> Vec<(Arc<str>, Arc<ListenerStats>)> {
        clone_entries(&self.listeners)
    }

    pub(super) fn tcp_prefixes(&self) -> Vec<(Arc<str>, Arc<TcpStats>)> {
        clone_entries(&self.tcp)
    }

    /// Forgets the counters that nobody counts on any more. Clusters may share a name, so the
    /// last of them decides.
    pub(crate) fn forget_unused(&self) {
        self.clusters.lock().retain(|_, stats| Arc::strong_count(stats) > 1);
    }
}

fn clone_entries<T>(named: &Named<T>) -> Vec<(Arc<str>, Arc<T>)> {
    named.lock().iter().map(|(name, stats)| (Arc::clone(name), Arc::clone(stats))).collect()
}

/// A handle to the data plane's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(super) workers: Arc<[Arc<WorkerStats>]>,
    pub(super) levels: Arc<Levels>,
    published: Arc<Mutex<(Reader<RouteTable>, Reader<Endpoints>)>>,
    pub(super) log_drops: Arc<AtomicU64>,
    pub(super) started: Instant,
}

impl Metrics {
    pub(crate) fn new(
        workers: Vec<Arc<WorkerStats>>,
        levels: Arc<Levels>,
        published: (Reader<RouteTable>, Reader<Endpoints>),
        log_drops: Arc<AtomicU64>,
    ) -> Self {
        let published = Arc::new(Mutex::new(published));
        Self { workers: workers.into(), levels, published, log_drops, started: Instant::now() }
    }

    /// What is published now. Older values are let go of.
    pub(super) fn newest(&self) -> (Arc<RouteTable>, Arc<Endpoints>) {
        let mut published = self.published.lock();
        let (tables, endpoints) = &mut *published;
        (Arc::clone(tables.get()), Arc::clone(endpoints.get()))
    }

    /// All metrics in Prometheus' text format (version 0.0.4).
    pub fn render(&self) -> String {
        super::render::render(self)
    }
}
