//! Secrets and PEM files → what TLS needs of them, or what is wrong with them in words for the
//! author of whoever names them. No message ever holds a byte of what was read, but for names in
//! certificates, which everybody may see.

mod certificate;
mod pem;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use serde_json::Value as Json;

use self::certificate::{Material, read_authorities, read_certificate, read_revoked};
use super::kubernetes::namespace_of;
use crate::model::secret::{SecretContents, SecretState};
use crate::model::tls::SecretKey;

/// Types of Secrets that may hold certificates; without one, a Secret is `Opaque`.
const TYPES: [&str; 4] = ["Opaque", "", "kubernetes.io/tls", "istio.io/key-and-cert"];

/// Larger values are not read: Kubernetes takes no Secret larger than this as a whole.
pub(in crate::source) const MAX_BYTES: usize = 1 << 20;

/// Keys that hold a certificate with its chain, those that hold its private key, in the order in
/// which they are looked for; Istio's come second.
const PAIRS: [(&str, &str); 2] = [("tls.crt", "tls.key"), ("cert-chain.pem", "key.pem")];
/// Keys that hold authorities. `tls.crt` comes first, as in Emissary: a Secret that cert-manager
/// made for an authority has that authority there, and in `ca.crt` the one above it, to which
/// trust must not be widened.
const AUTHORITIES: [&str; 3] = ["tls.crt", "root-cert.pem", "ca.crt"];
/// The key that holds revocation lists.
const REVOKED: &str = "crl.pem";

/// Reads a core/v1 Secret, as JSON; `None` if it has no name.
pub fn parse_secret(raw: &Json) -> Option<(SecretKey, SecretState)> {
    let key =
        SecretKey { namespace: namespace_of(raw), name: raw["metadata"]["name"].as_str()?.into() };
    Some((key, parse_state(raw)))
}

/// Reads files of the gateway's own: certificates, and the key where one is named. Each comes with
/// its path, for messages.
pub fn parse_pem_files(certificates: (&str, &[u8]), key: Option<(&str, &[u8])>) -> SecretContents {
    let certificates = Material { name: certificates.0, bytes: certificates.1 };
    let key = key.map(|(name, bytes)| Material { name, bytes });
    SecretContents {
        certificate: match key {
            Some(key) => shown(read_certificate(certificates, key)),
            None => Ok(None),
        },
        // The same field names authorities or a revocation list: whoever asks knows which.
        authorities: shown(read_authorities(certificates)),
        revoked: shown(read_revoked(certificates)),
    }
}

fn parse_state(raw: &Json) -> SecretState {
    let kind = raw["type"].as_str().unwrap_or_default();
    if !TYPES.contains(&kind) {
        return SecretState::Unreadable(
            format!(
                "its type is {kind:?}, which holds no certificate: name a Secret of type \
                 kubernetes.io/tls or Opaque"
            )
            .into(),
        );
    }
    match values(raw) {
        Ok(values) => SecretState::Present(Arc::new(parse_secret_values(&values))),
        Err(message) => SecretState::Unreadable(message),
    }
}

/// The values of the keys that are read; `stringData` wins, as the API server has it.
fn values(raw: &Json) -> Result<BTreeMap<&str, Vec<u8>>, Arc<str>> {
    let mut values = BTreeMap::new();
    let entries = |field: &str| raw[field].as_object().into_iter().flatten();
    let is_read = |key: &str| {
        PAIRS.iter().any(|(certificate, private)| key == *certificate || key == *private)
            || AUTHORITIES.contains(&key)
            || key == REVOKED
    };
    for (key, value) in entries("data").filter(|(key, _)| is_read(key)) {
        values.insert(key.as_str(), decode(key, value)?);
    }
    for (key, value) in entries("stringData").filter(|(key, _)| is_read(key)) {
        let text = value.as_str().ok_or_else(|| -> Arc<str> {
            format!("stringData.{key} is not text: quote it, or write it after |").into()
        })?;
        values.insert(key.as_str(), text.as_bytes().to_vec());
    }
    for (key, value) in &values {
        if value.len() > MAX_BYTES {
            return Err(format!("{key} is larger than {} MiB", MAX_BYTES >> 20).into());
        }
    }
    Ok(values)
}

fn decode(key: &str, value: &Json) -> Result<Vec<u8>, Arc<str>> {
    let wrong =
        || format!("data.{key} is not base64: encode it, or write it as it is below stringData");
    let text = value.as_str().ok_or_else(wrong)?;
    // Folded in a file; the API server never has blanks.
    let text: String = text.split_ascii_whitespace().collect();
    let ByteString(bytes) = serde_json::from_value(text.into()).map_err(|_| wrong())?;
    Ok(bytes)
}

/// Reads the values of a Secret by their keys.
pub fn parse_secret_values(values: &BTreeMap<&str, Vec<u8>>) -> SecretContents {
    let material = |name: &'static str| {
        values.get(name).map(|bytes| Material { name, bytes: bytes.as_slice() })
    };
    let pair = PAIRS
        .iter()
        .find(|(certificate, key)| values.contains_key(certificate) || values.contains_key(key));
    let certificate = match pair {
        None => Ok(None),
        Some((certificate, key)) => match (material(certificate), material(key)) {
            (Some(certificate), Some(key)) => shown(read_certificate(certificate, key)),
            (None, _) => {
                Err(missing(certificate, "the certificate, followed by its intermediates"))
            }
            (_, None) => Err(missing(key, "the private key")),
        },
    };
    let authorities = AUTHORITIES.iter().find_map(|name| material(name));
    SecretContents {
        certificate,
        authorities: authorities.map_or(Ok(None), |from| shown(read_authorities(from))),
        revoked: material(REVOKED).map_or(Ok(None), |from| shown(read_revoked(from))),
    }
}

fn missing(key: &str, what: &str) -> Arc<str> {
    format!("{key} is missing: put {what} there, in PEM").into()
}

/// The same, with an error in words.
fn shown<T>(read: Result<T, certificate::CertificateError>) -> Result<Option<Arc<T>>, Arc<str>> {
    match read {
        Ok(value) => Ok(Some(Arc::new(value))),
        Err(error) => Err(error.to_string().into()),
    }
}
