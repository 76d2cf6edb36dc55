//! Tests of parsing as a whole; those of single steps stand in the steps' own files.

mod annotations;
mod files;
mod hosts;
mod listeners;
mod mapping_problems;
mod mappings;
mod resources;
mod services;
mod tcp_mappings;
mod tls_contexts;
mod upstreams;
mod versions;

use std::sync::Arc;

use super::{CarrierMeta, ParseSettings, parse_annotation};
use crate::model::cluster::Cluster;
use crate::model::key::{Carrier, CarrierKind};
use crate::model::object::{Content, Object};
use crate::model::route::{Action, Forward, HostMatch};
use crate::model::snapshot::{Defaults, Snapshot};
use crate::model::written::{UpstreamSpec, WrittenRoute};
use crate::model::{Build, build};

/// The settings of a gateway in the namespace `ambassador`.
fn settings() -> ParseSettings {
    ParseSettings { namespace: "ambassador".into(), ..ParseSettings::default() }
}

/// A Service that carries an annotation.
fn carrier(namespace: &str, name: &str) -> CarrierMeta {
    CarrierMeta {
        carrier: Arc::new(Carrier {
            kind: CarrierKind::Service,
            namespace: namespace.into(),
            name: name.into(),
            uid: "uid".into(),
        }),
        generation: None,
        created: Some(7),
        labels: Arc::new([("app".to_owned(), name.to_owned())].into()),
    }
}

/// The objects of an annotation of the Service `web` in `default`.
fn parse(text: &str) -> Vec<Arc<Object>> {
    parse_annotation(text, &carrier("default", "web"), &settings())
}

/// The only object of a v3alpha1 Mapping with these further fields, each on its own line.
fn mapping(fields: &str) -> Arc<Object> {
    version_mapping("getambassador.io/v3alpha1", fields)
}

/// As [`mapping`], in another API version.
fn version_mapping(version: &str, fields: &str) -> Arc<Object> {
    let mut text = format!("apiVersion: {version}\nkind: Mapping\nname: m\n");
    for (name, default) in [("prefix", "/p/"), ("service", "svc")] {
        if !fields.lines().any(|line| line.starts_with(&format!("{name}:"))) {
            text.push_str(&format!("{name}: {default}\n"));
        }
    }
    text.push_str(fields);
    let objects = parse(&text);
    assert_eq!(objects.len(), 1, "{text}");
    Arc::clone(&objects[0])
}

/// The only object of a v3alpha1 document of a kind, with these fields.
fn of_kind(kind: &str, fields: &str) -> Arc<Object> {
    of_version("getambassador.io/v3alpha1", kind, fields)
}

/// As [`of_kind`], in another API version.
fn of_version(version: &str, kind: &str, fields: &str) -> Arc<Object> {
    let text = format!("apiVersion: {version}\nkind: {kind}\nname: m\n{fields}");
    let objects = parse(&text);
    assert_eq!(objects.len(), 1, "{text}");
    Arc::clone(&objects[0])
}

/// Each problem as `Severity field: message`.
fn told(object: &Object) -> Vec<String> {
    object.problems.iter().map(|problem| format!("{:?} {problem}", problem.severity)).collect()
}

/// Says that a case is told in these words, and whether the object is used all the same.
fn assert_told(object: &Object, is_used: bool, expected: &str) {
    let told = told(object);
    assert!(told.iter().any(|text| text.starts_with(expected)), "{expected}: {told:?}");
    let used = !matches!(object.content, Content::Rejected | Content::Closed(_));
    assert_eq!(used, is_used, "{expected}: {told:?}");
}

fn route(object: &Object) -> &WrittenRoute {
    match &object.content {
        Content::Route(route) => route,
        other => panic!("no route: {other:?}: {:?}", object.problems),
    }
}

/// The cluster that a build makes of the object's upstream.
fn cluster(object: &Object) -> Arc<Cluster> {
    let mut object = object.clone();
    object.ambassador_id = ["_automatic_".to_owned()].into();
    if let Content::Route(route) = &mut object.content {
        Arc::make_mut(&mut Arc::make_mut(route).matches).host = Some(HostMatch::Any);
    }
    let defaults = Defaults { namespace: settings().namespace, ..Defaults::default() };
    let objects = [Arc::new(object)].into_iter().collect();
    let snapshot = Snapshot { objects, defaults, ..Snapshot::default() };
    let clusters = build(&snapshot, &Build::default()).config.clusters();
    clusters.into_values().next().expect("a cluster")
}

fn forward(object: &Object) -> &Forward<UpstreamSpec> {
    match &route(object).action {
        Action::Forward(forward) => forward,
        other => panic!("no forward: {other:?}"),
    }
}

/// Each problem as `Severity field@line:column`.
fn problems(object: &Object) -> Vec<String> {
    object
        .problems
        .iter()
        .map(|problem| {
            let place = problem.location.map_or_else(String::new, |location| {
                format!("@{}:{}", location.line, location.column)
            });
            format!("{:?} {}{place}", problem.severity, problem.field.as_deref().unwrap_or("-"))
        })
        .collect()
}
