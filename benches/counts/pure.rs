//! The pure core: parsing, building, compiling, finding.

use std::hint::black_box;
use std::sync::Arc;

use http::{HeaderMap, Method};
use nuncio::model::key::{Carrier, CarrierKind, Kind};
use nuncio::model::{Build, build};
use nuncio::routing::{RequestHead, RouteTable};
use nuncio::source::parse::{CarrierMeta, ParseSettings, parse_annotation, parse_resource};
use serde_json::json;

use crate::counted;
use crate::objects::{By, changed, config, mapping, snapshot, table};

/// Emissary's form of a Service with two Mappings in its annotation.
const ANNOTATION: &str = "---
apiVersion: getambassador.io/v2
kind: Mapping
name: shop
prefix: /shop/
service: shop.team:8080
timeout_ms: 4000
add_request_headers:
  x-shop: '1'
---
apiVersion: ambassador/v1
kind: Mapping
name: shop-admin
host: admin.example.com
prefix: /
service: shop-admin.team
";

/// A Mapping with what most have: parsed from the API server's JSON.
pub(crate) fn parse_mapping(repeats: u64) {
    let fields = json!({
        "timeout_ms": 4000,
        "rewrite": "/v1/",
        "retry_policy": {"retry_on": "5xx", "num_retries": 2},
        "add_request_headers": {"x-shop": {"value": "%REQ(x-user)%"}},
        "headers": {"x-version": "2"},
    });
    let (raw, settings) = (mapping(1, &fields), ParseSettings::default());
    let mut work = || {
        for _ in 0..repeats {
            black_box(parse_resource(Kind::Mapping, black_box(&raw), &settings));
        }
    };
    // What is compiled once is not counted.
    work();
    counted(&mut work);
}

/// An annotation of two Mappings.
pub(crate) fn parse_annotation_of_two(repeats: u64) {
    let carrier = CarrierMeta {
        carrier: Arc::new(Carrier {
            kind: CarrierKind::Service,
            namespace: "shop".into(),
            name: "web".into(),
            uid: "0b3cfd56-3a43-4c0e-9d54-000000000000".into(),
        }),
        generation: None,
        created: None,
        labels: Arc::default(),
    };
    let settings = ParseSettings::default();
    let mut work = || {
        for _ in 0..repeats {
            black_box(parse_annotation(black_box(ANNOTATION), &carrier, &settings));
        }
    };
    work();
    counted(&mut work);
}

/// A build of this many Mappings from nothing.
pub(crate) fn build_from_nothing(size: usize) {
    let snapshot = snapshot(size, By::Prefix);
    drop(build(&snapshot, &Build::default()));
    let mut built = None;
    counted(&mut || built = Some(build(black_box(&snapshot), &Build::default())));
    drop(built);
}

/// A build after one of the objects has changed, which is what every change costs.
pub(crate) fn build_one_change(size: usize) {
    let before = snapshot(size, By::Prefix);
    let previous = build(&before, &Build::default());
    let snapshot = changed(before);
    let mut built = None;
    counted(&mut || built = Some(build(black_box(&snapshot), &previous)));
    drop(built);
}

/// A table of this many routes, compiled from nothing.
pub(crate) fn compile_from_nothing(size: usize) {
    let config = config(size, By::Prefix);
    let mut table = None;
    counted(&mut || {
        table = Some(RouteTable::compile(black_box(&config), &RouteTable::default()));
    });
    drop(table);
}

/// The table after one of the objects has changed.
pub(crate) fn compile_one_change(size: usize) {
    let before = snapshot(size, By::Prefix);
    let built = build(&before, &Build::default());
    let previous = RouteTable::compile(&built.config, &RouteTable::default());
    let config = build(&changed(before), &built).config;
    let mut table = None;
    counted(&mut || table = Some(RouteTable::compile(black_box(&config), &previous)));
    drop(table);
}

/// The route of a request, the one in the middle of this many.
pub(crate) fn find(repeats: u64, size: usize, by: By) {
    let table = table(size, by);
    let middle = size / 2;
    let (host, path) = match by {
        By::Prefix | By::Regex => ("shop.example.com".into(), format!("/route-{middle:05}/page")),
        By::Host => (format!("shop-{middle:05}.example.com"), "/some/page".into()),
    };
    let headers = HeaderMap::new();
    let head = RequestHead {
        host: &host,
        path: &path,
        query: None,
        method: &Method::GET,
        headers: &headers,
        draw: 7,
    };
    let mut found = 0;
    let mut work = || {
        for _ in 0..repeats {
            found += u64::from(table.find_any(black_box(&head)).is_some());
        }
    };
    work();
    counted(&mut work);
    assert_eq!(found, 2 * repeats, "each request has its route");
}
