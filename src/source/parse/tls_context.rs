//! From a TLSContext's spec to how TLS is spoken.

use std::sync::Arc;

use crate::model::object::Severity;
use crate::model::written::TlsSpec;

use super::fields::{Fields, Problems};
use super::known::Known;
use super::tls::{NO_REDIRECT, SecretNames, parse_tls};
use super::words::parse_host_glob;

const FIELDS: Known<'_> = Known {
    of: "a TLSContext",
    effective: &[
        "ambassador_id",
        "hosts",
        "secret",
        "cert_chain_file",
        "private_key_file",
        "ca_secret",
        "cacert_chain_file",
        "crl_secret",
        "v3CRLSecret",
        "alpn_protocols",
        "cert_required",
        "min_tls_version",
        "max_tls_version",
        "cipher_suites",
        "ecdh_curves",
        "secret_namespacing",
        "sni",
    ],
    elsewhere: &[],
    silent: &[],
    no_effect: &[("redirect_cleartext_from", NO_REDIRECT)],
    defaults: &[],
};

/// How a TLSContext in `namespace` wants TLS to be spoken.
pub(super) fn parse_tls_context(
    fields: &Fields<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> TlsSpec {
    FIELDS.tell(fields, problems);
    let divided =
        fields.get("secret_namespacing").and_then(|field| field.flag(Severity::Error, problems));
    let hosts = parse_hosts(fields, problems);
    let get = |name: &str| fields.get(name);
    let spec = parse_tls(&get, SecretNames { namespace, divided }, problems);
    let undivided = spec.undivided.as_deref();
    let undivided = undivided.map(|it| Arc::new(TlsSpec { hosts: hosts.clone(), ..it.clone() }));
    TlsSpec { hosts, undivided, ..spec }
}

fn parse_hosts(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let Some(field) = fields.get("hosts") else { return Vec::new() };
    let mut hosts = Vec::new();
    for host in field.texts(Severity::Error, problems) {
        let text = host.node.as_text().unwrap_or_default();
        if parse_host_glob(&host, text, problems).is_some() {
            hosts.push(Arc::from(text.to_lowercase()));
        }
    }
    hosts
}
