//! From what objects ask of TLS to what rustls speaks, towards clients and towards upstreams. Names
//! are those of [`SUITES`](crate::model::tls::SUITES) and [`CURVES`](crate::model::tls::CURVES).

use rustls::crypto::aws_lc_rs;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use crate::model::tls::{TlsParameters, TlsVersion};

/// Why nothing is left that could be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParametersError {
    /// The versions exclude all.
    #[error("no TLS version is left between the oldest and the newest that are allowed")]
    Versions,
    /// The suites exclude all.
    #[error("none of the cipher suites can be served with the allowed TLS versions")]
    CipherSuites,
    /// The curves exclude all.
    #[error("none of the key exchange groups can be served")]
    Curves,
}

/// The versions from the oldest to the newest that are allowed.
///
/// # Errors
///
/// There is none.
pub(crate) fn build_versions(
    parameters: &TlsParameters,
) -> Result<Vec<&'static SupportedProtocolVersion>, ParametersError> {
    let min = parameters.min_version.unwrap_or(TlsVersion::V1_2);
    let max = parameters.max_version.unwrap_or(TlsVersion::V1_3);
    let all = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    let allowed = all.into_iter().filter(|(version, _)| (min..=max).contains(version));
    let versions: Vec<_> = allowed.map(|(_, version)| version).collect();
    if versions.is_empty() { Err(ParametersError::Versions) } else { Ok(versions) }
}

/// The cryptography, as far as it is allowed, what is wanted first in front. A list of suites
/// doesn't choose those of TLS 1.3.
///
/// # Errors
///
/// No suite or no group is left.
pub(crate) fn build_provider(
    parameters: &TlsParameters,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<CryptoProvider, ParametersError> {
    let mut provider = aws_lc_rs::default_provider();
    let is_wanted = |suite: &SupportedCipherSuite| {
        let name = suite.suite();
        let name = name.as_str().unwrap_or_default();
        suite.tls13().is_some()
            || parameters.cipher_suites.is_empty()
            || parameters.cipher_suites.iter().any(|one| one.eq_ignore_ascii_case(name))
    };
    provider.cipher_suites.retain(|suite| is_wanted(suite) && versions.contains(&suite.version()));
    if provider.cipher_suites.is_empty() {
        return Err(ParametersError::CipherSuites);
    }
    provider.cipher_suites.sort_by_key(|suite| rank(suite, parameters));
    if !parameters.curves.is_empty() {
        provider.kx_groups = parameters.curves.iter().filter_map(|name| group(name)).collect();
        if provider.kx_groups.is_empty() {
            return Err(ParametersError::Curves);
        }
    }
    Ok(provider)
}

/// Where a suite stands: as written, else as in Envoy, those with SHA-256 before those with SHA-384.
/// Processors hash SHA-256 in hardware: SHA-384 was a twentieth of the time of a resumed handshake
/// that clients with OpenSSL began.
fn rank(suite: &SupportedCipherSuite, parameters: &TlsParameters) -> (bool, usize, bool) {
    let name = suite.suite();
    let name = name.as_str().unwrap_or_default();
    let written = parameters.cipher_suites.iter().position(|one| one.eq_ignore_ascii_case(name));
    (suite.tls13().is_none(), written.unwrap_or_default(), name.ends_with("SHA384"))
}

fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    let wanted = match name.to_ascii_uppercase().as_str() {
        "X25519" => NamedGroup::X25519,
        "P-256" | "SECP256R1" => NamedGroup::secp256r1,
        "P-384" | "SECP384R1" => NamedGroup::secp384r1,
        "X25519MLKEM768" => NamedGroup::X25519MLKEM768,
        _ => return None,
    };
    aws_lc_rs::ALL_KX_GROUPS.iter().copied().find(|group| group.name() == wanted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::tls::{CURVES, KeyKind, SUITES, TlsFault};

    fn build(parameters: &TlsParameters) -> Result<CryptoProvider, ParametersError> {
        build_provider(parameters, &build_versions(parameters)?)
    }

    #[test]
    fn every_name_is_the_librarys() {
        for suite in SUITES {
            let cipher_suites = vec![Arc::from(suite.name)];
            let max_version = Some(TlsVersion::V1_2);
            let parameters =
                TlsParameters { cipher_suites, max_version, ..TlsParameters::default() };
            let found = build(&parameters).expect(suite.name).cipher_suites;
            let [rustls::SupportedCipherSuite::Tls12(found)] = found.as_slice() else {
                panic!("{}: {found:?}", suite.name);
            };
            let rsa = found.sign.iter().any(|it| format!("{it:?}").starts_with("RSA"));
            assert_eq!(rsa, suite.key == KeyKind::Rsa, "{}", suite.name);
        }
        for curve in CURVES {
            let curves = vec![Arc::from(curve.name)];
            let parameters = TlsParameters { curves, ..TlsParameters::default() };
            let found = build(&parameters).expect(curve.name).kx_groups;
            assert_eq!(found.len(), 1);
            let is_old = found[0].usable_for_version(rustls::ProtocolVersion::TLSv1_2);
            assert_eq!(is_old, curve.is_old, "{}", curve.name);
        }
    }

    #[test]
    fn what_is_written_first_comes_first() {
        let order = |cipher_suites: &[&'static str]| {
            let cipher_suites = cipher_suites.iter().copied().map(Arc::from).collect();
            let provider = build(&TlsParameters { cipher_suites, ..TlsParameters::default() });
            let suites = provider.expect("suites are left").cipher_suites;
            let name = |suite: &SupportedCipherSuite| suite.suite().as_str().expect("named");
            suites.iter().map(name).collect::<Vec<_>>()
        };
        let modern = [
            "TLS13_AES_128_GCM_SHA256",
            "TLS13_CHACHA20_POLY1305_SHA256",
            "TLS13_AES_256_GCM_SHA384",
        ];
        let usual = order(&[]);
        assert_eq!(usual[..3], modern);
        assert_eq!(usual[3], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        assert!(usual[usual.len() - 2..].iter().all(|name| name.ends_with("SHA384")), "{usual:?}");
        let (rsa, ecdsa) =
            ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        for written in [[rsa, ecdsa], [ecdsa, rsa]] {
            assert_eq!(order(&written), [&modern[..], &written].concat());
        }
    }

    #[test]
    fn what_has_no_fault_is_served() {
        let versions = [None, Some(TlsVersion::V1_2), Some(TlsVersion::V1_3)];
        for (min_version, max_version) in
            versions.iter().flat_map(|min| versions.iter().map(move |max| (*min, *max)))
        {
            let parameters = TlsParameters { min_version, max_version, ..TlsParameters::default() };
            match parameters.fault(None) {
                None => assert!(build(&parameters).is_ok(), "{parameters:?}"),
                Some(fault) => {
                    assert_eq!(fault, TlsFault::Versions);
                    assert_eq!(build(&parameters).err(), Some(ParametersError::Versions));
                }
            }
        }
    }
}
