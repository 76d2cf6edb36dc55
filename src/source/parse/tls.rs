//! TLS settings, which stand in a TLSContext or in a Host's `tls`.
//!
//! Whatever is wrong here makes the object unusable: with one setting left out TLS would be
//! weaker than its author asked for.

use std::sync::Arc;

use crate::model::object::Severity;
use crate::model::tls::{SecretKey, TlsParameters, TlsVersion};
use crate::model::written::{PemSource, TlsSpec};

use super::fields::{Field, Problems};
use super::tls_names::{Named, cipher_suite, curve, curve_names, suite_names};
use super::words::instead_of;

/// Longest name of a Kubernetes object (DNS-1123 subdomain).
const MAX_NAME: usize = 253;

/// Longest name of an application protocol (RFC 7301, §3.1).
const MAX_PROTOCOL: usize = 255;

/// The one protocol that people write and that no TLS over TCP can choose.
const HTTP_3: &str = "h3";

/// What is told of `redirect_cleartext_from`.
pub(super) const NO_REDIRECT: &str = "has no effect, as in Emissary; write requestPolicy: {insecure: {action: Redirect}} in the Host";

/// Reads a field by its name.
pub(super) type Get<'g, 'a> = &'g dyn Fn(&str) -> Option<Field<'a>>;

/// How names of Secrets are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct SecretNames<'a> {
    /// The namespace of the object.
    pub(super) namespace: &'a str,
    /// `secret_namespacing`: whether the last dot divides a name from a namespace. `None` leaves
    /// it to the Module.
    pub(super) divided: Option<bool>,
}

/// Where certificates, authorities and revocations are.
#[derive(Debug, Default)]
struct Sources {
    certificate: Option<PemSource>,
    authorities: Option<PemSource>,
    revoked: Option<PemSource>,
}

/// The settings, as far as they can be read; what can't is told as an error.
pub(super) fn parse_tls(
    get: Get<'_, '_>,
    names: SecretNames<'_>,
    problems: &mut Problems,
) -> TlsSpec {
    let sources = parse_sources(get, names.namespace, names.divided.unwrap_or(true), problems);
    let required = first(get, &["cert_required", "certRequired"])
        .and_then(|field| field.flag(Severity::Error, problems).map(|flag| (field, flag)));
    let has_authorities = sources.authorities.is_some();
    if let (Some((field, true)), false) = (&required, has_authorities) {
        let message = "needs ca_secret or cacert_chain_file: without it any certificate would do";
        problems.add(Severity::Error, field, message);
    }
    let spec = TlsSpec {
        certificate: sources.certificate,
        authorities: sources.authorities,
        revoked: sources.revoked,
        required: required.is_some_and(|(_, flag)| flag),
        sni: parse_sni(get, problems),
        parameters: parse_parameters(get, problems),
        ..TlsSpec::default()
    };
    if names.divided.is_some() {
        return spec;
    }
    // What is wrong has been told; a name that only reads in one way isn't wrong.
    let Sources { certificate, authorities, revoked } =
        parse_sources(get, names.namespace, false, &mut Problems::default());
    let undivided = TlsSpec { certificate, authorities, revoked, ..spec.clone() };
    let undivided = (undivided != spec).then(|| Arc::new(undivided));
    TlsSpec { undivided, ..spec }
}

/// The first of several spellings that is set to anything.
fn first<'a>(get: Get<'_, 'a>, names: &[&str]) -> Option<Field<'a>> {
    names.iter().find_map(|name| get(name)).filter(|field| {
        // `false` says something.
        !field.node.is_neutral() || field.node.as_bool().is_some()
    })
}

fn first_text<'a>(
    get: Get<'_, 'a>,
    names: &[&str],
    problems: &mut Problems,
) -> Option<(Field<'a>, &'a str)> {
    let field = first(get, names)?;
    let text = field.text(Severity::Error, problems)?.trim();
    (!text.is_empty()).then_some((field, text))
}

fn parse_sources(
    get: Get<'_, '_>,
    namespace: &str,
    divided: bool,
    problems: &mut Problems,
) -> Sources {
    let secret = |names: &[&str], problems: &mut Problems| {
        let (field, text) = first_text(get, names, problems)?;
        let key = parse_secret_key(&field, text, namespace, divided, problems)?;
        Some((field, PemSource::Secret(key)))
    };
    let named = secret(&["secret"], problems);
    let named_ca = secret(&["ca_secret", "caSecret"], problems);
    let revoked = secret(&["crl_secret", "crlSecret", "v3CRLSecret"], problems);
    let certificate = parse_certificate(get, named, problems);
    let authorities = parse_authorities(get, named_ca, problems);
    if let (Some((field, _)), None) = (&revoked, &authorities) {
        let message = "needs ca_secret or cacert_chain_file: without it no certificate is checked";
        problems.add(Severity::Error, field, message);
    }
    Sources { certificate, authorities, revoked: revoked.map(|(_, source)| source) }
}

fn parse_certificate(
    get: Get<'_, '_>,
    named: Option<(Field<'_>, PemSource)>,
    problems: &mut Problems,
) -> Option<PemSource> {
    let chain = first_text(get, &["cert_chain_file", "certChainFile"], problems);
    let key = first_text(get, &["private_key_file", "privateKeyFile"], problems);
    match (named, chain, key) {
        (Some((_, source)), None, None) => Some(source),
        (Some(_), Some((field, _)), _) | (Some(_), None, Some((field, _))) => {
            let message = "excludes secret; keep the Secret, or name both files and no Secret";
            problems.add(Severity::Error, &field, message);
            None
        }
        (None, Some((_, certificates)), Some((_, key))) => {
            Some(PemSource::Files { certificates: certificates.into(), key: Some(key.into()) })
        }
        (None, Some((field, _)), None) => {
            let message = "needs private_key_file beside it";
            problems.add(Severity::Error, &field, message);
            None
        }
        (None, None, Some((field, _))) => {
            problems.add(Severity::Error, &field, "needs cert_chain_file beside it");
            None
        }
        (None, None, None) => None,
    }
}

fn parse_authorities(
    get: Get<'_, '_>,
    named: Option<(Field<'_>, PemSource)>,
    problems: &mut Problems,
) -> Option<PemSource> {
    let file = first_text(get, &["cacert_chain_file", "cacertChainFile"], problems);
    match (named, file) {
        (Some((_, source)), None) => Some(source),
        (Some((_, source)), Some((field, _))) => {
            problems.add(Severity::Warning, &field, "is ignored, because ca_secret is set");
            Some(source)
        }
        (None, Some((_, file))) => Some(PemSource::Files { certificates: file.into(), key: None }),
        (None, None) => None,
    }
}

/// `name`, or `name.namespace` divided at the last dot.
fn parse_secret_key(
    field: &Field<'_>,
    text: &str,
    own: &str,
    divided: bool,
    problems: &mut Problems,
) -> Option<SecretKey> {
    let text = parse_secret_name(field, text, problems)?;
    let (name, namespace) = match text.rsplit_once('.') {
        Some(parts) if divided => parts,
        _ => (text, own),
    };
    Some(SecretKey { namespace: namespace.into(), name: name.into() })
}

/// The name of a Secret or of a namespace.
pub(super) fn parse_secret_name<'a>(
    field: &Field<'_>,
    text: &'a str,
    problems: &mut Problems,
) -> Option<&'a str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| !label.is_empty() && label.bytes().all(allowed);
    if text.len() > MAX_NAME || !text.split('.').all(label) {
        let message = format!(
            "\"{text}\" is no name that Kubernetes takes; write lower-case letters, digits, \
             hyphens and dots"
        );
        problems.add(Severity::Error, field, message);
        return None;
    }
    Some(text)
}

fn parse_sni(get: Get<'_, '_>, problems: &mut Problems) -> Option<Arc<str>> {
    let (field, text) = first_text(get, &["sni"], problems)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let label = |label: &str| !label.is_empty() && label.bytes().all(allowed);
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > MAX_NAME || !name.split('.').all(label) {
        let message = format!(
            "\"{text}\" is not a host name; write the one that the upstream's certificate is for"
        );
        problems.add(Severity::Error, &field, message);
        return None;
    }
    Some(name.to_ascii_lowercase().into())
}

fn parse_parameters(get: Get<'_, '_>, problems: &mut Problems) -> TlsParameters {
    let min_version = parse_version(get, &["min_tls_version", "minTLSVersion"], problems);
    let max_version = parse_version(get, &["max_tls_version", "maxTLSVersion"], problems);
    if let (Some((field, min)), Some((_, max))) = (&min_version, &max_version)
        && min > max
    {
        let message = "is newer than max_tls_version, so that no version is left";
        problems.add(Severity::Error, field, message);
    }
    if let (Some((_, TlsVersion::V1_3)), Some(field)) =
        (&min_version, first(get, &["cipher_suites", "cipherSuites"]))
    {
        let message = "has no effect: the suites of TLS 1.3 are not chosen, and min_tls_version \
                       leaves no other; leave it out";
        problems.add(Severity::Warning, &field, message);
    }
    TlsParameters {
        min_version: min_version.map(|(_, version)| version),
        max_version: max_version.map(|(_, version)| version),
        cipher_suites: parse_suites(get, problems),
        curves: parse_curves(get, problems),
        alpn: parse_alpn(get, problems),
    }
}

fn parse_version<'a>(
    get: Get<'_, 'a>,
    names: &[&str],
    problems: &mut Problems,
) -> Option<(Field<'a>, TlsVersion)> {
    let (field, text) = first_text(get, names, problems)?;
    let version = match text {
        "v1.2" => TlsVersion::V1_2,
        "v1.3" => TlsVersion::V1_3,
        "v1.0" | "v1.1" => {
            let message = format!("{text} is broken and not spoken; v1.2 counts instead");
            problems.add(Severity::Warning, &field, message);
            TlsVersion::V1_2
        }
        _ => {
            let message = format!("\"{text}\" is no version of TLS; write v1.2 or v1.3");
            problems.add(Severity::Error, &field, message);
            return None;
        }
    };
    Some((field, version))
}

/// Envoy's `[A|B]` are suites of equal rank; here all are.
fn parse_suites(get: Get<'_, '_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let Some(field) = first(get, &["cipher_suites", "cipherSuites"]) else { return Vec::new() };
    let mut suites: Vec<Arc<str>> = Vec::new();
    let mut only_newer = true;
    for item in field.texts(Severity::Error, problems) {
        let text = item.node.as_text().unwrap_or_default().trim();
        let group = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        for name in group.split('|').map(str::trim) {
            let named = cipher_suite(name);
            only_newer &= named == Named::Always;
            let (severity, message) = match named {
                Named::Spoken(suite) => {
                    if !suites.iter().any(|known| **known == *suite) {
                        suites.push(suite.into());
                    }
                    continue;
                }
                Named::Always => (
                    Severity::Warning,
                    format!(
                        "{name} is of TLS 1.3, whose suites no list chooses; it is always offered"
                    ),
                ),
                Named::NotSpoken => {
                    (Severity::Warning, format!("{name} is weak and not spoken; it is left out"))
                }
                Named::Unknown => {
                    let instead = instead_of(name, &suite_names().collect::<Vec<_>>());
                    (Severity::Error, format!("\"{name}\" is no cipher suite; {instead}"))
                }
            };
            problems.add(severity, &item, message);
        }
    }
    if suites.is_empty() && !only_newer && !problems.has_errors() {
        let names: Vec<&str> = suite_names().collect();
        let message = format!("leaves no suite; write one of {}", names.join(", "));
        problems.add(Severity::Error, &field, message);
    }
    suites
}

fn parse_curves(get: Get<'_, '_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let Some(field) = first(get, &["ecdh_curves", "ecdhCurves"]) else { return Vec::new() };
    let mut curves: Vec<Arc<str>> = Vec::new();
    let mut written = 0;
    for item in field.texts(Severity::Error, problems) {
        written += 1;
        let name = item.node.as_text().unwrap_or_default().trim();
        match curve(name) {
            Named::Spoken(own) => {
                if !curves.iter().any(|known| **known == *own) {
                    curves.push(own.into());
                }
            }
            Named::Always | Named::NotSpoken => {
                let message = format!("{name} is not spoken; it is left out");
                problems.add(Severity::Warning, &item, message);
            }
            Named::Unknown => {
                let instead = instead_of(name, &curve_names().collect::<Vec<_>>());
                let message = format!("\"{name}\" is no curve; {instead}");
                problems.add(Severity::Error, &item, message);
            }
        }
    }
    if curves.is_empty() && written > 0 && !problems.has_errors() {
        let names: Vec<&str> = curve_names().collect();
        let message = format!("leaves no curve; write one of {}", names.join(", "));
        problems.add(Severity::Error, &field, message);
    }
    curves
}

/// `h2, http/1.1`. Alone, a protocol that no client asks for over TCP would end every handshake.
fn parse_alpn(get: Get<'_, '_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let Some((field, text)) = first_text(get, &["alpn_protocols", "alpnProtocols"], problems)
    else {
        return Vec::new();
    };
    let mut protocols: Vec<Arc<str>> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name == HTTP_3 {
            let message = "h3 is spoken over QUIC only and is left out; write h2, http/1.1";
            problems.add(Severity::Warning, &field, message);
        } else if name.len() > MAX_PROTOCOL || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("\"{name}\" is no application protocol; write h2, http/1.1");
            problems.add(Severity::Error, &field, message);
        } else if !protocols.iter().any(|known| **known == *name) {
            protocols.push(name.into());
        }
    }
    protocols
}
