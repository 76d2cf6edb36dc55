//! One thing a user wrote, parsed as far as it could be, with every complaint about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::key::ObjectKey;
use super::sorted::Keyed;
use super::written::{
    GatewayDefaults, HostSpec, ListenerSpec, ResolverKind, TcpRoute, TlsSpec, WrittenRoute,
};

/// One object: a custom resource, or one YAML document of an annotation or a file.
///
/// It always exists under its key, however wrong it is: a rejection is an object whose
/// `content` is [`Content::Rejected`].
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its identity.
    pub key: Arc<ObjectKey>,
    /// `metadata.uid` of the resource, for events about it; `None` for documents.
    pub uid: Option<Arc<str>>,
    /// `metadata.generation` of the resource, or of the carrier; `None` for files.
    pub generation: Option<i64>,
    /// `metadata.creationTimestamp` of the resource or the carrier, in seconds since 1970.
    pub created: Option<i64>,
    /// Labels: the object's own, or its carrier's.
    pub labels: Arc<BTreeMap<String, String>>,
    /// `ambassador_id`; `["default"]` where none is written.
    pub ambassador_id: Arc<[String]>,
    /// Where its text begins, for objects that were read from text.
    pub location: Option<Location>,
    /// What it means.
    pub content: Content,
    /// Everything that is wrong with it or has no effect, in the order of the text.
    pub problems: Vec<Problem>,
    /// The document as JSON, kept for annotations only, to be shown in its AnnotatedResource.
    pub document: Option<Arc<str>>,
}

impl Object {
    /// Whether this object speaks to the gateway named `id` (Emissary's `ambassador_id` rule:
    /// `_automatic_` speaks to every gateway).
    pub fn selects(&self, id: &str) -> bool {
        self.ambassador_id.iter().any(|own| own == id || own == "_automatic_")
    }
}

impl Keyed for Object {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
}

/// The meaning of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// It asks for a route.
    Route(Arc<WrittenRoute>),
    /// It asks for connections of a port.
    TcpRoute(Arc<TcpRoute>),
    /// It asks for a port.
    Listener(Arc<ListenerSpec>),
    /// It names a host.
    Host(Arc<HostSpec>),
    /// It says how TLS is spoken.
    TlsContext(Arc<TlsSpec>),
    /// It says what holds for all.
    Defaults(Arc<GatewayDefaults>),
    /// It names a way to find addresses.
    Resolver(ResolverKind),
    /// It names a host, and is wrong otherwise: the name is closed, since its requests would be
    /// another host's if it weren't there.
    Closed(Arc<HostSpec>),
    /// Nothing of it can be used; `problems` say why.
    Rejected,
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object can't be used.
    Error,
    /// The object is right, but asks for what this version can't do, so that it isn't used.
    Unsupported,
    /// The field was ignored or replaced; the rest of the object stands.
    Warning,
    /// The field is understood but has no effect in this version.
    NoEffect,
}

impl Severity {
    /// Whether the object can't be used for it.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Error | Self::Unsupported)
    }
}

/// One complaint about an object, written for its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The field, as a path from the spec (`headers.x-user`), where one is to blame.
    pub field: Option<Arc<str>>,
    /// What is wrong and what to write instead, as one sentence without a final full stop.
    pub message: String,
    /// Where it stands in the text, for objects that were read from text.
    pub location: Option<Location>,
}

impl Problem {
    /// What is said of a field without effect where no more is to be said.
    pub const NO_EFFECT: &str = "has no effect in this version";

    /// A problem that makes the object unusable.
    pub fn error(field: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, field, message)
    }

    /// A demand that this version can't meet, and without which the object must not be served.
    pub fn unsupported(field: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Unsupported, field, message)
    }

    /// A problem that costs one field only.
    pub fn warning(field: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, field, message)
    }

    /// A field that is set and has no effect yet.
    pub fn no_effect(field: impl Into<Arc<str>>) -> Self {
        Self::new(Severity::NoEffect, field, Self::NO_EFFECT)
    }

    /// A field that is understood and has no effect, with the reason and what to write instead.
    pub fn no_effect_because(field: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self::new(Severity::NoEffect, field, message)
    }

    fn new(severity: Severity, field: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        let field = field.into();
        Self {
            severity,
            field: (!field.is_empty()).then_some(field),
            message: message.into(),
            location: None,
        }
    }
}

/// `prefix: what is wrong`: how a problem reads wherever it is told.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A place in a text: line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// `line 3 column 9`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}
