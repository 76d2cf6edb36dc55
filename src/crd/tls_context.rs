//! `TLSContext`: how TLS is spoken, with clients or with upstreams.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::status::ConditionStatus;

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
#[schemars(extend("x-kubernetes-validations" = rules::tls_context()))]
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
    /// A file with the certificate, beside private_key_file. Excludes secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_chain_file: Option<String>,
    /// A file with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    /// The Secret with the authorities that the peers' certificates are checked against, as `name`
    /// or `name.namespace`. Without it an upstream's certificate is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<String>,
    /// A file with these authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cacert_chain_file: Option<String>,
    /// The Secret with revoked certificates (crl.pem), as `name` or `name.namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_secret: Option<String>,
    /// Application protocols in the order of preference, such as `h2, http/1.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn_protocols: Option<String>,
    /// Whether a client without a certificate is refused. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_required: Option<bool>,
    /// The oldest version: v1.2 (the default) or v1.3; older ones are not spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["v1.0", "v1.1", "v1.2", "v1.3"]))]
    pub min_tls_version: Option<String>,
    /// The newest version: v1.2 or v1.3 (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["v1.0", "v1.1", "v1.2", "v1.3"]))]
    pub max_tls_version: Option<String>,
    /// Cipher suites of TLS 1.2, by OpenSSL's or IANA's names. Default: all that are strong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suites: Option<Vec<String>>,
    /// Curves: X25519, P-256, P-384. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecdh_curves: Option<Vec<String>>,
    /// Whether the last dot in the name of a Secret divides its name from its namespace. Default:
    /// as the Module says (`defaults.tls_secret_namespacing`), or else true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_namespacing: Option<bool>,
    /// Has no effect, as in Emissary: write a Host's requestPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<i64>,
    /// The name to ask upstreams for, and that their certificates have to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}
