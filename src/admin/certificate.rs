//! What may be said of a certificate: all that everybody sees who connects, and never its key.

use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::model::date::utc;
use crate::model::tls::Certificate;

/// Names of a certificate that are shown; it may have a thousand.
const SHOWN_NAMES: usize = 20;

/// What may be said of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// Where it is kept: `Secret default/cert`. Empty where that isn't known.
    pub source: String,
    /// The names it is for, the first of them.
    pub names: Vec<String>,
    /// How many more there are.
    pub more_names: usize,
    /// Its serial number, in hexadecimal; empty where it can't be read.
    pub serial: String,
    /// Who has signed it.
    pub issuer: String,
    /// SHA-256 of it, in hexadecimal.
    pub fingerprint: String,
    /// From when it is valid.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// Whether clients take it now.
    pub validity: Validity,
}

/// Whether the time of a certificate is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It is.
    Valid,
    /// It is over.
    Expired,
    /// It hasn't come.
    NotYetValid,
    /// Nobody knows the time.
    Unknown,
}

/// Says what may be said. `now` is in seconds since 1970, 0 where nobody knows it.
pub(super) fn facts(certificate: &Certificate, source: String, now: i64) -> CertificateFacts {
    let leaf = certificate.chain.first().map(|der| X509Certificate::from_der(der));
    let leaf = leaf.and_then(Result::ok).map(|(_, leaf)| leaf);
    let names = certificate.names.iter().take(SHOWN_NAMES);
    CertificateFacts {
        source,
        names: names.map(ToString::to_string).collect(),
        more_names: certificate.names.len().saturating_sub(SHOWN_NAMES),
        serial: leaf.as_ref().map(|leaf| hex(leaf.raw_serial())).unwrap_or_default(),
        issuer: leaf.as_ref().map(|leaf| leaf.issuer().to_string()).unwrap_or_default(),
        fingerprint: hex(&certificate.fingerprint),
        not_before: utc(certificate.not_before),
        not_after: utc(certificate.not_after),
        validity: match now {
            0 => Validity::Unknown,
            now if now > certificate.not_after => Validity::Expired,
            now if now < certificate.not_before => Validity::NotYetValid,
            _ => Validity::Valid,
        },
    }
}

impl Validity {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired: clients refuse it",
            Self::NotYetValid => "not valid yet: clients refuse it",
            Self::Unknown => "validity not known",
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tls::{KeyKind, Private};

    #[test]
    fn a_certificate_is_told_without_its_key() {
        let certificate = Certificate {
            fingerprint: [0xab; 32],
            chain: vec![],
            key: Private::new(*b"canary"),
            key_kind: KeyKind::Ecdsa,
            names: (0..25).map(|n| format!("{n}.example").into()).collect(),
            not_before: 100,
            not_after: 200,
        };
        let at = |now| facts(&certificate, "Secret default/cert".to_owned(), now);
        let told = at(150);
        assert_eq!((told.names.len(), told.more_names), (20, 5));
        assert_eq!((told.validity, told.fingerprint.len()), (Validity::Valid, 64));
        assert!(!format!("{told:?}").contains("canary"));
        for (now, expected) in
            [(0, Validity::Unknown), (99, Validity::NotYetValid), (201, Validity::Expired)]
        {
            assert_eq!(at(now).validity, expected);
        }
    }
}
