//! `Module`: what holds for a whole gateway.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ConditionStatus;

/// What holds for a whole gateway; the one that counts is named `ambassador`. A manifest that
/// Emissary's definition (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Module",
    plural = "modules",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "What holds for a whole gateway; the one that counts is named ambassador.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
pub struct ModuleSpec {
    /// The gateways that this Module speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The settings, by their names.
    #[schemars(schema_with = "super::any_object")]
    pub config: serde_json::Value,
}
