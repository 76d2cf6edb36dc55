//! What is counted on: Mappings as users write them, always the same.

use std::sync::Arc;

use nuncio::model::config::GatewayConfig;
use nuncio::model::key::Kind;
use nuncio::model::object::Object;
use nuncio::model::snapshot::Snapshot;
use nuncio::model::{Build, build};
use nuncio::routing::RouteTable;
use nuncio::source::parse::{ParseSettings, parse_resource};
use serde_json::{Value, json};

/// How the routes of a table differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By their prefixes, on any host.
    Prefix,
    /// By their hosts, each with the prefix `/`.
    Host,
    /// By regular expressions of their paths.
    Regex,
}

/// A Mapping as the API server sends it, with these fields more in its spec.
pub(crate) fn mapping(n: usize, fields: &Value) -> Value {
    let mut spec = json!({
        "hostname": "*",
        "prefix": format!("/route-{n:05}/"),
        "service": format!("web-{}.team", n / 10),
    });
    if let (Some(spec), Some(fields)) = (spec.as_object_mut(), fields.as_object()) {
        spec.extend(fields.clone());
    }
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
        "spec": spec,
    })
}

pub(crate) fn object(n: usize, fields: &Value) -> Arc<Object> {
    Arc::new(parse_resource(Kind::Mapping, &mapping(n, fields), &ParseSettings::default()))
}

/// This many Mappings that differ in this way.
pub(crate) fn snapshot(size: usize, by: By) -> Snapshot {
    let fields = |n: usize| match by {
        By::Prefix => json!({}),
        By::Host => json!({"hostname": format!("shop-{n:05}.example.com"), "prefix": "/"}),
        By::Regex => json!({"prefix": format!("/route-{n:05}/[a-z]+"), "prefix_regex": true}),
    };
    let objects = (0..size).map(|n| object(n, &fields(n))).collect();
    Snapshot { objects, ..Snapshot::default() }
}

/// A snapshot in which the Mapping in the middle has another prefix.
pub(crate) fn changed(mut snapshot: Snapshot) -> Snapshot {
    let object = object(snapshot.objects.len() / 2, &json!({"prefix": "/changed/"}));
    snapshot.objects.insert(object);
    snapshot
}

/// The configuration of this many Mappings that differ in this way.
pub(crate) fn config(size: usize, by: By) -> Arc<GatewayConfig> {
    build(&snapshot(size, by), &Build::default()).config
}

/// The same, compiled.
pub(crate) fn table(size: usize, by: By) -> RouteTable {
    RouteTable::compile(&config(size, by), &RouteTable::default())
}
