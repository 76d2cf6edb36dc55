//! The loop that turns events into what is served: store → build → compile → publish.
//!
//! The first event after quiet is built at once; what arrives during a build is taken together by
//! the next. In a flood the next one waits as long as the last took, so that builds have half of a
//! core at the most, and take the more together the dearer they are.
//!
//! A build that wants Secrets that nobody has read yet is held back until they have been, so that no
//! Host is ever served without its certificate only because reading takes a moment. See [`patience`].

mod patience;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use crate::model::Build;
use crate::model::report::Report;
use crate::model::secret::{LastGood, SecretState};
use crate::model::service::Endpoints;
use crate::model::sorted::Sorted;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;
use crate::publish::Publisher;
use crate::routing::RouteTable;
use crate::source::store::{Changes, Store};
use crate::source::versions::Versions;
use crate::source::{Event, settle};
use patience::Patience;

/// The most events that one build takes in: a bound on how long a flood can hold it back.
const BATCH: usize = 4096;
/// A build that took less is followed by the next at once: timers are no finer, and a thousand of
/// them a second do no harm.
const REST_FROM: Duration = Duration::from_millis(1);
/// The longest rest: what arrives is served within that time and two builds.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// An event with the moment of its arrival, from which a change's way to the proxy is measured.
#[derive(Debug)]
pub struct Arrival {
    /// What the source said.
    pub event: Event,
    /// When it said so.
    pub at: Instant,
}

impl From<Event> for Arrival {
    fn from(event: Event) -> Self {
        Self { event, at: Instant::now() }
    }
}

/// Where the results go.
#[derive(Debug)]
pub struct Outputs {
    /// To the proxy: which route answers.
    pub tables: Publisher<RouteTable>,
    /// To the proxy: the addresses of Services.
    pub endpoints: Publisher<Endpoints>,
    /// To everyone who tells people: the last build, after it has been published.
    pub built: watch::Sender<Arc<Built>>,
    /// To the replica that writes status: how far what is served here has come.
    pub served: watch::Sender<Versions>,
    /// To who reads Secrets and files: which are wanted.
    pub wanted: watch::Sender<Wanted>,
}

/// The Secrets and files that a build wants.
pub type Wanted = Arc<BTreeSet<PemSource>>;

/// A build that is being served.
#[derive(Debug, Default)]
pub struct Built {
    /// How many tables have been published; 0 is none yet, so not ready.
    pub generation: u64,
    /// The configuration and the reports.
    pub build: Arc<Build>,
    /// The table that was published.
    pub table: Arc<RouteTable>,
    /// The endpoints that were published.
    pub endpoints: Arc<Endpoints>,
    /// The Secrets that were wanted, as they were read.
    pub secrets: Arc<BTreeMap<SecretKey, SecretState>>,
    /// The same of files.
    pub pem_files: Arc<BTreeMap<PemSource, SecretState>>,
    /// What could be used last of each Secret and file that is wanted.
    pub last_good: Arc<BTreeMap<PemSource, LastGood>>,
    /// What another replica must have taken in to serve the same.
    pub needed: Arc<Versions>,
    /// What it cost.
    pub timing: Timing,
}

impl Built {
    /// The reports, in key order.
    pub fn reports(&self) -> &Sorted<Arc<Report>> {
        &self.build.reports
    }
}

/// What the last rebuild cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Merging the objects.
    pub build: Duration,
    /// Compiling the table; zero where the configuration came out equal.
    pub compile: Duration,
    /// From the arrival of the oldest event taken in to the swap.
    pub change: Duration,
    /// Events taken in.
    pub events: usize,
}

/// Runs until the sources end. Publishes nothing before every collection has been listed, nor,
/// for a while, before the Secrets that are wanted have been read.
pub async fn run(mut events: mpsc::Receiver<Arrival>, mut store: Store, outputs: Outputs) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut last = Built::default();
    let mut patience = Patience::default();
    let (mut held, mut zone, mut resume) = (Held::default(), None, Instant::now());
    while receive(&mut events, &mut batch, patience.ends(), resume).await {
        held.take(&batch);
        batch.drain(..).for_each(|Arrival { event, .. }| store.apply(event));
        if !store.is_synced() {
            continue;
        }
        tell_zone(&store, &mut zone);
        let changes = held.changes.and(store.take_changes());
        if changes != Changes::default() {
            let Some(next) = rebuild(&mut store, changes, &last, &outputs, &mut patience) else {
                // What is held back isn't served: nothing is told of it.
                held.changes = changes;
                continue;
            };
            resume = Instant::now() + rest(next.timing.build + next.timing.compile);
            let Held { oldest, events, .. } = std::mem::take(&mut held);
            let change = oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
            last = next;
            last.timing = Timing { change, events, ..last.timing };
            outputs.built.send_replace(Arc::new(last.share()));
        }
        held = Held::default();
        // After it is served, and also where nothing of it has changed.
        let served = store.complete();
        outputs.served.send_if_modified(|known| std::mem::replace(known, served.clone()) != served);
    }
}

/// Events that came, and changes that wait for Secrets to be read.
#[derive(Debug, Default)]
struct Held {
    oldest: Option<Instant>,
    events: usize,
    changes: Changes,
}

impl Held {
    fn take(&mut self, batch: &[Arrival]) {
        let oldest = batch.iter().map(|arrival| arrival.at).min();
        self.oldest = [self.oldest, oldest].into_iter().flatten().min();
        self.events += batch.len();
    }
}

/// Says once in which zone the gateway is, for who wonders where requests go.
fn tell_zone(store: &Store, told: &mut Option<Arc<str>>) {
    if let Some(zone) = store.zone()
        && told.as_ref() != Some(zone)
    {
        tracing::info!(%zone, "endpoints that Kubernetes means for this zone are preferred");
        *told = Some(Arc::clone(zone));
    }
}

/// How long no build begins after one of that cost.
fn rest(cost: Duration) -> Duration {
    if cost < REST_FROM { Duration::ZERO } else { cost.min(LONGEST_REST) }
}

/// Waits for events, at the longest until then, but takes none before `from`; `false` when there
/// will be none any more.
async fn receive(
    events: &mut mpsc::Receiver<Arrival>,
    batch: &mut Vec<Arrival>,
    until: Option<Instant>,
    from: Instant,
) -> bool {
    if from > Instant::now() {
        sleep_until(from).await;
    }
    let received = events.recv_many(batch, BATCH);
    match until {
        None => received.await > 0,
        Some(until) => timeout_at(until, received).await.map_or(true, |count| count > 0),
    }
}

/// One build, compiled and published as far as it changed anything; `None` where it waits for
/// Secrets.
fn rebuild(
    store: &mut Store,
    changes: Changes,
    last: &Built,
    outputs: &Outputs,
    patience: &mut Patience,
) -> Option<Built> {
    let mut next = last.share();
    next.timing = Timing::default();
    next.needed = Arc::new(store.needed());
    if changes.endpoints {
        // Before the table: a route must not come to life before its endpoints are known.
        next.endpoints = Arc::clone(store.endpoints());
        outputs.endpoints.publish(Arc::clone(&next.endpoints));
    }
    if changes.snapshot {
        let start = Instant::now();
        next.build = Arc::new(settle::build(store, &last.build));
        next.timing.build = start.elapsed();
        next.secrets = Arc::clone(&store.snapshot().secrets);
        next.pem_files = Arc::clone(&store.snapshot().pem_files);
        next.last_good = Arc::clone(&store.snapshot().last_good);
        outputs.want(&next.build);
        if patience.waits(store, &next.build.wanted, last.generation == 0) {
            return None;
        }
    }
    if last.generation == 0 || !Arc::ptr_eq(&next.build.config, &last.build.config) {
        let start = Instant::now();
        next.table = Arc::new(RouteTable::compile(&next.build.config, &last.table));
        next.timing.compile = start.elapsed();
        next.generation = outputs.tables.publish(Arc::clone(&next.table));
        tracing::debug!(
            generation = next.generation,
            groups = next.build.config.groups.len(),
            build_us = next.timing.build.as_micros(),
            compile_us = next.timing.compile.as_micros(),
            "configuration published"
        );
    }
    Some(next)
}

impl Outputs {
    /// Tells what is to be read for the next build.
    fn want(&self, build: &Build) {
        self.wanted.send_if_modified(|known| {
            let is_new = !Arc::ptr_eq(known, &build.wanted) && *known != build.wanted;
            if is_new {
                *known = Arc::clone(&build.wanted);
            }
            is_new
        });
    }
}

impl Built {
    /// A copy that shares all parts.
    fn share(&self) -> Self {
        Self {
            generation: self.generation,
            build: Arc::clone(&self.build),
            table: Arc::clone(&self.table),
            endpoints: Arc::clone(&self.endpoints),
            secrets: Arc::clone(&self.secrets),
            pem_files: Arc::clone(&self.pem_files),
            last_good: Arc::clone(&self.last_good),
            needed: Arc::clone(&self.needed),
            timing: self.timing,
        }
    }
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
