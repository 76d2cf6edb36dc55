//! `TLSContext`: how TLS is spoken, with clients or with upstreams.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::status::ConditionStatus;
use super::tls_settings::{TlsSettings, name_versions};

/// How TLS is spoken, with clients (where a Host names it) or with upstreams (where a Mapping's
/// tls names it). A manifest that Emissary's definition (`getambassador.io/v3alpha1`) accepts is
/// accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "TLSContext",
    plural = "tlscontexts",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "How TLS is spoken, with clients or with upstreams.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"}"#,
    printcolumn = r#"{"name": "Secret", "type": "string", "jsonPath": ".spec.secret"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[schemars(extend("x-kubernetes-validations" = rules::tls_context()), transform = name_versions)]
pub struct TlsContextSpec {
    /// The gateways that this TLSContext speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The host names that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// The Secret with the certificate (tls.crt, tls.key), as `name` or `name.namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether the last dot in the name of a Secret divides its name from its namespace. Default:
    /// as the Module says (`defaults.tls_secret_namespacing`), or else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_namespacing: Option<bool>,
    /// How it is spoken.
    #[serde(flatten)]
    pub tls: TlsSettings,
}
