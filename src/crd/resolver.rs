//! Resolvers: ways to find an upstream's addresses, by name.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ConditionStatus;

/// A name for finding upstreams by DNS. A manifest that Emissary's definition
/// (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "KubernetesServiceResolver",
    plural = "kubernetesserviceresolvers",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "A name for finding upstreams by DNS, for resolver of Mappings.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct KubernetesServiceResolverSpec {
    /// The gateways that this resolver is for, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
}

/// A name for finding upstreams by the ready endpoints of their Service. A manifest that
/// Emissary's definition (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "KubernetesEndpointResolver",
    plural = "kubernetesendpointresolvers",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "A name for finding upstreams by the ready endpoints of their Service, for resolver of Mappings.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
pub struct KubernetesEndpointResolverSpec {
    /// The gateways that this resolver is for, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
}
