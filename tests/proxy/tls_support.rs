//! Certificates, listeners with TLS, clients that speak it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::digest::{SHA256, digest};
use nuncio::model::listener::{InsecureAction, Listener, Stack, VirtualHost};
use nuncio::model::route::HostMatch;
use nuncio::model::tls::{
    Authorities, Certificate, ClientValidation, KeyKind, Private, RevocationLists, Termination,
    TlsParameters,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use crate::support::listener;

/// An authority of the tests.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that an authority has signed.
pub(crate) struct Issued {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
    serial: SerialNumber,
    names: Vec<Arc<str>>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("generates");
        Self(CertifiedIssuer::self_signed(params, key).expect("signs"))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for DNS names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.issue_with(CertificateParams::new(names).expect("names"))
    }

    /// A client's, with a subject and a URI.
    pub(crate) fn issue_client(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::OrganizationName, "Some, Org");
        params.distinguished_name.push(DnType::CommonName, name);
        let uri = format!("spiffe://test/{name}").try_into().expect("a URI");
        params.subject_alt_names.push(SanType::URI(uri));
        self.issue_with(params)
    }

    fn issue_with(&self, mut params: CertificateParams) -> Issued {
        let serial = SerialNumber::from(fastrand::u64(1..));
        params.serial_number = Some(serial.clone());
        let names = params.subject_alt_names.iter().filter_map(|name| match name {
            SanType::DnsName(name) => Some(Arc::from(name.as_str())),
            _ => None,
        });
        let names = names.collect();
        let key = KeyPair::generate().expect("generates");
        let certificate = params.signed_by(&key, &self.0).expect("signs");
        Issued { certificate, key, serial, names }
    }

    /// The list that revokes these.
    pub(crate) fn revoke(&self, revoked: &[&Issued]) -> Arc<RevocationLists> {
        self.revoke_until(revoked, 2200)
    }

    /// The same, to be replaced by the beginning of a year.
    pub(crate) fn revoke_until(&self, revoked: &[&Issued], year: i32) -> Arc<RevocationLists> {
        let entry = |issued: &&Issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.0).expect("signs");
        Arc::new(RevocationLists(vec![list.der().to_vec().into()]))
    }

    /// What the gateway checks clients by.
    pub(crate) fn validation(&self, required: bool) -> ClientValidation {
        let authorities = Arc::new(Authorities(vec![self.der().to_vec().into()]));
        ClientValidation { authorities, revoked: None, required }
    }
}

impl Issued {
    /// As the gateway has it.
    pub(crate) fn model(&self) -> Arc<Certificate> {
        let der = self.certificate.der();
        let digest = digest(&SHA256, der);
        Arc::new(Certificate {
            fingerprint: digest.as_ref().try_into().expect("32 bytes"),
            chain: vec![der.to_vec().into()],
            key: Private::new(self.key.serialize_der()),
            key_kind: KeyKind::Ecdsa,
            names: self.names.clone(),
            not_before: 0,
            not_after: i64::MAX,
        })
    }

    fn client_auth(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        (vec![self.certificate.der().clone()], key)
    }
}

pub(crate) fn termination(issued: &Issued, clients: Option<ClientValidation>) -> Arc<Termination> {
    let parameters = TlsParameters::default();
    Arc::new(Termination { certificate: issued.model(), clients, parameters })
}

pub(crate) fn host(name: &str, tls: Option<Arc<Termination>>) -> Arc<VirtualHost> {
    let name = match name.strip_prefix('*') {
        Some("") => HostMatch::Any,
        Some(suffix) => HostMatch::Suffix(suffix.into()),
        None => HostMatch::Exact(name.into()),
    };
    let insecure = InsecureAction::Route;
    Arc::new(VirtualHost { name, tls, insecure, ..VirtualHost::any() })
}

/// A listener for HTTPS with these hosts.
pub(crate) fn https(port: u16, hosts: Vec<Arc<VirtualHost>>) -> Listener {
    let stack = Stack { proxy_protocol: false, tls: true, http: true };
    Listener { stack, hosts, stat_prefix: "ingress_https".into(), ..listener(port) }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound").port()
}

/// How a client speaks TLS.
pub(crate) fn client(
    authority: &Authority,
    own: Option<&Issued>,
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).expect("a root");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = own.client_auth();
            builder.with_client_auth_cert(chain, key).expect("a certificate")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects and completes the handshake.
pub(crate) fn connect_tls(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<Tls> {
    begin_tls(TcpStream::connect(address)?, config, name)
}

pub(crate) fn begin_tls(
    mut stream: TcpStream,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<Tls> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut connection =
        ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// One request on a connection of its own: the answer, or why there is none.
pub(crate) fn ask_tls(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
    path: &str,
) -> io::Result<String> {
    let mut stream = connect_tls(address, config, name)?;
    get(&mut stream, name, path)
}

/// One request, the last on its connection.
pub(crate) fn get(stream: &mut Tls, host: &str, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a name in the metrics stands at; 0 where it isn't there.
pub(crate) fn metric(text: &str, name: &str) -> u64 {
    let values = text
        .lines()
        .filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// A client that believes everyone.
#[derive(Debug)]
pub(crate) struct Anyone;

impl ServerCertVerifier for Anyone {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
