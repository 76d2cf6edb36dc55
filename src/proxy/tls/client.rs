//! A client's certificate, and what upstreams are told of it: `x-forwarded-client-cert`, in
//! Envoy's form.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderName, HeaderValue};
use pem::{EncodeConfig, LineEnding, Pem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::session::Session;
use super::subject::print_name;
use crate::model::policy::{ClientCertificateDetails, ClientCertificateHeader, HttpPolicy};

const HEADER: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What Envoy leaves as it is in a PEM (`absl`-style URL encoding).
const UNENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A certificate that a client has shown and that was found good.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// The certificates in DER, the client's own first.
    chain: Vec<CertificateDer<'static>>,
    /// SHA-256 of its own, in lower-case hexadecimal.
    hash: String,
    /// Its subject.
    pub(crate) subject: String,
    uris: Vec<String>,
    names: Vec<String>,
}

/// The header's element of a connection, made at its first request.
#[derive(Debug)]
pub(super) struct Forwarded {
    details: ClientCertificateDetails,
    value: Option<HeaderValue>,
}

impl ClientCertificate {
    /// `None` where there is none.
    pub(super) fn new(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let own = chain.first()?;
        let mut hash = String::with_capacity(64);
        for byte in digest(&SHA256, own).as_ref() {
            // Writing to a string can't fail.
            let _ = write!(hash, "{byte:02x}");
        }
        let (subject, (uris, names)) = match X509Certificate::from_der(own) {
            Ok((_, parsed)) => (print_name(parsed.subject()), alternative_names(&parsed)),
            // It has been checked; only what is told of it is missing.
            Err(_) => Default::default(),
        };
        Some(Self { chain: chain.to_vec(), hash, subject, uris, names })
    }

    /// One element of the header. The order and the forms are Envoy's.
    fn element(&self, details: ClientCertificateDetails, by: &[String]) -> String {
        let mut parts: Vec<String> = by.iter().take(1).map(|uri| format!("By={uri}")).collect();
        parts.push(format!("Hash={}", self.hash));
        if details.cert {
            parts.push(format!("Cert=\"{}\"", encode(&self.chain[..1])));
        }
        if details.chain {
            parts.push(format!("Chain=\"{}\"", encode(&self.chain)));
        }
        if details.subject {
            parts.push(format!("Subject=\"{}\"", self.subject));
        }
        if details.uri && self.uris.is_empty() {
            parts.push("URI=".to_owned());
        } else if details.uri {
            parts.extend(self.uris.iter().map(|uri| format!("URI={uri}")));
        }
        if details.dns {
            parts.extend(self.names.iter().map(|name| format!("DNS={name}")));
        }
        parts.join(";")
    }
}

/// URIs and DNS names, as far as they can stand in the header without being taken for more.
fn alternative_names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut uris, mut names) = (Vec::new(), Vec::new());
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return (uris, names) };
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b';' | b'"'))
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) if is_plain(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) if is_plain(name) => names.push((*name).to_owned()),
            _ => {}
        }
    }
    (uris, names)
}

fn encode(certificates: &[CertificateDer<'_>]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let text: String = certificates
        .iter()
        .map(|der| pem::encode_config(&Pem::new("CERTIFICATE", der.to_vec()), lines))
        .collect();
    utf8_percent_encode(&text, UNENCODED).to_string()
}

/// Makes `x-forwarded-client-cert` what the policy says. `session` is the connection's TLS.
pub(crate) fn forward_client_certificate(
    headers: &mut HeaderMap,
    policy: &HttpPolicy,
    session: Option<&Session>,
) {
    let mode = policy.client_certificate;
    if mode == ClientCertificateHeader::AlwaysForwardOnly {
        return;
    }
    let certificate = session.and_then(|session| Some((session, session.client.as_ref()?)));
    // Who has shown no certificate can't say that somebody else has.
    let Some((session, certificate)) = certificate else {
        headers.remove(HEADER);
        return;
    };
    match mode {
        ClientCertificateHeader::ForwardOnly | ClientCertificateHeader::AlwaysForwardOnly => {}
        ClientCertificateHeader::Sanitize => {
            headers.remove(HEADER);
        }
        ClientCertificateHeader::SanitizeSet(details) => {
            headers.remove(HEADER);
            if let Some(value) = session.element(certificate, details) {
                headers.insert(HEADER, value);
            }
        }
        ClientCertificateHeader::AppendForward(details) => {
            let Some(value) = session.element(certificate, details) else { return };
            let value = append(headers, &value);
            headers.insert(HEADER, value);
        }
    }
}

/// All that came, and our own behind it.
fn append(headers: &HeaderMap, own: &HeaderValue) -> HeaderValue {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(HEADER) {
        list.extend_from_slice(value.as_bytes());
        list.push(b',');
    }
    list.extend_from_slice(own.as_bytes());
    // The pieces were header values before: so is the whole.
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| own.clone())
}

impl Session {
    /// The connection's own element.
    fn element(
        &self,
        certificate: &ClientCertificate,
        details: ClientCertificateDetails,
    ) -> Option<HeaderValue> {
        let build = || {
            let by = self.termination.certificate.chain.first().map(own_uris).unwrap_or_default();
            HeaderValue::try_from(certificate.element(details, &by)).ok()
        };
        let known = self.forwarded.get_or_init(|| Forwarded { details, value: build() });
        // The policy may have changed while the connection lives.
        if known.details == details { known.value.clone() } else { build() }
    }
}

fn own_uris(der: &Arc<[u8]>) -> Vec<String> {
    match X509Certificate::from_der(der) {
        Ok((_, parsed)) => alternative_names(&parsed).0,
        Err(_) => Vec::new(),
    }
}
