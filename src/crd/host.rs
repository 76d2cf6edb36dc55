//! `Host`: a name that is served, its certificate, and what becomes of insecure requests.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::selector::{LabelSelector, LocalReference, SecretReference};
use super::status::HostStatus;
use super::tls_settings::TlsSettings;

/// A host name, its certificate, and the Mappings that are served there. A manifest that
/// Emissary's definition (`getambassador.io/v3alpha1`) accepts is accepted here.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "getambassador.io",
    version = "v3alpha1",
    kind = "Host",
    plural = "hosts",
    category = "ambassador-crds",
    namespaced,
    status = "HostStatus",
    doc = "A host name, its certificate, and the Mappings that are served there.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Hostname", "type": "string", "jsonPath": ".spec.hostname"}"#,
    printcolumn = r#"{"name": "Secret", "type": "string", "jsonPath": ".spec.tlsSecret.name"}"#,
    printcolumn = r#"{"name": "Insecure", "type": "string", "jsonPath": ".spec.requestPolicy.insecure.action"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.state", "priority": 1}"#,
    printcolumn = r#"{"name": "Phase Completed", "type": "string", "jsonPath": ".status.phaseCompleted", "priority": 1}"#,
    printcolumn = r#"{"name": "Phase Pending", "type": "string", "jsonPath": ".status.phasePending", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::host()))]
pub struct HostSpec {
    /// The gateways that this Host speaks to, by their AMBASSADOR_ID. Default `["default"]`;
    /// `_automatic_` speaks to every gateway.
    #[serde(default, rename = "ambassador_id", skip_serializing_if = "Option::is_none")]
    pub ambassador_id: Option<Vec<String>>,
    /// The name that is served: `www.example.com`, `*.example.com` (any name that ends so), or `*`
    /// (all, the default). A port may follow, as in `www.example.com:8443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Deprecated, write mappingSelector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Only Mappings with these labels are served here. Without it, those whose hostname fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping_selector: Option<LabelSelector>,
    /// Where a certificate would come from. The gateway does nothing with it: let cert-manager
    /// fill tlsSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme_provider: Option<AcmeProvider>,
    /// The Secret with the certificate (tls.crt, tls.key). Without it, tlsContext and tls, the
    /// Host is served in cleartext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<SecretReference>,
    /// What becomes of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_policy: Option<RequestPolicy>,
    /// Legacy. Emissary accepts it and does nothing either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_url: Option<PreviewUrl>,
    /// The TLSContext that says how TLS is spoken here. Excludes tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_context: Option<LocalReference>,
    /// How TLS is spoken here. Excludes tlsContext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
}

/// Where a certificate would come from (ACME).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcmeProvider {
    /// The authority; `none` for no ACME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Whom the authority writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where the account's key is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret: Option<LocalReference>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
}

/// What becomes of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestPolicy {
    /// Of requests that are not secure, as the Listener's securityModel has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<InsecurePolicy>,
}

/// What becomes of requests that are not secure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsecurePolicy {
    /// Redirect to https (the default), Reject with 404, or Route like others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Redirect", "Reject", "Route"]))]
    pub action: Option<String>,
    /// Has no effect, as in Emissary: write a Listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_port: Option<i64>,
}

/// Legacy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewUrl {
    /// Legacy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Legacy.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Path"]))]
    pub kind: Option<String>,
}
