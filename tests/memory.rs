//! What ten thousand Mappings hold in memory, by who holds it: bytes asked of the allocator, a
//! route; and what is left of many that have come and gone. The same in every run and on every
//! machine, so that growth can't go unnoticed; to see the table:
//! `cargo test --test memory -- --nocapture`.

#![allow(clippy::print_stdout, reason = "a table for people")]

use std::ops::Range;
use std::sync::Arc;

use nuncio::model::key::Kind;
use nuncio::model::object::Object;
use nuncio::model::{Build, build};
use nuncio::routing::RouteTable;
use nuncio::source::observed::ObservedStatuses;
use nuncio::source::parse::{ParseSettings, parse_resource};
use nuncio::source::store::Store;
use nuncio::source::{
    Collection, Event, ObservedCondition, ObservedStatus, Statement, StatementId,
};
use parking_lot::Mutex;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const ROUTES: usize = 10_000;

/// Changes between two builds.
const BATCH: usize = 500;

/// The profiler is one for all.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a route may hold in all, in bytes: what it does hold, and 5 % for small change. Raise it
/// with the reason in the commit.
const LIMIT: usize = 1_960;

#[test]
fn a_route_holds_no_more_than_it_did() {
    let _turn = ONE_AT_A_TIME.lock();
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut table = Table::default();
    let settings = ParseSettings::default();
    let objects: Vec<_> = (0..ROUTES)
        .map(|n| Arc::new(parse_resource(Kind::Mapping, &mapping(n), &settings)))
        .collect();
    table.row("objects as they are written");

    let mut store = Store::new(Default::default(), [Collection::Mappings]);
    let observed = ObservedStatuses::default();
    for object in &objects {
        store.apply(Event::Put(statement(object)));
    }
    store.apply(Event::Listed(Collection::Mappings));
    table.row("the store's books of them");
    for object in &objects {
        let status = observed.share(status(object.created));
        observed.put(object.key.clone(), status);
    }
    table.row("their statuses as they stand in the cluster");
    let built = build(store.snapshot(), &Build::default());
    table.row("the build: routes, groups, reports");
    let compiled = RouteTable::compile(&built.config, &RouteTable::default());
    table.row("the table");
    table.total();
    assert!(table.bytes <= LIMIT * ROUTES, "{} bytes a route", table.bytes / ROUTES);
    drop((built, compiled, store, observed, objects));
}

/// Ten thousand Mappings come, change and go beside a thousand that stay, each with a name, a
/// prefix, a service and a status that nobody had before.
#[test]
fn what_has_gone_leaves_nothing() {
    let _turn = ONE_AT_A_TIME.lock();
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut gateway = Gateway::new();
    gateway.put(0..1_000, 1);
    let mut held = Vec::new();
    for batch in 0..ROUTES / BATCH {
        let first = 1_000 + batch * BATCH;
        let names = first..first + BATCH;
        gateway.put(names.clone(), 1);
        gateway.put(names.clone(), 2);
        gateway.delete(names);
        held.push(dhat::HeapStats::get().curr_bytes);
    }
    // What tables keep of the dead moves up and down; a leak only goes up.
    let (first, last) = held.split_at(held.len() / 2);
    let least = |held: &[usize]| held.iter().copied().min().unwrap_or_default();
    println!("{} bytes at the least in the first half, {} in the last", least(first), least(last));
    assert!(least(last) <= least(first) + least(first) / 10, "{held:?}");
}

/// What follows objects and says which route answers, without IO.
struct Gateway {
    settings: ParseSettings,
    store: Store,
    observed: ObservedStatuses,
    built: Build,
    table: RouteTable,
}

impl Gateway {
    fn new() -> Self {
        let mut store = Store::new(Default::default(), [Collection::Mappings]);
        store.apply(Event::Listed(Collection::Mappings));
        Self {
            settings: ParseSettings::default(),
            store,
            observed: ObservedStatuses::default(),
            built: Build::default(),
            table: RouteTable::default(),
        }
    }

    fn put(&mut self, numbers: Range<usize>, generation: i64) {
        for n in numbers {
            let mut written = mapping(n);
            written["metadata"]["generation"] = generation.into();
            written["spec"]["rewrite"] = format!("/{n}/{generation}/").into();
            let object = Arc::new(parse_resource(Kind::Mapping, &written, &self.settings));
            let mut status = status(object.created);
            status.reason = Some(format!("{n}/{generation}"));
            self.observed.put(object.key.clone(), self.observed.share(status));
            self.store.apply(Event::Put(statement(&object)));
        }
        self.rebuild();
    }

    fn delete(&mut self, numbers: Range<usize>) {
        for n in numbers {
            let object = Arc::new(parse_resource(Kind::Mapping, &mapping(n), &self.settings));
            self.observed.remove(&object.key);
            self.store.apply(Event::Delete(statement(&object).id));
        }
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.built = build(self.store.snapshot(), &self.built);
        self.table = RouteTable::compile(&self.built.config, &self.table);
    }
}

fn mapping(n: usize) -> serde_json::Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": {
            "name": format!("route-{n:05}"),
            "namespace": format!("team-{:02}", n % 50),
            "uid": format!("0b3cfd56-3a43-4c0e-9d54-{n:012}"),
            "generation": 1,
            "creationTimestamp": "2026-11-23T08:00:00Z",
        },
        "spec": {
            "hostname": "*",
            "prefix": format!("/bench/{n:05}/"),
            "service": format!("web-{}.backends", n / 10),
        },
    })
}

fn statement(object: &Arc<Object>) -> Statement {
    Statement {
        id: StatementId {
            collection: Collection::Mappings,
            namespace: Arc::clone(&object.key.namespace),
            name: Arc::clone(&object.key.name),
        },
        objects: vec![Arc::clone(object)],
        services: vec![],
        endpoints: vec![],
        secrets: vec![],
    }
}

/// What the gateway itself has written there.
fn status(generation: Option<i64>) -> ObservedStatus {
    let condition = |kind: &str| ObservedCondition {
        kind: kind.to_owned(),
        status: "True".to_owned(),
        reason: kind.to_owned(),
        message: "Valid and part of the configuration".to_owned(),
        observed_generation: generation,
        last_transition_time: "2026-11-23T08:00:00Z".to_owned(),
    };
    ObservedStatus {
        state: Some("Running".to_owned()),
        reason: None,
        observed_generation: generation,
        conditions: ["Accepted", "ResolvedRefs", "Programmed", "Ready"].map(condition).into(),
    }
}

/// Prints what came since the last row.
#[derive(Default)]
struct Table {
    bytes: usize,
    blocks: usize,
}

impl Table {
    fn row(&mut self, what: &str) {
        let now = dhat::HeapStats::get();
        let (bytes, blocks) = (now.curr_bytes - self.bytes, now.curr_blocks - self.blocks);
        show(what, bytes, blocks);
        (self.bytes, self.blocks) = (now.curr_bytes, now.curr_blocks);
    }

    fn total(&self) {
        show("all", self.bytes, self.blocks);
    }
}

fn show(what: &str, bytes: usize, blocks: usize) {
    let each = |total: usize| total as f64 / ROUTES as f64;
    println!("{what:<48} {:>8.0} bytes {:>6.1} blocks", each(bytes), each(blocks));
}
