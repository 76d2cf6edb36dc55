//! What a connection knows of its TLS.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use http::HeaderValue;

use super::client::ClientCertificate;
use super::handshake::TlsStream;
use crate::model::listener::Listener;
use crate::model::tls::Termination;
use crate::proxy::choose::{Server, choose_tls, host_of};

/// What a connection knows of its TLS.
#[derive(Debug)]
pub(crate) struct Session {
    /// The name that the client asked for, in lower case.
    pub(crate) server_name: Option<Arc<str>>,
    /// What it was answered with.
    pub(crate) termination: Arc<Termination>,
    /// The certificate that the client has shown; it has been checked.
    pub(crate) client: Option<ClientCertificate>,
    /// The authority whose requests have been found to belong here, with the listener as it was.
    allowed: RefCell<Option<(Arc<Listener>, HeaderValue)>>,
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
            allowed: RefCell::default(),
            forwarded: OnceCell::new(),
        }
    }

    /// Whether a request with this authority may come over this connection. Another host's
    /// requests may only where TLS is the same there as where the connection's server name leads
    /// by now: else who has no certificate could reach what asks for one. A certificate that has
    /// been renewed since the handshake is no reason; a change of who may come in is.
    pub(crate) fn admits(&self, listener: &Arc<Listener>, authority: &HeaderValue) -> bool {
        if let Some((known, host)) = &*self.allowed.borrow()
            && Arc::ptr_eq(known, listener)
            && host == authority
        {
            return true;
        }
        let is_same = self.compare(listener, authority);
        if is_same {
            *self.allowed.borrow_mut() = Some((Arc::clone(listener), authority.clone()));
        }
        is_same
    }

    fn compare(&self, listener: &Listener, authority: &HeaderValue) -> bool {
        // Without a host there is nothing to be reached, and with one that asks for no TLS
        // nothing to be gone around.
        let authority = authority.to_str().unwrap_or_default();
        let Some(host) = host_of(listener, authority) else { return true };
        let Some(tls) = &host.tls else { return true };
        if Arc::ptr_eq(tls, &self.termination) || *tls == self.termination {
            return true;
        }
        if tls.clients != self.termination.clients {
            return false;
        }
        match choose_tls(listener, self.server_name.as_deref()) {
            Some(Server::Host(named)) => named.tls.as_ref() == Some(tls),
            _ => false,
        }
    }
}
