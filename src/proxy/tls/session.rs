//! What a connection knows of its TLS.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use http::HeaderValue;

use super::client::ClientCertificate;
use super::handshake::TlsStream;
use crate::model::listener::Listener;
use crate::model::tls::Termination;
use crate::routing::{HostTable, ListenerTable};

/// What a connection knows of its TLS.
#[derive(Debug)]
pub(crate) struct Session {
    /// The name that the client asked for, in lower case.
    pub(crate) server_name: Option<Arc<str>>,
    /// What it was answered with.
    pub(crate) termination: Arc<Termination>,
    /// The certificate that the client has shown; it has been checked.
    pub(crate) client: Option<ClientCertificate>,
    allowed: RefCell<Option<Allowed>>,
    pub(super) forwarded: OnceCell<super::client::Forwarded>,
}

/// An authority whose requests have been found to belong here.
#[derive(Debug)]
struct Allowed {
    /// The listener as it was.
    listener: Arc<Listener>,
    /// A copy: a part of the request would keep all that was read with it.
    authority: Box<[u8]>,
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
    pub(crate) fn admits(
        &self,
        listener: &ListenerTable,
        host: &HostTable,
        authority: &HeaderValue,
    ) -> bool {
        if let Some(last) = &*self.allowed.borrow()
            && Arc::ptr_eq(&last.listener, listener.spec())
            && *last.authority == *authority.as_bytes()
        {
            return true;
        }
        let is_same = self.compare(listener, host);
        if is_same {
            let listener = Arc::clone(listener.spec());
            let authority = authority.as_bytes().into();
            *self.allowed.borrow_mut() = Some(Allowed { listener, authority });
        }
        is_same
    }

    fn compare(&self, listener: &ListenerTable, host: &HostTable) -> bool {
        // A host that asks for no TLS has nothing to be gone around.
        let Some(tls) = host.hosts().find_map(|host| host.tls.as_ref()) else { return true };
        if Arc::ptr_eq(tls, &self.termination) || *tls == self.termination {
            return true;
        }
        if tls.clients != self.termination.clients {
            return false;
        }
        let named = listener.host_by_sni(self.server_name.as_deref());
        named.is_some_and(|named| named.tls.as_ref() == Some(tls))
    }
}
