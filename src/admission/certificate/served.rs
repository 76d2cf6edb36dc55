//! The certificate that handshakes get, which can be changed while they go on.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A handle on the certificate that is served; `None` until there is one, and handshakes fail.
#[derive(Debug, Clone, Default)]
pub(in crate::admission) struct Served(Arc<Slot>);

#[derive(Default)]
struct Slot(RwLock<Option<Arc<CertifiedKey>>>);

impl Served {
    /// Handshakes that begin from now on get this one.
    pub(super) fn set(&self, certificate: Arc<CertifiedKey>) {
        *self.0.0.write() = Some(certificate);
    }

    /// For rustls.
    pub(in crate::admission) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

/// Without the key.
impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.read().is_some() { "certificate" } else { "no certificate" })
    }
}
