//! What all workers share of a cluster: its limits, and what is known of its endpoints.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::health::HealthChecker;
use super::members::{Endpoint, Members};
use super::tls::{Client, build_client, build_http1};
use crate::model::cluster::Cluster;
use crate::model::policy::{BalanceMethod, ClusterPolicy, OutlierDetection, Priority};
use crate::telemetry::levels::{ClusterLevels, Level, Levels, PriorityLevels};

/// Retries at once that nobody's limit forbids, however few requests there are. Envoy's
/// `min_retry_concurrency`, and its default for `max_retries`.
const MIN_RETRIES: u32 = 3;

/// And the share of the requests under way that may be retries, in percent (Envoy's
/// `budget_percent`).
const RETRY_BUDGET: u32 = 20;

/// All clusters that are in use.
#[derive(Debug)]
pub(crate) struct Registry {
    clusters: Mutex<HashMap<Arc<Cluster>, Weak<ClusterState>>>,
    levels: Arc<Levels>,
    health: HealthChecker,
    verify: bool,
    started: Instant,
    /// Requests of all clusters that wait for another's connection to end.
    pub(super) waiting: Arc<AtomicU32>,
}

impl Registry {
    /// None yet. `verify` says that upstreams' certificates are checked always.
    pub(crate) fn start(levels: Arc<Levels>, verify: bool) -> std::io::Result<Self> {
        Ok(Self {
            clusters: Mutex::default(),
            levels,
            health: HealthChecker::start()?,
            verify,
            started: Instant::now(),
            waiting: Arc::default(),
        })
    }

    /// The state of a cluster, made by the first who asks.
    pub(crate) fn state(&self, cluster: &Arc<Cluster>) -> Arc<ClusterState> {
        let mut clusters = self.clusters.lock();
        if let Some(state) = clusters.get(cluster).and_then(Weak::upgrade) {
            return state;
        }
        clusters.retain(|_, state| state.strong_count() > 0);
        let client = cluster.tls.as_ref().map(|_| build_client(cluster, self.verify));
        let state = Arc::new(ClusterState::new(cluster, client, self.started, &self.waiting));
        self.levels.add(cluster.metrics_name(), &state.levels);
        clusters.insert(Arc::clone(cluster), Arc::downgrade(&state));
        self.health.follow(&state);
        state
    }
}

/// What all workers share of one cluster.
#[derive(Debug)]
pub(crate) struct ClusterState {
    /// The cluster.
    pub(super) cluster: Arc<Cluster>,
    /// How TLS is begun.
    pub(super) client: Option<Client>,
    /// The same for a connection that is to speak HTTP/1.1, where the cluster speaks HTTP/2.
    pub(super) client_http1: Option<Client>,
    /// How much is under way.
    pub(super) levels: Arc<ClusterLevels>,
    /// Requests that wait for another's connection to end.
    pub(super) waiting: AtomicU32,
    waiting_anywhere: Arc<AtomicU32>,
    // Beside the levels, because one can wait for it.
    connections: [Arc<Semaphore>; 2],
    retries_written: [bool; 2],
    epoch: AtomicU64,
    known: Mutex<Known>,
    next_look: AtomicU64,
    started: Instant,
}

#[derive(Debug, Default)]
struct Known {
    endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
    members: Option<(u64, Arc<Members>)>,
}

/// The right to have a connection open.
#[derive(Debug)]
pub(crate) struct Permit {
    state: Arc<ClusterState>,
    priority: Priority,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.of(self.priority).connections.leave();
    }
}

/// Something that is counted for as long as it is held.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Level);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// One that waits for another's connection to end.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a ClusterState);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.waiting_anywhere.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ClusterState {
    fn new(
        cluster: &Arc<Cluster>,
        client: Option<Client>,
        started: Instant,
        waiting_anywhere: &Arc<AtomicU32>,
    ) -> Self {
        let policy = &cluster.policy;
        let priorities = [Priority::Default, Priority::High];
        Self {
            cluster: Arc::clone(cluster),
            client_http1: client.as_ref().and_then(|client| build_http1(client, cluster)),
            client,
            levels: Arc::new(ClusterLevels::new(priorities.map(|one| build_levels(policy, one)))),
            waiting: AtomicU32::new(0),
            waiting_anywhere: Arc::clone(waiting_anywhere),
            connections: priorities.map(|one| Arc::new(Semaphore::new(connections(policy, one)))),
            retries_written: priorities.map(|one| policy.circuit_breaker(one).1),
            epoch: AtomicU64::new(0),
            known: Mutex::default(),
            next_look: AtomicU64::new(0),
            started,
        }
    }

    /// The levels of a priority.
    pub(super) fn of(&self, priority: Priority) -> &PriorityLevels {
        &self.levels.priorities[index(priority)]
    }

    /// Counts up with each change of an endpoint's health.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The right to open a connection, if there is one left.
    pub(super) fn try_permit(self: &Arc<Self>, priority: Priority) -> Option<Permit> {
        let connections = &self.connections[index(priority)];
        let permit = Arc::clone(connections).try_acquire_owned().ok()?;
        Some(self.permit(priority, permit))
    }

    /// The same, waiting for it.
    pub(super) async fn wait_permit(self: &Arc<Self>, priority: Priority) -> Option<Permit> {
        let connections = Arc::clone(&self.connections[index(priority)]);
        let permit = connections.acquire_owned().await.ok()?;
        Some(self.permit(priority, permit))
    }

    fn permit(self: &Arc<Self>, priority: Priority, permit: OwnedSemaphorePermit) -> Permit {
        self.of(priority).connections.enter();
        Permit { state: Arc::clone(self), priority, _permit: permit }
    }

    /// A place among those who wait for a connection.
    pub(super) fn try_pending(&self, priority: Priority) -> Option<Held<'_>> {
        let level = &self.of(priority).pending;
        level.try_enter().then(|| Held(level))
    }

    /// Says that somebody waits for another's connection to end.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_anywhere.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// The right to one more retry. An author's `max_retries` decides; where there is none, a
    /// fifth of the requests under way may be retries, and three always.
    pub(super) fn try_retry(&self, priority: Priority) -> Option<Held<'_>> {
        let levels = self.of(priority);
        let limit = if self.retries_written[index(priority)] {
            levels.retries.limit()
        } else {
            MIN_RETRIES.max(levels.requests.get().saturating_mul(RETRY_BUDGET) / 100)
        };
        levels.retries.try_enter_below(limit).then(|| Held(&levels.retries))
    }

    /// The endpoints at these addresses, and of which epoch they are.
    pub(super) fn members(&self, addresses: &Arc<[SocketAddr]>) -> (u64, Arc<Members>) {
        let mut known = self.known.lock();
        let epoch = self.epoch();
        if let Some((of, members)) = &known.members
            && *of == epoch
            && (Arc::ptr_eq(&members.addresses, addresses) || members.addresses == *addresses)
        {
            return (epoch, Arc::clone(members));
        }
        known.endpoints.retain(|address, _| addresses.contains(address));
        let endpoints = addresses
            .iter()
            .map(|address| {
                let new = || Arc::new(Endpoint::new(*address));
                Arc::clone(known.endpoints.entry(*address).or_insert_with(new))
            })
            .collect();
        let members = Arc::new(Members::new(Arc::clone(addresses), endpoints, self.method()));
        known.members = Some((epoch, Arc::clone(&members)));
        self.show(&known);
        (epoch, members)
    }

    /// The endpoints that were last in use.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.known.lock().endpoints.values().cloned().collect()
    }

    /// Notes whether a health check finds an endpoint well.
    pub(super) fn set_health(&self, endpoint: &Endpoint, check: u32, well: bool) {
        let bit = 1_u32 << check.min(31);
        let before = match well {
            true => endpoint.ill.fetch_and(!bit, Ordering::Relaxed),
            false => endpoint.ill.fetch_or(bit, Ordering::Relaxed),
        };
        if (before & bit == 0) != well {
            self.changed(&self.known.lock());
        }
    }

    /// Takes note of an answer; `None` is none at all.
    pub(super) fn observe(&self, endpoint: &Endpoint, status: Option<u16>) {
        let Some(policy) = &self.cluster.policy.outlier_detection else { return };
        let status = status.unwrap_or(503);
        let count = |counter: &AtomicU32, failed: bool, limit: u32| {
            if !failed {
                counter.store(0, Ordering::Relaxed);
                return false;
            }
            counter.fetch_add(1, Ordering::Relaxed) + 1 >= limit && limit > 0
        };
        let errors = count(&endpoint.errors, status >= 500, policy.consecutive_5xx);
        let gateway = matches!(status, 502..=504);
        let limit = policy.consecutive_gateway_failure;
        let gateway = count(&endpoint.gateway_errors, gateway, limit);
        if (errors || gateway) && !endpoint.is_ejected() {
            self.eject(endpoint, policy);
        }
    }

    fn eject(&self, endpoint: &Endpoint, policy: &OutlierDetection) {
        let known = self.known.lock();
        let out = known.endpoints.values().filter(|one| one.is_ejected()).count();
        let allowed = known.endpoints.len() * usize::from(policy.max_ejection_percent) / 100;
        if endpoint.is_ejected() || (out > 0 && out + 1 > allowed) {
            return;
        }
        let times = endpoint.ejections.fetch_add(1, Ordering::Relaxed) + 1;
        let until = self.now().saturating_add(millis(build_pause(policy, times))).max(1);
        endpoint.ejected_until.store(until, Ordering::Relaxed);
        self.levels.ejections.fetch_add(1, Ordering::Relaxed);
        self.changed(&known);
        tracing::info!(
            cluster = %self.cluster.name, address = %endpoint.address, seconds = build_pause(policy, times).as_secs(),
            "an endpoint is left out for its answers"
        );
    }

    /// Takes those back whose time is over. Any worker may ask, as often as it likes.
    pub(super) fn look_at_ejected(&self) {
        let Some(policy) = &self.cluster.policy.outlier_detection else { return };
        let now = self.now();
        let due = self.next_look.load(Ordering::Relaxed) <= now;
        let known = self.known.lock();
        let mut changed = false;
        for endpoint in known.endpoints.values() {
            let until = endpoint.ejected_until.load(Ordering::Relaxed);
            if until == 0 && due && endpoint.ejections.load(Ordering::Relaxed) > 0 {
                // Good conduct is forgiven for, one ejection an interval.
                endpoint.ejections.fetch_sub(1, Ordering::Relaxed);
            } else if until != 0 && until <= now {
                // What was still under way when it was left out says nothing of it now.
                endpoint.errors.store(0, Ordering::Relaxed);
                endpoint.gateway_errors.store(0, Ordering::Relaxed);
                endpoint.ejected_until.store(0, Ordering::Relaxed);
                changed = true;
            }
        }
        if due {
            self.next_look.store(now.saturating_add(millis(policy.interval)), Ordering::Relaxed);
        }
        if changed {
            self.changed(&known);
        }
    }

    fn changed(&self, known: &Known) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.show(known);
    }

    fn show(&self, known: &Known) {
        let count = |which: fn(&Endpoint) -> bool| {
            let count = known.endpoints.values().filter(|one| which(one)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        self.levels.members.store(count(|_| true), Ordering::Relaxed);
        self.levels.healthy.store(count(Endpoint::is_usable), Ordering::Relaxed);
        self.levels.ejected.store(count(Endpoint::is_ejected), Ordering::Relaxed);
    }

    /// By which rule an endpoint is chosen.
    pub(super) fn method(&self) -> BalanceMethod {
        let balancer = self.cluster.policy.load_balancer.as_ref();
        balancer.map_or(BalanceMethod::RoundRobin, |balancer| balancer.method)
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn index(priority: Priority) -> usize {
    match priority {
        Priority::Default => 0,
        Priority::High => 1,
    }
}

/// How long an endpoint stays out for the `times`th time. Envoy: the base holds, even where it is
/// longer than what is to be the longest.
fn build_pause(policy: &OutlierDetection, times: u32) -> Duration {
    let longest = policy.max_ejection_time.max(policy.base_ejection_time);
    policy.base_ejection_time.saturating_mul(times).min(longest)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Without a single connection there would be no cluster; Envoy has one an endpoint, too.
fn connections(policy: &ClusterPolicy, priority: Priority) -> usize {
    policy.circuit_breaker(priority).0.max_connections.max(1) as usize
}

fn build_levels(policy: &ClusterPolicy, priority: Priority) -> PriorityLevels {
    let (breaker, _) = policy.circuit_breaker(priority);
    PriorityLevels {
        connections: Level::new(breaker.max_connections.max(1)),
        pending: Level::new(breaker.max_pending_requests),
        requests: Level::new(breaker.max_requests),
        retries: Level::new(breaker.max_retries),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
