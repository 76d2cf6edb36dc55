//! The compound fields of a Mapping's spec.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// A header to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddedHeader {
    /// The value. `%…%` operators such as `%REQ(X-User)%` or `%DOWNSTREAM_REMOTE_ADDRESS%` are
    /// replaced; `%%` is a percent sign. A value of nothing but missing ones adds no header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether the value joins those that are there already (true, the default) or replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<bool>,
    /// How a getambassador.io/v2 object wrote it. Set by conversions; leave it out.
    #[serde(default, rename = "v2Representation", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["", "string", "null"]))]
    pub v2_representation: Option<String>,
}

/// A regular expression and what replaces its matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegexMap {
    /// The expression, in RE2's syntax, searched in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The replacement: `\1` is the first group, `\0` the whole match, `\\` a backslash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitution: Option<String>,
}

/// Facts for a developer portal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Docs {
    /// Path of the API's description, from the service's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Full address of the API's description, instead of path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether the Mapping is left out of the portal. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Limit for fetching the description, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
}

/// TCP keepalive towards the upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeepAlive {
    /// Unanswered probes before the connection is given up. Default: the node's, usually 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<i64>,
    /// Seconds without traffic before the first probe. Default: the node's, usually 7200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_time: Option<i64>,
    /// Seconds between probes. Default: the node's, usually 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
}

/// Cross-origin resource sharing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cors {
    /// Origins that may use the resource, each exactly as browsers send it, or `*` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// Methods that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Request headers that may be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<String>>,
    /// Whether credentials may be sent. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<bool>,
    /// Response headers that scripts may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_headers: Option<Vec<String>>,
    /// Seconds for which browsers may remember the answer to a preflight, as text ("86400"). Default: the
    /// browser's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// How a getambassador.io/v2 object wrote origins. Set by conversions; leave it out.
    #[serde(default, rename = "v2CommaSeparatedOrigins", skip_serializing_if = "Option::is_none")]
    pub v2_comma_separated_origins: Option<bool>,
}

/// When and how often a failed request is sent again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetryPolicy {
    /// What counts as a failure: 5xx, gateway-error (502, 503, 504), connect-failure,
    /// retriable-4xx (409), refused-stream or retriable-status-codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [
        "5xx", "gateway-error", "connect-failure", "retriable-4xx", "refused-stream",
        "retriable-status-codes"
    ]))]
    pub retry_on: Option<String>,
    /// The statuses of retriable-status-codes, such as `[502, 503]`. A field that Emissary doesn't
    /// have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retriable_status_codes: Option<Vec<i64>>,
    /// How often it is tried again. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_retries: Option<i64>,
    /// Limit for each try, such as "0.25s". Default: the Mapping's timeout_ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,
    /// The pause before each try, which grows exponentially.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_back_off: Option<RetryBackOff>,
}

/// The pause before a retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetryBackOff {
    /// What the pause is computed from, in seconds, such as "0.025s" (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_interval: Option<String>,
    /// The longest pause, in seconds, such as "0.25s". Default: ten times base_interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<String>,
}

/// Limits towards an upstream; what exceeds them is answered with 503.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CircuitBreaker {
    /// The routing priority that the limits are for: default or high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["default", "high"]))]
    pub priority: Option<String>,
    /// Connections at a time. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Requests that wait for a connection. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<i64>,
    /// Requests at a time. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<i64>,
    /// Retries at a time. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
}

/// How endpoints take turns; needs the resolver kubernetes-endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::load_balancer()))]
pub struct LoadBalancer {
    /// round_robin (the default), least_request, or for sticky sessions ring_hash or maglev, which
    /// need exactly one of cookie, header and source_ip.
    #[schemars(extend("enum" = ["round_robin", "ring_hash", "maglev", "least_request"]))]
    pub policy: String,
    /// Sticky by a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
    /// Sticky by this request header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Sticky by the client's address. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<bool>,
}

/// The cookie of a sticky session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its path. Default: the path of the request that got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its life, such as "60s"; with it, the gateway sets the cookie where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// How a getambassador.io/v2 object wrote `tls` and `service`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct V2ExplicitTls {
    /// The scheme that `service` began with.
    #[serde(default, rename = "serviceScheme", skip_serializing_if = "Option::is_none")]
    pub service_scheme: Option<String>,
    /// The value of `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
}

/// A map of texts.
pub(super) type Texts = BTreeMap<String, String>;
