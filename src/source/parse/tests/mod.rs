//! Tests of parsing as a whole; those of single steps stand in the steps' own files.

mod annotations;
mod files;
mod mappings;
mod services;
mod upstreams;

use std::sync::Arc;

use super::{CarrierMeta, ParseSettings, parse_annotation};
use crate::model::key::{Carrier, CarrierKind};
use crate::model::object::{Content, Object};
use crate::model::route::{Action, Forward, Route};

/// The settings of a gateway in the namespace `ambassador`.
fn settings() -> ParseSettings {
    ParseSettings { namespace: "ambassador".into(), environment: std::collections::BTreeMap::new() }
}

/// A Service that carries an annotation.
fn carrier(namespace: &str, name: &str) -> CarrierMeta {
    CarrierMeta {
        carrier: Carrier {
            kind: CarrierKind::Service,
            namespace: namespace.into(),
            name: name.into(),
            uid: "uid".into(),
        },
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

fn route(object: &Object) -> &Route {
    match &object.content {
        Content::Route(route) => route,
        other => panic!("no route: {other:?}: {:?}", object.problems),
    }
}

fn forward(object: &Object) -> &Forward {
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
