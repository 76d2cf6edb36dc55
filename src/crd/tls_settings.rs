//! The settings of TLS that Host and TLSContext have in common.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How TLS is spoken: a Host's `tls`, and all of a TLSContext but what is its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsSettings {
    /// A file with the certificate, beside private_key_file. Excludes a Secret with one.
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
    pub min_tls_version: Option<String>,
    /// The newest version: v1.2 or v1.3 (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tls_version: Option<String>,
    /// Cipher suites of TLS 1.2, by OpenSSL's or IANA's names. Default: all that are strong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suites: Option<Vec<String>>,
    /// Curves: X25519, P-256, P-384. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecdh_curves: Option<Vec<String>>,
    /// Has no effect, as in Emissary: write a Host's requestPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_cleartext_from: Option<i64>,
    /// The name to ask upstreams for, and that their certificates have to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

/// Says which versions there are, as Emissary's definition of TLSContext does; that of Host takes
/// any text.
pub(super) fn name_versions(schema: &mut Schema) {
    for field in ["min_tls_version", "max_tls_version"] {
        let version = schema.pointer_mut(&format!("/properties/{field}"));
        if let Some(version) = version.and_then(|version| version.as_object_mut()) {
            version.insert("enum".to_owned(), json!(["v1.0", "v1.1", "v1.2", "v1.3"]));
        }
    }
}
