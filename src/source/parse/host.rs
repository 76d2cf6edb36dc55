//! From a Host's spec to the name that it serves.

use std::sync::Arc;

use crate::model::listener::InsecureAction;
use crate::model::object::{Problem, Severity};
use crate::model::route::HostMatch;
use crate::model::tls::SecretKey;
use crate::model::written::{HostSpec, TlsSpec};

use super::fields::{Field, Fields, Problems};
use super::known::Known;
use super::tls::{NO_REDIRECT, SecretNames, parse_secret_name, parse_tls};
use super::words::{parse_host_glob, parse_selector, parse_word};

const FIELDS: Known<'_> = Known {
    of: "a Host",
    effective: &[
        "ambassador_id",
        "ambassadorId",
        "hostname",
        "mappingSelector",
        "selector",
        "requestPolicy",
        "tlsSecret",
        "tlsContext",
        "tls",
    ],
    // `acmeProvider` and `previewUrl` are told below.
    elsewhere: &[],
    silent: &["acmeProvider", "previewUrl"],
    no_effect: &[],
    defaults: &[],
};

const REQUEST_POLICY: Known<'_> = Known {
    of: "requestPolicy",
    effective: &["insecure"],
    elsewhere: &[],
    silent: &[],
    no_effect: &[],
    defaults: &[],
};

const INSECURE: Known<'_> = Known {
    of: "requestPolicy.insecure",
    effective: &["action"],
    elsewhere: &[],
    silent: &[],
    no_effect: &[(
        "additionalPort",
        "has no effect, as in Emissary; write a Listener with this port",
    )],
    // Emissary's documents wrote -1 for no port.
    defaults: &[("additionalPort", "-1"), ("additionalPort", "0")],
};

/// The settings of `tls`, in Emissary's two spellings.
const TLS: Known<'_> = Known {
    of: "a Host's tls",
    effective: &[
        "cert_chain_file",
        "certChainFile",
        "private_key_file",
        "privateKeyFile",
        "ca_secret",
        "caSecret",
        "cacert_chain_file",
        "cacertChainFile",
        "crl_secret",
        "crlSecret",
        "v3CRLSecret",
        "alpn_protocols",
        "alpnProtocols",
        "cert_required",
        "certRequired",
        "min_tls_version",
        "minTLSVersion",
        "max_tls_version",
        "maxTLSVersion",
        "cipher_suites",
        "cipherSuites",
        "ecdh_curves",
        "ecdhCurves",
        "sni",
    ],
    elsewhere: &[],
    silent: &[],
    no_effect: &[("redirect_cleartext_from", NO_REDIRECT), ("redirectCleartextFrom", NO_REDIRECT)],
    defaults: &[],
};

const NO_ACME: &str = "has no effect, as in Emissary; let cert-manager write the certificate into a \
                       Secret, and write its name as tlsSecret";
const NO_PREVIEW: &str = "has no effect, as in Emissary; leave it out";

const ACTIONS: &[(&str, InsecureAction)] = &[
    ("Redirect", InsecureAction::Redirect),
    ("Reject", InsecureAction::Reject),
    ("Route", InsecureAction::Route),
];

/// What a Host in `namespace` asks for, or `None` where a problem forbids it.
pub(super) fn parse_host(
    fields: &Fields<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<HostSpec> {
    FIELDS.tell(fields, problems);
    tell_inert(fields, problems);
    let name = parse_hostname(fields, problems);
    let selector = parse_mapping_selector(fields, problems);
    let insecure = parse_insecure(fields, problems);
    let certificate = parse_certificate(fields, namespace, problems);
    let context = parse_context(fields, problems);
    let tls = parse_inline_tls(fields, namespace, problems);
    if let (Some(field), Some(_), Some(_)) = (fields.get("tls"), &context, &tls) {
        problems.add(Severity::Error, &field, "excludes tlsContext; keep one of them");
    }
    let (name, port) = name?;
    Some(HostSpec { name, port, selector: Arc::new(selector), insecure, certificate, context, tls })
}

/// Fields of Emissary's that nothing acts on.
fn tell_inert(fields: &Fields<'_>, problems: &mut Problems) {
    let text = |field: &Field<'_>, name: &str| {
        field.child(name).and_then(|child| child.node.as_text().map(str::to_ascii_lowercase))
    };
    let acme = fields.get("acmeProvider").filter(|field| {
        !field.node.is_neutral() && text(field, "authority").as_deref() != Some("none")
    });
    let preview = fields.get("previewUrl").filter(|field| {
        field.child("enabled").is_some_and(|enabled| enabled.node.as_bool() == Some(true))
    });
    for (field, why) in [(acme, NO_ACME), (preview, NO_PREVIEW)] {
        let Some(Field { path, location, .. }) = field else { continue };
        problems.push(Problem { location, ..Problem::no_effect_because(path, why) });
    }
}

/// `hostname`, which may name a port.
fn parse_hostname(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<(HostMatch, Option<u16>)> {
    let Some(field) = fields.get("hostname") else { return Some((HostMatch::Any, None)) };
    let text = field.text(Severity::Error, problems)?.trim();
    if text.is_empty() {
        return Some((HostMatch::Any, None));
    }
    let (name, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.ends_with(']') && !text.contains("://") => {
            let number = port.parse::<u16>().ok().filter(|number| *number != 0);
            let Some(number) = number else {
                let message = format!(
                    "\"{port}\" is not a port; write a number from 1 to 65535, or the name alone"
                );
                problems.add(Severity::Error, &field, message);
                return None;
            };
            (name, Some(number))
        }
        _ => (text, None),
    };
    Some((parse_host_glob(&field, name, problems)?, port))
}

fn parse_mapping_selector(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> std::collections::BTreeMap<String, String> {
    let set = |name| fields.get(name).filter(|field| !field.node.is_neutral());
    let (new, old) = (set("mappingSelector"), set("selector"));
    if let (Some(_), Some(old)) = (&new, &old) {
        let message = "is ignored, because mappingSelector is set; keep one of them";
        problems.add(Severity::Warning, old, message);
    }
    new.or(old).map(|field| parse_selector(&field, problems)).unwrap_or_default()
}

fn parse_insecure(fields: &Fields<'_>, problems: &mut Problems) -> InsecureAction {
    let default = InsecureAction::Redirect;
    let Some(policy) = fields.get("requestPolicy") else { return default };
    if !policy.is_map(Severity::Error, problems) {
        return default;
    }
    REQUEST_POLICY.tell_within(&policy, problems);
    let Some(insecure) = policy.child("insecure") else { return default };
    if !insecure.is_map(Severity::Error, problems) {
        return default;
    }
    INSECURE.tell_within(&insecure, problems);
    let action = insecure.child("action").filter(|action| !action.node.is_neutral());
    action.and_then(|action| parse_word(&action, ACTIONS, problems)).unwrap_or(default)
}

/// `tlsSecret`. One that can't be read is an error: without it the Host would be served in
/// cleartext.
fn parse_certificate(
    fields: &Fields<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<SecretKey> {
    let field = fields.get("tlsSecret").filter(|field| !field.node.is_neutral())?;
    let name = parse_reference(&field, problems)?;
    let name = parse_secret_name(&name.0, name.1, problems)?;
    let namespace = match field.child("namespace").filter(|it| !it.node.is_neutral()) {
        Some(other) => {
            let text = other.text(Severity::Error, problems)?;
            parse_secret_name(&other, text, problems)?
        }
        None => namespace,
    };
    Some(SecretKey { namespace: namespace.into(), name: name.into() })
}

fn parse_context(fields: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let field = fields.get("tlsContext").filter(|field| !field.node.is_neutral())?;
    parse_reference(&field, problems).map(|(_, name)| name.into())
}

/// `{name: …}`.
fn parse_reference<'a>(field: &Field<'a>, problems: &mut Problems) -> Option<(Field<'a>, &'a str)> {
    if !field.is_map(Severity::Error, problems) {
        return None;
    }
    let name = field.child("name").filter(|name| !name.node.is_neutral());
    let Some(name) = name else {
        let message = "names nothing; write its name, or leave it out";
        problems.add(Severity::Error, field, message);
        return None;
    };
    let text = name.text(Severity::Error, problems)?;
    Some((name, text))
}

fn parse_inline_tls(
    fields: &Fields<'_>,
    namespace: &str,
    problems: &mut Problems,
) -> Option<TlsSpec> {
    let field = fields.get("tls").filter(|field| !field.node.is_neutral())?;
    if !field.is_map(Severity::Error, problems) {
        return None;
    }
    TLS.tell_within(&field, problems);
    let get = |name: &str| field.child(name);
    let names = SecretNames { namespace, divided: None };
    Some(parse_tls(&get, names, problems))
}
