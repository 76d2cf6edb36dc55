//! A custom resource as the API server sends it, and the object that it becomes.

use std::sync::Arc;

use serde_json::Value as Json;

use super::ParseSettings;
use super::document::{Envelope, Place, api_version, build_object, tell_no_map};
use super::expand::expand;
use super::fields::Problems;
use super::kubernetes::{created_of, labels_of};
use super::matching::ApiVersion;
use super::node::{Entry, Node, Value};
use crate::model::key::{Kind, Origin};
use crate::model::object::{Object, Severity};

/// Parses a custom resource as the API server sends it.
pub(super) fn parse_resource(kind: Kind, raw: &Json, settings: &ParseSettings) -> Object {
    let mut spec = Node::from_json(&raw["spec"]);
    expand(&mut spec, &settings.environment);
    let mut problems = Problems::default();
    tell_no_map(&spec, None, &mut problems);
    let spec = match spec.value {
        Value::Map(entries) => entries,
        Value::Scalar { .. } | Value::List(_) => Vec::new(),
    };
    build_resource(kind, raw, spec, settings, problems)
}

/// The object of a custom resource whose spec isn't read, because it is nested too deeply.
pub(super) fn parse_too_deep(kind: Kind, raw: &Json, settings: &ParseSettings) -> Object {
    let mut problems = Problems::default();
    let message = "is nested too deeply to be read; write fewer maps and lists in each other";
    problems.add_at(Severity::Error, "spec", None, message);
    build_resource(kind, raw, Vec::new(), settings, problems)
}

fn build_resource(
    kind: Kind,
    raw: &Json,
    spec: Vec<Entry>,
    settings: &ParseSettings,
    problems: Problems,
) -> Object {
    let metadata = &raw["metadata"];
    let text = |value: &Json| value.as_str().map(Arc::<str>::from);
    // Items of a list have no apiVersion of their own; only v3alpha1 is asked for.
    let version = raw["apiVersion"].as_str().and_then(api_version).unwrap_or(ApiVersion::V3Alpha1);
    let envelope = Envelope {
        kind,
        version,
        name: text(&metadata["name"]),
        namespace: text(&metadata["namespace"]).unwrap_or_default(),
        labels: labels_of(metadata),
        location: None,
        spec,
    };
    let place = Place {
        origin: Origin::Resource,
        index: 0,
        namespace: Arc::clone(&envelope.namespace),
        generation: metadata["generation"].as_i64(),
        created: created_of(metadata),
        labels: Arc::clone(&envelope.labels),
    };
    Object { uid: text(&metadata["uid"]), ..build_object(envelope, &place, settings, problems) }
}
