//! From what is asked for to what rustls serves.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite};
use rustls::{SupportedProtocolVersion, server};

use super::configs::Speaks;
use crate::model::tls::{Certificate, ClientValidation, Termination, TlsParameters, TlsVersion};

/// What is offered where nothing else is written.
const HTTP_PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// Why a [`Termination`] can't be served. For people: it never quotes a byte of a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The key isn't one that can be used, or isn't the certificate's.
    #[error("the certificate and its key can't be used: {0}")]
    Certificate(rustls::Error),
    /// An authority isn't a certificate.
    #[error("a certificate of the client authorities can't be used: {0}")]
    Authority(rustls::Error),
    /// The authorities and the revocation lists don't make a verifier.
    #[error("the client authorities or their revocation lists can't be used: {0}")]
    Clients(#[from] server::VerifierBuilderError),
    /// The versions exclude all.
    #[error("no TLS version is left between the oldest and the newest that are allowed")]
    Versions,
    /// The suites exclude all.
    #[error("none of the cipher suites can be served with the allowed TLS versions")]
    CipherSuites,
    /// The curves exclude all.
    #[error("none of the key exchange groups can be served")]
    Curves,
    /// What is left doesn't fit together.
    #[error("the TLS settings don't fit together: {0}")]
    Settings(rustls::Error),
}

/// Builds what rustls serves.
pub(super) fn build_config(
    termination: &Termination,
    speaks: Speaks,
) -> Result<ServerConfig, TlsError> {
    let versions = versions(&termination.parameters)?;
    let provider = Arc::new(provider(&termination.parameters, &versions)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(TlsError::Settings)?;
    let builder = match &termination.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients, &provider)?),
    };
    let key = certified(&termination.certificate, &provider)?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::new(key))));
    config.alpn_protocols = protocols(&termination.parameters, speaks);
    // Tickets' keys belong to this very Termination: one that was given out where clients need no
    // certificate, or before a list of revoked ones, opens nothing here. They change every six
    // hours. Sessions are kept by the clients only.
    config.ticketer = Ticketer::new().map_err(TlsError::Settings)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // One ticket is what a client that comes back needs; rustls would send two.
    config.send_tls13_tickets = 1;
    Ok(config)
}

fn versions(
    parameters: &TlsParameters,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let min = parameters.min_version.unwrap_or(TlsVersion::V1_2);
    let max = parameters.max_version.unwrap_or(TlsVersion::V1_3);
    let all = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    let allowed = all.into_iter().filter(|(version, _)| (min..=max).contains(version));
    let versions: Vec<_> = allowed.map(|(_, version)| version).collect();
    if versions.is_empty() { Err(TlsError::Versions) } else { Ok(versions) }
}

/// The cryptography, as far as it is allowed. A list of suites doesn't choose those of TLS 1.3.
fn provider(
    parameters: &TlsParameters,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<CryptoProvider, TlsError> {
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
        return Err(TlsError::CipherSuites);
    }
    if !parameters.curves.is_empty() {
        provider.kx_groups = parameters.curves.iter().filter_map(|name| group(name)).collect();
        if provider.kx_groups.is_empty() {
            return Err(TlsError::Curves);
        }
    }
    Ok(provider)
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

fn certified(
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::try_from(certificate.key.expose())
        .map_err(|text| TlsError::Certificate(rustls::Error::General(text.to_owned())))?;
    CertifiedKey::from_der(chain, key.clone_key(), provider).map_err(TlsError::Certificate)
}

/// With revocation lists a client passes only where every certificate of its chain is known not to
/// be revoked, by a list that hasn't expired: as Envoy does, and so that a list that is missing or
/// forgotten closes instead of opening.
fn verifier(
    clients: &ClientValidation,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in &clients.authorities.0 {
        roots.add(CertificateDer::from(authority.to_vec())).map_err(TlsError::Authority)?;
    }
    let provider = Arc::clone(provider);
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(revoked) = &clients.revoked {
        let lists = revoked.0.iter().map(|der| CertificateRevocationListDer::from(der.to_vec()));
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if !clients.required {
        builder = builder.allow_unauthenticated();
    }
    Ok(builder.build()?)
}

fn protocols(parameters: &TlsParameters, speaks: Speaks) -> Vec<Vec<u8>> {
    let written = parameters.alpn.iter().map(|name| name.as_bytes().to_vec());
    match speaks {
        Speaks::Http if parameters.alpn.is_empty() => {
            HTTP_PROTOCOLS.iter().map(|name| name.as_bytes().to_vec()).collect()
        }
        _ => written.collect(),
    }
}
