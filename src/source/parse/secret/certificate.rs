//! Certificates, keys and revocation lists: whether TLS can use them, and what they say.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use webpki::{EndEntityCert, OwnedCertRevocationList, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::pem::{PemError, has_label, sections};
use crate::model::tls::{Authorities, Certificate, KeyKind, Private, RevocationLists};

/// A chain is sent in every handshake; real ones have up to five certificates.
const MAX_CHAIN: usize = 16;
/// Authorities: those that browsers trust are about 150.
const MAX_AUTHORITIES: usize = 1000;
/// Names of a certificate: authorities that browsers trust sign up to 100.
const MAX_NAMES: usize = 1000;
/// Longest subject that is shown.
const LONGEST_SUBJECT: usize = 100;

/// A text, and what it is called in messages: a Secret's key, or a path.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
}

/// Why something can't be used for TLS, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("{name} {error}")]
    Pem { name: String, error: PemError },
    #[error("{name}: {position} can't be read: it is not a certificate (X.509)")]
    NotX509 { name: String, position: Position },
    #[error("{name}: {position} can't be used for TLS: {reason}")]
    Unusable { name: String, position: Position, reason: String },
    #[error(
        "{name} holds {count} certificates, more than {limit}: leave those that nobody needs out"
    )]
    TooMany { name: String, count: usize, limit: usize },
    #[error("{name}: the certificate has more than {MAX_NAMES} names")]
    TooManyNames { name: String },
    #[error(
        "the private key in {name} is encrypted, and there is nobody to ask for its passphrase: \
         write it without one (openssl pkey -in {name} -out {name})"
    )]
    Encrypted { name: String },
    #[error(
        "the private key in {name} can't be used: it has to be RSA of 2048 to 8192 bits, ECDSA \
         (P-256, P-384, P-521) or Ed25519"
    )]
    UnusableKey { name: String },
    #[error(
        "the private key in {key} belongs to {position} of {name}: put the server's certificate \
         first, and its intermediates after it"
    )]
    WrongOrder { key: String, name: String, position: Position },
    #[error(
        "the private key in {key} doesn't belong to the certificate in {name} ({subject}): they \
         have to be made as a pair"
    )]
    OtherKey { key: String, name: String, subject: String },
    #[error(
        "{name} holds no authority: {position} ({subject}) is a server's or client's certificate; \
         put the certificate of whoever has signed it there"
    )]
    NoAuthority { name: String, position: Position, subject: String },
    #[error(
        "{name}: list {index} can't be read: it has to be an X.509 CRL of version 2 ({reason})"
    )]
    Revocation { name: String, index: usize, reason: String },
}

/// Where among several a certificate stands, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    index: usize,
    count: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.count {
            1 => f.write_str("its certificate"),
            count => write!(f, "certificate {} of {count}", self.index),
        }
    }
}

/// Reads a chain and its key, and sees that they belong together and that TLS takes them.
pub(super) fn read_certificate(
    chain: Material<'_>,
    key: Material<'_>,
) -> Result<Certificate, CertificateError> {
    let ders = certificates(chain, MAX_CHAIN)?;
    let parsed = parse_all(chain.name, &ders)?;
    let (key_der, public_key, key_kind) = read_key(key)?;
    // `certificates` never gives none.
    let (Some(leaf), Some(leaf_der)) = (parsed.first(), ders.first()) else {
        return Err(CertificateError::Pem { name: chain.name.to_owned(), error: PemError::Empty });
    };
    if leaf.public_key().raw != public_key {
        let other = parsed.iter().position(|other| other.public_key().raw == public_key);
        return Err(match other {
            Some(index) => CertificateError::WrongOrder {
                key: key.name.to_owned(),
                name: chain.name.to_owned(),
                position: Position { index: index + 1, count: parsed.len() },
            },
            None => CertificateError::OtherKey {
                key: key.name.to_owned(),
                name: chain.name.to_owned(),
                subject: subject(leaf),
            },
        });
    }
    let end_entity = CertificateDer::from(leaf_der.as_slice());
    EndEntityCert::try_from(&end_entity).map_err(|error| CertificateError::Unusable {
        name: chain.name.to_owned(),
        position: Position { index: 1, count: parsed.len() },
        reason: format!("{error:?}"),
    })?;
    let names = names(chain.name, leaf)?;
    let validity = leaf.validity();
    let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let fingerprint = fingerprint(leaf_der);
    let chain = ders.into_iter().map(Arc::from).collect();
    Ok(Certificate { fingerprint, chain, key: key_der, key_kind, names, not_before, not_after })
}

/// Reads authorities: each must be one that TLS can trust, and at least one able to sign.
pub(super) fn read_authorities(from: Material<'_>) -> Result<Authorities, CertificateError> {
    let ders = certificates(from, MAX_AUTHORITIES)?;
    let parsed = parse_all(from.name, &ders)?;
    let signs = |certificate: &X509Certificate<'_>| {
        // Old ones don't say that they may sign, but have signed themselves.
        certificate.is_ca() || certificate.subject().as_raw() == certificate.issuer().as_raw()
    };
    if let (Some(first), false) = (parsed.first(), parsed.iter().any(signs)) {
        return Err(CertificateError::NoAuthority {
            name: from.name.to_owned(),
            position: Position { index: 1, count: parsed.len() },
            subject: subject(first),
        });
    }
    for (index, der) in ders.iter().enumerate() {
        let der = CertificateDer::from(der.as_slice());
        anchor_from_trusted_cert(&der).map_err(|error| CertificateError::Unusable {
            name: from.name.to_owned(),
            position: Position { index: index + 1, count: ders.len() },
            reason: format!("{error:?}"),
        })?;
    }
    Ok(Authorities(ders.into_iter().map(Arc::from).collect()))
}

/// Reads revocation lists, each whole.
pub(super) fn read_revoked(from: Material<'_>) -> Result<RevocationLists, CertificateError> {
    let ders = in_pem(from, &[SectionKind::Crl], "X509 CRL")?;
    for (index, der) in ders.iter().enumerate() {
        OwnedCertRevocationList::from_der(der).map_err(|error| CertificateError::Revocation {
            name: from.name.to_owned(),
            index: index + 1,
            reason: format!("{error:?}"),
        })?;
    }
    Ok(RevocationLists(ders.into_iter().map(Arc::from).collect()))
}

/// The key in DER, the public key that belongs to it (SubjectPublicKeyInfo), and its kind.
fn read_key(from: Material<'_>) -> Result<(Private, Vec<u8>, KeyKind), CertificateError> {
    let is_encrypted = has_label(from.bytes, "ENCRYPTED PRIVATE KEY")
        || from.bytes.windows(11).any(|window| window == b"4,ENCRYPTED");
    if is_encrypted {
        return Err(CertificateError::Encrypted { name: from.name.to_owned() });
    }
    let kinds = [SectionKind::PrivateKey, SectionKind::RsaPrivateKey, SectionKind::EcPrivateKey];
    in_pem(from, &kinds, "PRIVATE KEY")?;
    let unusable = || CertificateError::UnusableKey { name: from.name.to_owned() };
    let key = PrivateKeyDer::from_pem_slice(from.bytes).map_err(|_| unusable())?;
    let signing = any_supported_type(&key).map_err(|_| unusable())?;
    let public = signing.public_key().ok_or_else(unusable)?;
    let kind = match signing.algorithm() {
        SignatureAlgorithm::RSA => KeyKind::Rsa,
        _ => KeyKind::Ecdsa,
    };
    Ok((Private::new(key.secret_der()), public.to_vec(), kind))
}

fn certificates(from: Material<'_>, limit: usize) -> Result<Vec<Vec<u8>>, CertificateError> {
    let ders = in_pem(from, &[SectionKind::Certificate], "CERTIFICATE")?;
    if ders.len() > limit {
        let (name, count) = (from.name.to_owned(), ders.len());
        return Err(CertificateError::TooMany { name, count, limit });
    }
    Ok(ders)
}

fn in_pem(
    from: Material<'_>,
    kinds: &[SectionKind],
    wanted: &'static str,
) -> Result<Vec<Vec<u8>>, CertificateError> {
    sections(from.bytes, kinds, wanted)
        .map_err(|error| CertificateError::Pem { name: from.name.to_owned(), error })
}

fn parse_all<'a>(
    name: &str,
    ders: &'a [Vec<u8>],
) -> Result<Vec<X509Certificate<'a>>, CertificateError> {
    let parse = |(index, der): (usize, &'a Vec<u8>)| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(CertificateError::NotX509 {
            name: name.to_owned(),
            position: Position { index: index + 1, count: ders.len() },
        }),
    };
    ders.iter().enumerate().map(parse).collect()
}

/// The DNS names, in lower case; the common name where there are none, which today's clients
/// don't look at.
fn names(name: &str, leaf: &X509Certificate<'_>) -> Result<Vec<Arc<str>>, CertificateError> {
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let mut names: Vec<Arc<str>> = Vec::new();
    for general in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(dns) = general {
            names.push(dns.to_ascii_lowercase().into());
        }
    }
    if names.len() > MAX_NAMES {
        return Err(CertificateError::TooManyNames { name: name.to_owned() });
    }
    if alternatives.is_none() {
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let is_dns = |name: &&str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b))
        };
        names.extend(common.filter(is_dns).map(|name| name.to_ascii_lowercase().into()));
    }
    Ok(names)
}

/// Whose certificate it is, for people.
fn subject(certificate: &X509Certificate<'_>) -> String {
    let text = match certificate.subject().to_string() {
        text if text.is_empty() => names("", certificate).unwrap_or_default().join(", "),
        text => text,
    };
    let printable = text.chars().filter(|c| !c.is_control());
    match printable.clone().count() > LONGEST_SUBJECT {
        true => printable.take(LONGEST_SUBJECT).chain("…".chars()).collect(),
        false => printable.collect(),
    }
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, der).as_ref());
    bytes
}
