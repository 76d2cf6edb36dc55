//! `Listener`: a port to listen on.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::selector::LabelSelector;
use super::status::ConditionStatus;

/// A port, what is spoken on it, and which Hosts are served there. A manifest that Emissary's
/// definition (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Listener",
    plural = "listeners",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "A port to listen on, and which Hosts are served there.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Port", "type": "string", "jsonPath": ".spec.port"}"#,
    printcolumn = r#"{"name": "Protocol", "type": "string", "jsonPath": ".spec.protocol"}"#,
    printcolumn = r#"{"name": "Stack", "type": "string", "jsonPath": ".spec.protocolStack"}"#,
    printcolumn = r#"{"name": "StatsPrefix", "type": "string", "jsonPath": ".spec.statsPrefix"}"#,
    printcolumn = r#"{"name": "Security", "type": "string", "jsonPath": ".spec.securityModel"}"#,
    printcolumn = r#"{"name": "L7Depth", "type": "string", "jsonPath": ".spec.l7Depth"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::listener()))]
pub struct ListenerSpec {
    /// The gateways that this Listener speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, rename = "ambassador_id", skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The port to listen on.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// A shorthand for what is spoken: HTTP, HTTPS, HTTPPROXY and HTTPSPROXY (with the PROXY
    /// protocol first), TCP or TLS. Exactly one of protocol and protocolStack has to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["HTTP", "HTTPS", "HTTPPROXY", "HTTPSPROXY", "TCP", "TLS", "UDP"]))]
    pub protocol: Option<String>,
    /// What is spoken, layer by layer, such as `[TLS, HTTP, TCP]`. The last one has to be TCP;
    /// HTTP/3 (UDP) is not supported. The PROXY protocol is read first wherever it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "stack_schema")]
    pub protocol_stack: Option<Vec<String>>,
    /// How a request is known to be secure: XFP by its X-Forwarded-Proto, which the gateway sets
    /// itself unless l7Depth trusts a proxy before it; SECURE always; INSECURE never.
    #[schemars(extend("enum" = ["XFP", "SECURE", "INSECURE"]))]
    pub security_model: String,
    /// The name of this port in metrics. Default: ingress_http, ingress_https, ingress_tls_<port>
    /// or ingress_tcp_<port>, as is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_prefix: Option<String>,
    /// How many trusted proxies stand before the gateway, whose X-Forwarded-For and
    /// X-Forwarded-Proto are believed. Default 0.
    #[serde(default, rename = "l7Depth", skip_serializing_if = "Option::is_none")]
    pub l7_depth: Option<i64>,
    /// The most requests at a time on one HTTP/2 connection.
    #[serde(
        default,
        rename = "http2MaxConcurrentStreams",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1))]
    pub http2_max_concurrent_streams: Option<i64>,
    /// Which Hosts are served on this port.
    pub host_binding: HostBinding,
}

/// Which Hosts are served on a port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostBinding {
    /// Of which namespaces. Default: the Listener's own, if there is a selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceBinding>,
    /// Only Hosts with these labels. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Of which namespaces Hosts are served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceBinding {
    /// SELF for the Listener's own, ALL for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["SELF", "ALL"]))]
    pub from: Option<String>,
}

/// A list of few words.
fn stack_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": ["HTTP", "PROXY", "TLS", "TCP", "UDP"] }
    })
}
