//! `AnnotatedResource`: what became of one document of a `getambassador.io/config` annotation.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ObjectStatus;

/// One document of a `getambassador.io/config` annotation, shown as an object so that its state
/// can be seen and waited for. The gateway writes it and never reads it: change the annotation
/// instead. It disappears with the Service or Ingress that carries the annotation.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nuncio.dev",
    version = "v1alpha1",
    kind = "AnnotatedResource",
    plural = "annotatedresources",
    shortname = "anres",
    namespaced,
    status = "ObjectStatus",
    doc = "One document of a getambassador.io/config annotation, shown as an object so that its state can be seen and waited for. The gateway writes it and never reads it: change the annotation instead.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Carrier", "type": "string", "jsonPath": ".spec.carrier.name"}"#,
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".spec.host"}"#,
    printcolumn = r#"{"name": "Prefix", "type": "string", "jsonPath": ".spec.prefix"}"#,
    printcolumn = r#"{"name": "Service", "type": "string", "jsonPath": ".spec.service"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Kind", "type": "string", "jsonPath": ".spec.kind", "priority": 1}"#,
    printcolumn = r#"{"name": "Document", "type": "string", "jsonPath": ".spec.name", "priority": 1}"#,
    printcolumn = r#"{"name": "Line", "type": "integer", "jsonPath": ".spec.line", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
pub struct AnnotatedResourceSpec {
    /// The Service or Ingress, in the same namespace, whose annotation holds the document.
    pub carrier: CarrierRef,
    /// Which document of the annotation it is, counted from 0. Documents of nothing but comments
    /// don't count.
    #[schemars(range(min = 0))]
    pub index: i64,
    /// The line of the annotation on which the document begins, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub line: Option<i64>,
    /// The document's kind, such as Mapping; Unknown where it can't be told.
    pub kind: String,
    /// The document's name; `document-<n>`, counted from 1, where it has none.
    pub name: String,
    /// The document's namespace: its carrier's, unless it names another.
    pub namespace: String,
    /// The document's `hostname`, or else its `host`, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The document's `prefix`, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The document's `service`, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The document as it was read. Missing where it isn't valid YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_object")]
    pub document: Option<serde_json::Value>,
}

/// The object that carries the annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CarrierRef {
    /// Service or Ingress.
    pub kind: String,
    /// Its name.
    pub name: String,
}
