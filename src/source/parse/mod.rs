//! From what users wrote (`crd`) to what it means (`model`). Pure: no IO, and the environment
//! that `$VAR` refers to is an argument.
//!
//! Nothing here fails: an object that can't be read is an [`Object`] whose content is rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::{Carrier, Kind};
use crate::model::object::Object;
use crate::model::service::{EndpointSlice, Service};

/// What parsing needs to know of the process.
#[derive(Debug, Clone, Default)]
pub struct ParseSettings {
    /// The namespace of the gateway (`AMBASSADOR_NAMESPACE`): Mappings in it name Services
    /// without being qualified, and the namespace `_automatic_` stands for it.
    pub namespace: String,
    /// Variables for `$VAR` and `${VAR}`; empty turns expansion off.
    pub environment: BTreeMap<String, String>,
}

/// What a document inherits from the Service or Ingress that carries it.
#[derive(Debug, Clone)]
pub struct CarrierMeta {
    /// The carrier.
    pub carrier: Carrier,
    /// Its `metadata.generation`, where it has one.
    pub generation: Option<i64>,
    /// Its creation, in seconds since 1970.
    pub created: Option<i64>,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// Parses one custom resource, given whole as the API server sends it.
pub fn parse_resource(kind: Kind, raw: &serde_json::Value, settings: &ParseSettings) -> Object {
    let _ = (kind, raw, settings);
    unreachable!()
}

/// Parses the text of a `getambassador.io/config` annotation: one object for each document.
pub fn parse_annotation(
    text: &str,
    carrier: &CarrierMeta,
    settings: &ParseSettings,
) -> Vec<Arc<Object>> {
    let _ = (text, carrier, settings);
    unreachable!()
}

/// Reads a Service; `None` for one without a name.
pub fn parse_service(raw: &serde_json::Value) -> Option<Service> {
    let _ = raw;
    unreachable!()
}

/// Reads an EndpointSlice; `None` for one that belongs to no Service.
pub fn parse_endpoint_slice(raw: &serde_json::Value) -> Option<EndpointSlice> {
    let _ = raw;
    unreachable!()
}
