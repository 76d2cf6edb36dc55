//! `Mapping`: requests that match go to a service.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mapping_types::{
    AddedHeader, CircuitBreaker, Cors, Docs, KeepAlive, LoadBalancer, RegexMap, RetryPolicy, Texts,
    V2ExplicitTls,
};
use super::rules;
use super::status::ObjectStatus;

/// Which requests, and what happens to them. A manifest that Emissary's definition
/// (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Mapping",
    plural = "mappings",
    category = "ambassador-crds",
    namespaced,
    status = "ObjectStatus",
    doc = "Requests for a host and path go to a service.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".spec['hostname','host']"}"#,
    printcolumn = r#"{"name": "Prefix", "type": "string", "jsonPath": ".spec.prefix"}"#,
    printcolumn = r#"{"name": "Service", "type": "string", "jsonPath": ".spec.service"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Method", "type": "string", "jsonPath": ".spec.method", "priority": 1}"#,
    printcolumn = r#"{"name": "Weight", "type": "integer", "jsonPath": ".spec.weight", "priority": 1}"#,
    printcolumn = r#"{"name": "Precedence", "type": "integer", "jsonPath": ".spec.precedence", "priority": 1}"#,
    printcolumn = r#"{"name": "Gateways", "type": "string", "jsonPath": ".spec.ambassador_id", "priority": 1}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.state", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[schemars(extend("x-kubernetes-validations" = rules::mapping()))]
pub struct MappingSpec {
    /// The gateways that this Mapping speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The path that requests must have: they match if their path begins with it (`/api/` doesn't
    /// match `/api`). See prefix_exact and prefix_regex for the other ways to compare.
    pub prefix: String,
    /// Whether prefix is a regular expression in RE2's syntax, which has to match the whole path.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_regex: Option<bool>,
    /// Whether prefix has to equal the whole path. Default false; prefix_regex wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_exact: Option<bool>,
    /// The upstream, as `[scheme://]host[:port]`, such as `quote`, `quote.shop:8080` or
    /// `10.0.0.1:80`. A name without a dot is looked up in the Mapping's namespace. Default port
    /// 80. With host_redirect, the host to redirect to.
    pub service: String,
    /// The hosts that requests must be for: a name, `*.example.com` (any name that ends so),
    /// `example.*` (any that begins so) or `*` (all). Without hostname and host the Mapping takes
    /// part only where something else attaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Deprecated, write hostname. The host that requests must be for, exactly, or a regular
    /// expression with host_regex. Ignored if hostname is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Deprecated. Whether host is a regular expression. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_regex: Option<bool>,
    /// Headers that requests must have, each with exactly this value. `:authority` stands for the
    /// host and `:method` for the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Texts>,
    /// Headers that requests must have, each with a value that matches the whole of this regular
    /// expression; `".*"` asks only that the header be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_headers: Option<Texts>,
    /// Query parameters that requests must have, each with exactly this value as it is sent (not
    /// percent-decoded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameters: Option<Texts>,
    /// Query parameters that requests must have, each with a value that matches the whole of this
    /// regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_query_parameters: Option<Texts>,
    /// The method that requests must have, such as GET. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Whether method is a regular expression. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_regex: Option<bool>,
    /// Whether prefix is compared with regard to upper and lower case. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
    /// Rank among Mappings that match the same request, before everything else that decides; larger
    /// wins. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,
    /// Routing priority, `default` or `high`: which limits of circuit_breakers count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Share of the requests in percent, 0 to 100, among Mappings with the same match (a canary
    /// release). Those without a weight share what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// What replaces the matched prefix on the way to the upstream. Default `/`; `""` leaves the
    /// path as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Replaces what a regular expression matches in the path on the way to the upstream. Wins over
    /// rewrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_rewrite: Option<RegexMap>,
    /// The Host that the upstream sees. Default: the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// Whether the upstream sees its own DNS name as Host. Default false; host_rewrite wins over
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_host_rewrite: Option<bool>,
    /// Whether requests are answered with a redirect to the host in service instead of being
    /// forwarded. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_redirect: Option<bool>,
    /// With host_redirect, the path to redirect to. Default: the request's. The query is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_redirect: Option<String>,
    /// With host_redirect, what replaces the matched prefix. path_redirect wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_redirect: Option<String>,
    /// With host_redirect, replaces what a regular expression matches in the path. path_redirect
    /// and prefix_redirect win over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_redirect: Option<RegexMap>,
    /// With host_redirect, the status of the answer: 301 (the default), 302, 303, 307 or 308.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub redirect_response_code: Option<i64>,
    /// Whether this Mapping's service only gets copies of the requests that another Mapping with
    /// the same match serves; its answers are dropped. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
    /// Headers to add to the request, by name, as `{value: text, append: true}`. Removal comes
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers to add to the response, by name, as `{value: text, append: true}`. Removal comes
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers to take out of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_request_headers: Option<Vec<String>>,
    /// Headers to take out of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_response_headers: Option<Vec<String>>,
    /// Whether requests get Linkerd's `l5d-dst-override` header with the upstream's name and port.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_linkerd_headers: Option<bool>,
    /// Limit from the end of the request to the end of the response, in milliseconds; beyond it
    /// clients get 504. Default 3000; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    /// Limit for a time without any byte in either direction, in milliseconds. Default 300000; 0 is
    /// no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<i64>,
    /// Limit for connecting to the upstream, in milliseconds. Default 3000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<i64>,
    /// How long an unused connection to the upstream is kept, in milliseconds. Default 3600000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_idle_timeout_ms: Option<i64>,
    /// Longest life of a connection to the upstream, in milliseconds. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_max_connection_lifetime_ms: Option<i64>,
    /// When and how often a failed request is sent again. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Limits towards the upstream; what exceeds them is answered with 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breakers: Option<Vec<CircuitBreaker>>,
    /// How endpoints take turns. Default round_robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// TCP keepalive towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<KeepAlive>,
    /// Active health checks of the endpoints, each with `health_check` (`http` or `grpc`), and
    /// optionally `timeout` ("3s"), `interval` ("5s"), `unhealthy_threshold` (2) and
    /// `healthy_threshold` (1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_objects")]
    pub health_checks: Option<Vec<serde_json::Value>>,
    /// Leaves endpoints out that fail again and again: a map of `consecutive_5xx` (5),
    /// `consecutive_gateway_failure` (0, off), `interval` ("10s"), `base_ejection_time` ("30s"),
    /// `max_ejection_time` ("300s") and `max_ejection_percent` (10). Text, as Emissary's definition
    /// has it, has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::anything")]
    pub outlier_detection: Option<serde_json::Value>,
    /// Cross-origin resource sharing: preflight requests are answered by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Whether the upstream speaks gRPC, and so HTTP/2. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<bool>,
    /// Protocols that a connection may be upgraded to, such as `websocket` or `spdy/3.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_upgrade: Option<Vec<String>>,
    /// Deprecated, write `allow_upgrade: [websocket]`. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_websocket: Option<bool>,
    /// Name of the TLSContext for TLS towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// How the upstream's addresses are found: `kubernetes-service` (by DNS; the default) or
    /// `kubernetes-endpoint` (the ready endpoints of the Service).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// How a DNS name's addresses are used: `strict_dns` (all; the default) or `logical_dns` (the
    /// first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_type: Option<String>,
    /// Whether names are looked up again when DNS says so. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respect_dns_ttl: Option<bool>,
    /// Whether IPv4 addresses of the upstream's name are used. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Whether IPv6 addresses of the upstream's name are used. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Whether the AuthService isn't asked. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass_auth: Option<bool>,
    /// Facts to hand to the AuthService with each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_context_extensions: Option<Texts>,
    /// Rate-limit labels: by domain, a list of groups, each `{name: [label, …]}`. A label is one of
    /// source_cluster, destination_cluster, remote_address, request_headers and generic_key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: Option<BTreeMap<String, Vec<serde_json::Value>>>,
    /// Gives this Mapping connections and statistics of its own, apart from other Mappings to the
    /// same service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_tag: Option<String>,
    /// Name of the upstream in statistics. Default: service with `_` for all but letters and
    /// digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_name: Option<String>,
    /// Facts for a developer portal. The gateway makes no use of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<Docs>,
    /// Legacy. Emissary accepts it and does nothing either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_objects")]
    pub modules: Option<Vec<serde_json::Value>>,
    /// Legacy. Emissary accepts it and does nothing either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_object")]
    pub envoy_override: Option<serde_json::Value>,
    /// Bodies for error answers, by status. Emissary 4 accepts it and does nothing either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_objects")]
    pub error_response_overrides: Option<Vec<serde_json::Value>>,
    /// Whether error answers are left alone. Emissary 4 accepts it and does nothing either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass_error_response_overrides: Option<bool>,
    /// How a getambassador.io/v2 object wrote tls and service. Set by conversions; leave it out.
    #[serde(default, rename = "v2ExplicitTLS", skip_serializing_if = "Option::is_none")]
    pub v2_explicit_tls: Option<V2ExplicitTls>,
    /// The headers that a getambassador.io/v2 object wrote as `true`. Set by conversions; leave it
    /// out.
    #[serde(default, rename = "v2BoolHeaders", skip_serializing_if = "Option::is_none")]
    pub v2_bool_headers: Option<Vec<String>>,
    /// The query parameters that a getambassador.io/v2 object wrote as `true`. Set by conversions;
    /// leave it out.
    #[serde(default, rename = "v2BoolQueryParameters", skip_serializing_if = "Option::is_none")]
    pub v2_bool_query_parameters: Option<Vec<String>>,
}

/// Domains, groups and labels: the shape as far as people read it, and the labels as they are.
fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": {
                    "type": "array",
                    "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
                }
            }
        }
    })
}
