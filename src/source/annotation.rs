//! `getambassador.io/config`: the annotation of a Service or Ingress that holds configuration.

use std::sync::Arc;

use serde_json::Value as Json;

use super::parse::document::{Place, broken_document, parse_document};
use super::parse::yaml::parse_documents;
use super::parse::{CarrierMeta, ParseSettings, created_of, labels_of};
use crate::model::key::{Carrier, CarrierKind, Origin};
use crate::model::object::Object;

/// The annotation's name.
pub const CONFIG_ANNOTATION: &str = "getambassador.io/config";

/// The annotation of a Service or Ingress, given whole as the API server sends it, and what its
/// documents inherit. `None` where there is no annotation, or no name.
pub fn annotation_of(kind: CarrierKind, raw: &Json) -> Option<(&str, CarrierMeta)> {
    let metadata = &raw["metadata"];
    let text = metadata["annotations"][CONFIG_ANNOTATION].as_str()?;
    let carrier = Arc::new(Carrier {
        kind,
        namespace: metadata["namespace"].as_str().unwrap_or("default").into(),
        name: metadata["name"].as_str()?.into(),
        uid: metadata["uid"].as_str().unwrap_or_default().into(),
    });
    let meta = CarrierMeta {
        carrier,
        generation: metadata["generation"].as_i64(),
        created: created_of(metadata),
        labels: labels_of(metadata),
    };
    Some((text, meta))
}

/// Parses the text of a `getambassador.io/config` annotation: one object for each document.
/// Documents of nothing but comments are not counted.
pub fn parse_annotation(
    text: &str,
    carrier: &CarrierMeta,
    settings: &ParseSettings,
) -> Vec<Arc<Object>> {
    parse_objects(text, carrier, settings).into_iter().map(Arc::new).collect()
}

/// As [`parse_annotation`], for those who want to change the objects.
pub(super) fn parse_objects(
    text: &str,
    carrier: &CarrierMeta,
    settings: &ParseSettings,
) -> Vec<Object> {
    (0..)
        .zip(parse_documents(text))
        .map(|(index, document)| {
            let place = Place {
                origin: Origin::Annotation { carrier: Arc::clone(&carrier.carrier), index },
                index,
                namespace: Arc::clone(&carrier.carrier.namespace),
                generation: carrier.generation,
                created: carrier.created,
                labels: Arc::clone(&carrier.labels),
            };
            match document {
                Ok(root) => parse_document(root, &place, settings),
                Err(broken) => broken_document(broken.problem, Some(broken.begins), &place),
            }
        })
        .collect()
}
