//! A certificate with its private key: made, read, and checked.
//!
//! It is signed by itself and no authority: what the API server is told to trust can vouch for
//! nothing but this one key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

/// How far a certificate begins in the past: the clocks of the API server and ours may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Why something is no certificate that can be used. Never holds any of its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PairError {
    #[error("it holds no certificate")]
    NoCertificate,
    #[error("it holds no private key that can be read")]
    NoKey,
    #[error("certificate and private key don't belong together, or can't be used: {0}")]
    Unusable(String),
    #[error("the certificate is not for {0}")]
    WrongName(String),
    #[error(
        "the certificate has expired, is not valid yet, or is not signed by what comes with it"
    )]
    NotValid,
    #[error("a certificate can't be made: {0}")]
    NotMade(String),
}

/// A private key as PEM. It shows itself to those who ask for it by name only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PrivatePem(Arc<str>);

impl PrivatePem {
    /// The text, for the Secret.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivatePem(…)")
    }
}

/// A certificate and its key, which belong together.
#[derive(Clone)]
pub(super) struct Pair {
    /// The certificate as PEM; a chain where an authority has issued it.
    pub(super) certificate: Arc<str>,
    /// Its private key.
    pub(super) key: PrivatePem,
    served: Arc<CertifiedKey>,
}

/// Two pairs are the same if their texts are.
impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key == other.key
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Pair {
    /// Makes a certificate for a DNS name, valid from `now` on for as long as told.
    pub(super) fn issue(
        name: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, PairError> {
        let failed = |error: rcgen::Error| PairError::NotMade(error.to_string());
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "nuncio admission webhook");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + lifetime).into();
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Self::parse(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    }

    /// Reads both as PEM, and sees that they belong together.
    pub(super) fn parse(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = parse_certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| PairError::NoKey)?;
        let served = CertifiedKey::from_der(chain, private, &provider())
            .map_err(|error| PairError::Unusable(error.to_string()))?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned().into();
        Ok(Self {
            certificate: text(certificate),
            key: PrivatePem(text(key)),
            served: Arc::new(served),
        })
    }

    /// What TLS serves.
    pub(super) fn served(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.served)
    }

    /// Whether somebody who trusts `authorities` (PEM; without any, the certificate itself)
    /// would take it for `name` at that time.
    pub(super) fn check(
        &self,
        name: &str,
        at: SystemTime,
        authorities: Option<&[u8]>,
    ) -> Result<(), PairError> {
        check_chain(&self.served.cert, name, at, authorities)
    }
}

/// The one provider of cryptography that is linked.
pub(in crate::admission) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Whether a certificate, as PEM, is signed by itself and would be taken for `name` at that time.
pub(super) fn is_valid(pem: &str, name: &str, at: SystemTime) -> bool {
    parse_certificates(pem.as_bytes()).and_then(|chain| check_chain(&chain, name, at, None)).is_ok()
}

fn check_chain(
    chain: &[CertificateDer<'static>],
    name: &str,
    at: SystemTime,
    authorities: Option<&[u8]>,
) -> Result<(), PairError> {
    let (first, others) = chain.split_first().ok_or(PairError::NoCertificate)?;
    let parsed = ParsedCertificate::try_from(first)
        .map_err(|error| PairError::Unusable(error.to_string()))?;
    let wrong_name = || PairError::WrongName(name.to_owned());
    let server = ServerName::try_from(name).map_err(|_| wrong_name())?;
    verify_server_name(&parsed, &server).map_err(|_| wrong_name())?;
    let trusted = match authorities {
        Some(pem) => parse_certificates(pem)?,
        None => vec![first.clone()],
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &roots,
        others,
        UnixTime::since_unix_epoch(since),
        provider().signature_verification_algorithms.all,
    )
    .map_err(|_| PairError::NotValid)
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| PairError::NoCertificate)?;
    if certificates.is_empty() { Err(PairError::NoCertificate) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "nuncio-admission.gateways.svc";
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_is_made_can_be_read_and_trusted_for_its_time() {
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let made = Pair::issue(NAME, now, 90 * DAY).unwrap();
        let read = Pair::parse(made.certificate.as_bytes(), made.key.expose().as_bytes()).unwrap();
        assert_eq!(made, read);
        for (days, expected) in [(0, Ok(())), (89, Ok(())), (91, Err(PairError::NotValid))] {
            assert_eq!(read.check(NAME, now + days * DAY, None), expected, "after {days} days");
        }
        let early = read.check(NAME, now - 2 * CLOCK_SKEW, None);
        assert_eq!(early, Err(PairError::NotValid));
        let other = read.check("other.gateways.svc", now, None);
        assert_eq!(other, Err(PairError::WrongName("other.gateways.svc".into())));
        let stranger = Pair::issue(NAME, now, 90 * DAY).unwrap();
        let trusting_it = read.check(NAME, now, Some(stranger.certificate.as_bytes()));
        assert_eq!(trusting_it, Err(PairError::NotValid));
        let mixed = Pair::parse(made.certificate.as_bytes(), stranger.key.expose().as_bytes());
        assert!(matches!(mixed, Err(PairError::Unusable(_))), "{mixed:?}");
    }

    #[test]
    fn what_is_no_pair_is_told() {
        let made = Pair::issue(NAME, SystemTime::now(), DAY).unwrap();
        let (certificate, key) = (made.certificate.as_bytes(), made.key.expose().as_bytes());
        let cut = &certificate[..certificate.len() / 2];
        for (certificate, key, expected) in [
            (&b""[..], key, PairError::NoCertificate),
            (b"hello", key, PairError::NoCertificate),
            (cut, key, PairError::NoCertificate),
            (certificate, b"", PairError::NoKey),
            (certificate, b"\xff\xfe", PairError::NoKey),
        ] {
            assert_eq!(Pair::parse(certificate, key).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_key_shows_nothing() {
        let made = Pair::issue(NAME, SystemTime::now(), DAY).unwrap();
        let shown = format!("{made:?} {:?}", made.key);
        assert!(!shown.contains("PRIVATE"), "{shown}");
        assert!(!shown.contains(made.key.expose().lines().nth(1).unwrap()), "{shown}");
    }
}
