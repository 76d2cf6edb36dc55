//! The loop that turns events into what is served: store → build → compile → publish.
//!
//! There is no timer in it. The first event after quiet is built at once; what arrives during a
//! build is taken together by the next.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use crate::model::report::Report;
use crate::model::service::Endpoints;
use crate::model::{Build, build};
use crate::publish::Publisher;
use crate::routing::RouteTable;
use crate::source::Event;
use crate::source::store::{Changes, Store};
use crate::source::versions::Versions;

/// The most events that one build takes in: a bound on how long a flood can hold it back.
const BATCH: usize = 4096;

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
}

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
    /// What another replica must have taken in to serve the same.
    pub needed: Arc<Versions>,
    /// What it cost.
    pub timing: Timing,
}

impl Built {
    /// The reports, in key order.
    pub fn reports(&self) -> &[Arc<Report>] {
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

/// Runs until the sources end. Publishes nothing before every collection has been listed.
pub async fn run(mut events: mpsc::Receiver<Arrival>, mut store: Store, outputs: Outputs) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut last = Built::default();
    while events.recv_many(&mut batch, BATCH).await > 0 {
        let mut oldest = Instant::now();
        let count = batch.len();
        for Arrival { event, at } in batch.drain(..) {
            oldest = oldest.min(at);
            store.apply(event);
        }
        if !store.is_synced() {
            continue;
        }
        let changes = store.take_changes();
        if changes != Changes::default() {
            last = rebuild(&store, changes, &last, &outputs);
            last.timing = Timing { change: oldest.elapsed(), events: count, ..last.timing };
            outputs.built.send_replace(Arc::new(last.share()));
        }
        // After it is served, and also where nothing of it has changed.
        let served = store.complete();
        outputs.served.send_if_modified(|known| std::mem::replace(known, served.clone()) != served);
    }
}

/// One build, compiled and published as far as it changed anything.
fn rebuild(store: &Store, changes: Changes, last: &Built, outputs: &Outputs) -> Built {
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
        next.build = Arc::new(build(store.snapshot(), &last.build));
        next.timing.build = start.elapsed();
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
    next
}

impl Built {
    /// A copy that shares all parts.
    fn share(&self) -> Self {
        Self {
            generation: self.generation,
            build: Arc::clone(&self.build),
            table: Arc::clone(&self.table),
            endpoints: Arc::clone(&self.endpoints),
            needed: Arc::clone(&self.needed),
            timing: self.timing,
        }
    }
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
