//! What the pure core costs: one build, one compile, one lookup.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::{Bencher, black_box};
use http::{HeaderMap, Method};
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::object::{Content, Object};

use nuncio::model::route::{
    Action, Forward, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite, Route,
    RouteMatch,
};
use nuncio::model::snapshot::Snapshot;
use nuncio::model::written::UpstreamSpec;
use nuncio::model::{Build, build};
use nuncio::routing::{RequestHead, RouteTable};

const SIZES: [usize; 3] = [1, 1_000, 10_000];

fn main() {
    divan::main();
}

fn object(n: usize, prefix: &str) -> Arc<Object> {
    let cluster = UpstreamSpec::plain(&format!("web-{n}.team"), 80, "default");
    let route = Route {
        matches: Arc::new(RouteMatch {
            host: Some(HostMatch::Any),
            path: PathMatch { kind: PathMatchKind::Prefix(prefix.into()), case_sensitive: true },
            method: None,
            headers: vec![],
            query: vec![],
        }),
        precedence: 0,
        weight: None,
        action: Action::Forward(Forward {
            cluster,
            path: PathRewrite::Matched("/".into()),
            host: HostRewrite::Keep,
        }),
        request_headers: Arc::default(),
        response_headers: Arc::default(),
        policy: Arc::default(),
    };
    Arc::new(Object {
        key: Arc::new(ObjectKey {
            kind: Kind::Mapping,
            namespace: format!("team-{}", n % 50).into(),
            name: format!("mapping-{n}").into(),
            origin: Origin::Resource,
        }),
        uid: None,
        generation: Some(1),
        created: Some(n as i64),
        labels: Arc::default(),
        ambassador_id: ["default".to_owned()].into(),
        location: None,
        content: Content::Route(Arc::new(route)),
        problems: vec![],
        document: None,
    })
}

fn snapshot(size: usize) -> Snapshot {
    let objects: BTreeMap<_, _> = (0..size)
        .map(|n| object(n, &format!("/route-{n}/")))
        .map(|object| (object.key.clone(), object))
        .collect();
    Snapshot { objects, ..Snapshot::default() }
}

/// A build after one of the objects has changed, which is what every change costs.
#[divan::bench(args = SIZES)]
fn build_after_one_change(bencher: Bencher<'_, '_>, size: usize) {
    let mut snapshot = snapshot(size);
    let previous = build(&snapshot, &Build::default());
    let changed = object(size / 2, "/changed/");
    snapshot.objects.insert(changed.key.clone(), changed);
    bencher.bench_local(|| build(black_box(&snapshot), &previous));
}

#[divan::bench(args = SIZES)]
fn compile_from_nothing(bencher: Bencher<'_, '_>, size: usize) {
    let config = build(&snapshot(size), &Build::default()).config;
    bencher.bench_local(|| RouteTable::compile(black_box(&config), &RouteTable::default()));
}

#[divan::bench(args = SIZES)]
fn compile_after_one_change(bencher: Bencher<'_, '_>, size: usize) {
    let mut snapshot = snapshot(size);
    let before = build(&snapshot, &Build::default());
    let previous = RouteTable::compile(&before.config, &RouteTable::default());
    let changed = object(size / 2, "/changed/");
    snapshot.objects.insert(changed.key.clone(), changed);
    let config = build(&snapshot, &before).config;
    bencher.bench_local(|| RouteTable::compile(black_box(&config), &previous));
}

#[divan::bench(args = SIZES)]
fn find(bencher: Bencher<'_, '_>, size: usize) {
    let config = build(&snapshot(size), &Build::default()).config;
    let table = RouteTable::compile(&config, &RouteTable::default());
    let path = format!("/route-{}/some/page", size / 2);
    let headers = HeaderMap::new();
    let head = RequestHead {
        host: "shop.example.com",
        path: &path,
        query: None,
        method: &Method::GET,
        headers: &headers,
        draw: 7,
    };
    bencher.bench_local(|| table.find_any(black_box(&head)).is_some());
}
