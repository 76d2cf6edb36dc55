//! `TCPMapping`: connections of a port go to a service.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mapping_types::{CircuitBreaker, V2ExplicitTls};
use super::rules;
use super::status::ConditionStatus;

/// Which connections, and where they go. A manifest that Emissary's definition
/// (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "TCPMapping",
    plural = "tcpmappings",
    category = "ambassador-crds",
    namespaced,
    status = "ConditionStatus",
    doc = "Connections of a port go to a service.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Port", "type": "integer", "jsonPath": ".spec.port"}"#,
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".spec.host"}"#,
    printcolumn = r#"{"name": "Service", "type": "string", "jsonPath": ".spec.service"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Weight", "type": "integer", "jsonPath": ".spec.weight", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[schemars(extend("x-kubernetes-validations" = rules::tcp_mapping()))]
pub struct TcpMappingSpec {
    /// The gateways that this TCPMapping speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The port to listen on. A Listener for it may be there, and need not.
    pub port: i64,
    /// The server name that clients ask for in TLS. TLS is ended with the certificate of the Host
    /// or TLSContext for that name, unless tls_passthrough is set. Without it every connection of
    /// the port is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address to listen on. Default: the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The upstream, as `[scheme://]host[:port]`, such as `db.shop:5432`; `https://` begins TLS. A
    /// name without a dot is looked up in the TCPMapping's namespace. Default port 80, or 443 with
    /// TLS.
    pub service: String,
    /// Whether TLS is passed on unread to the upstream, chosen by host. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_passthrough: Option<bool>,
    /// Whether IPv4 addresses of the upstream's name are used. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Whether IPv6 addresses of the upstream's name are used. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Limits towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breakers: Option<Vec<CircuitBreaker>>,
    /// A connection without a byte in either direction is closed after this time, in milliseconds,
    /// as text ("60000"). Default an hour; "0" is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<String>,
    /// How the upstream's addresses are found, by the name of a resolver. Default: the Module's, or
    /// else kubernetes-service (by DNS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// The TLSContext by which TLS is begun towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Share of the connections in percent, 0 to 100, among TCPMappings of the same port and host.
    /// Those without a weight share what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// Gives this TCPMapping statistics of its own, apart from others to the same service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Name of the upstream in statistics. Default: service with `_` for all but letters and
    /// digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// How a getambassador.io/v2 object wrote tls and service. Set by conversions; leave it out.
    #[serde(default, rename = "v2ExplicitTLS", skip_serializing_if = "Option::is_none")]
    pub v2_explicit_tls: Option<V2ExplicitTls>,
}
