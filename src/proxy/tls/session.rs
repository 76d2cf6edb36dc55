//! What a connection knows of its TLS.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use rustls::ProtocolVersion;

use super::client::ClientCertificate;
use super::handshake::TlsStream;
use crate::model::listener::VirtualHost;
use crate::model::tls::Termination;

/// What a connection knows of its TLS.
#[derive(Debug)]
pub(crate) struct Session {
    /// The name that the client asked for, in lower case.
    pub(crate) server_name: Option<Arc<str>>,
    /// What it was answered with.
    pub(crate) termination: Arc<Termination>,
    /// The certificate that the client has shown; it has been checked.
    pub(crate) client: Option<ClientCertificate>,
    /// The version, as Envoy writes it.
    pub(crate) version: &'static str,
    /// The host whose requests have been found to belong here.
    allowed: RefCell<Option<Arc<VirtualHost>>>,
    pub(super) forwarded: OnceCell<super::client::Forwarded>,
}

impl Session {
    /// Of a handshake that is done.
    pub(crate) fn new(
        stream: &TlsStream,
        server_name: Option<Arc<str>>,
        termination: &Arc<Termination>,
    ) -> Self {
        let (_, conn) = stream.get_ref();
        let client = conn.peer_certificates().and_then(ClientCertificate::new);
        Self {
            server_name,
            termination: Arc::clone(termination),
            client,
            version: version(conn.protocol_version()),
            allowed: RefCell::default(),
            forwarded: OnceCell::new(),
        }
    }

    /// Whether a request for `host` may come over this connection, where `named` is the host that
    /// the connection's server name leads to by now. Another host's requests may only where TLS is
    /// the same there: else who has no certificate could reach what asks for one. A certificate
    /// that has been renewed since is no reason; a change of who may come in is.
    pub(crate) fn admits(
        &self,
        host: &Arc<VirtualHost>,
        named: impl FnOnce() -> Option<Arc<VirtualHost>>,
    ) -> bool {
        if self.allowed.borrow().as_ref().is_some_and(|known| Arc::ptr_eq(known, host)) {
            return true;
        }
        // A host without TLS of its own asks for nothing that could be gone around.
        let Some(tls) = &host.tls else { return true };
        let is_same = Arc::ptr_eq(tls, &self.termination)
            || *tls == self.termination
            || (tls.clients == self.termination.clients
                && named().is_some_and(|named| {
                    Arc::ptr_eq(&named, host) || named.tls.as_ref() == Some(tls)
                }));
        if is_same {
            *self.allowed.borrow_mut() = Some(Arc::clone(host));
        }
        is_same
    }
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    }
}
