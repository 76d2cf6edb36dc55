//! Certificates as they were read: of Secrets, and of the gateway's own files.
//!
//! A build looks them up by name; who reads them learns from [`Build::wanted`] which are wanted.
//!
//! [`Build::wanted`]: super::Build::wanted

use std::sync::Arc;

use super::tls::{Authorities, Certificate, RevocationLists};

/// What is known of a Secret, or of files, that an object names. One that was never looked for
/// has no state at all: it is not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretState {
    /// It doesn't exist.
    Missing,
    /// It exists, but can't be read; the text says what is wrong, for people.
    Unreadable(Arc<str>),
    /// The gateway may not read it; the text says what would let it, for people.
    Forbidden(Arc<str>),
    /// What is in it.
    Present(Arc<SecretContents>),
}

/// What a Secret holds, each part for itself: one that is broken costs nobody who wants another.
/// `Ok(None)` is "not in it"; an error says what is wrong, for people, and never quotes a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretContents {
    /// A certificate with its key.
    pub certificate: Result<Option<Arc<Certificate>>, Arc<str>>,
    /// Authorities that have signed others.
    pub authorities: Result<Option<Arc<Authorities>>, Arc<str>>,
    /// Revoked certificates.
    pub revoked: Result<Option<Arc<RevocationLists>>, Arc<str>>,
}

/// What could be used last of a Secret, or of files, each part for itself. It is given to a build
/// beside what is there now, so that a Secret that is broken, or deleted by mistake, ends nothing
/// that was served with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastGood {
    /// The last certificate with its key. It is used until it expires.
    pub certificate: Option<Arc<Certificate>>,
    /// The last authorities.
    pub authorities: Option<Arc<Authorities>>,
    /// The last revocation lists.
    pub revoked: Option<Arc<RevocationLists>>,
}

impl LastGood {
    /// This, with what is right in `contents` in place of what was there before.
    pub fn and(&self, contents: &SecretContents) -> Self {
        fn newer<T>(
            new: &Result<Option<Arc<T>>, Arc<str>>,
            old: &Option<Arc<T>>,
        ) -> Option<Arc<T>> {
            new.as_ref().ok().and_then(Option::as_ref).or(old.as_ref()).map(Arc::clone)
        }
        Self {
            certificate: newer(&contents.certificate, &self.certificate),
            authorities: newer(&contents.authorities, &self.authorities),
            revoked: newer(&contents.revoked, &self.revoked),
        }
    }
}
