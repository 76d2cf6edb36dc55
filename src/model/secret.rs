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
