//! From what is asked for to what rustls serves.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, server};

use super::configs::Speaks;
use super::parameters::{ParametersError, build_provider, build_versions};
use crate::model::tls::{Certificate, ClientValidation, Termination, TlsParameters};

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
    /// Versions, suites or curves leave nothing. Those who wrote them have been told before.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// What is left doesn't fit together.
    #[error("the TLS settings don't fit together: {0}")]
    Settings(rustls::Error),
}

/// Builds what rustls serves.
pub(super) fn build_config(
    termination: &Termination,
    speaks: Speaks,
) -> Result<ServerConfig, TlsError> {
    let versions = build_versions(&termination.parameters)?;
    let provider = Arc::new(build_provider(&termination.parameters, &versions)?);
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
    // As Envoy: what is cheap for a server comes first, whatever a client would rather have.
    config.ignore_client_order = true;
    // Tickets' keys belong to this very Termination: one that was given out where clients need no
    // certificate, or before a list of revoked ones, opens nothing here. They change every six
    // hours. Sessions are kept by the clients only.
    config.ticketer = Ticketer::new().map_err(TlsError::Settings)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // One ticket is what a client that comes back needs; rustls would send two.
    config.send_tls13_tickets = 1;
    Ok(config)
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
