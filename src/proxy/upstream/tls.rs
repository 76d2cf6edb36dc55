//! TLS towards upstreams.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::model::cluster::{Cluster, Upstream};
use crate::model::tls::{Certificate, Origination, TlsParameters};
use crate::proxy::tls::{build_provider, build_versions};

/// The protocol that is offered where HTTP/2 is spoken.
const H2: &str = "h2";
/// And the one where a single connection is to speak HTTP/1.1.
const HTTP_1_1: &str = "http/1.1";

/// How TLS is begun towards one cluster, or why it can't be.
pub(crate) type Client = Result<Secure, String>;

/// What begins TLS.
#[derive(Clone)]
pub(crate) struct Secure {
    /// Makes connections.
    pub(super) connector: TlsConnector,
    /// The name that is asked for, if one is, and verified, if that is wanted.
    pub(super) name: ServerName<'static>,
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How TLS is begun towards `cluster`. With `always`, certificates are verified also where no
/// authorities are named: by the system's.
pub(super) fn build_client(cluster: &Cluster, always: bool) -> Client {
    let plain = Origination::default();
    let wanted = cluster.tls.as_deref().unwrap_or(&plain);
    let versions = build_versions(&wanted.parameters).map_err(|error| error.to_string())?;
    let provider = build_provider(&wanted.parameters, &versions);
    let provider = Arc::new(provider.map_err(|error| error.to_string())?);
    let name = match &wanted.sni {
        Some(sni) => server_name(sni)?,
        None => server_name(&host_of(&cluster.upstream))?,
    };
    let verifier = build_verifier(wanted, always, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| format!("the versions and cipher suites don't fit: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &wanted.certificate {
        Some(certificate) => {
            let (chain, key) = own_certificate(certificate)?;
            let with = builder.with_client_auth_cert(chain, key);
            with.map_err(|error| format!("the certificate can't be shown: {error}"))?
        }
        None => builder.with_no_client_auth(),
    };
    // Emissary: only the context's name is asked for.
    config.enable_sni = wanted.sni.is_some();
    config.alpn_protocols = build_alpn(&wanted.parameters, cluster.policy.http2 == Some(true));
    Ok(Secure { connector: TlsConnector::from(Arc::new(config)), name })
}

/// The same for a connection of its own that speaks HTTP/1.1, towards a cluster that speaks HTTP/2:
/// for upgrades that its upstream takes in no other way. `None` where none can be needed.
pub(super) fn build_http1(client: &Client, cluster: &Cluster) -> Option<Client> {
    let Ok(secure) = client else { return None };
    (cluster.policy.http2 == Some(true)).then(|| {
        let mut config = ClientConfig::clone(secure.connector.config());
        config.alpn_protocols = vec![HTTP_1_1.into()];
        // A session of the other protocol must not be taken up again.
        config.resumption = rustls::client::Resumption::default();
        Ok(Secure { connector: TlsConnector::from(Arc::new(config)), name: secure.name.clone() })
    })
}

/// What is spoken decides what is offered: an upstream must not choose what it wouldn't get.
fn build_alpn(parameters: &TlsParameters, http2: bool) -> Vec<Vec<u8>> {
    if http2 {
        return vec![H2.into()];
    }
    let others = parameters.alpn.iter().filter(|one| &***one != H2);
    others.map(|one| one.as_bytes().to_vec()).collect()
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    let bare = text.trim_matches(['[', ']']).trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).map_err(|_| format!("{text} is not a server's name"))
}

fn host_of(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Address(address) => address.ip().to_string(),
        Upstream::Name { host, .. } => host.to_string(),
        Upstream::Service(reference) => {
            format!("{}.{}", reference.service.name, reference.service.namespace)
        }
    }
}

fn own_certificate(
    certificate: &Certificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::try_from(certificate.key.expose().to_vec())
        .map_err(|error| format!("the key can't be read: {error}"))?;
    Ok((chain, key))
}

/// With revocation lists an upstream passes only where every certificate of its chain is known not
/// to be revoked, by a list that hasn't expired: as Envoy does, and as clients are checked here.
fn build_verifier(
    wanted: &Origination,
    always: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    match &wanted.authorities {
        Some(authorities) => {
            for der in &authorities.0 {
                roots
                    .add(CertificateDer::from(der.to_vec()))
                    .map_err(|error| format!("an authority can't be used: {error}"))?;
            }
        }
        None if always => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        None => return Ok(Arc::new(NoVerify(Arc::clone(provider)))),
    }
    let revoked = wanted.revoked.iter().flat_map(|lists| &lists.0);
    let revoked = revoked.map(|der| CertificateRevocationListDer::from(der.to_vec()));
    let verifier: Arc<dyn ServerCertVerifier> =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(revoked)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| format!("upstreams can't be verified: {error}"))?;
    Ok(verifier)
}

/// Takes any certificate, as Emissary does where a context names no authority. What it proves is
/// still checked: that the upstream has the key of the certificate that it shows.
#[derive(Debug)]
struct NoVerify(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerify {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
