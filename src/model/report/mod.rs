//! What a build found of each object, and the conditions that say so.

mod conditions;
mod text;
mod warning;

use std::sync::Arc;

use crate::model::cluster::ServiceRef;
use crate::model::key::{ObjectKey, ServiceKey};
use crate::model::object::Object;
use crate::model::sorted::Keyed;
use crate::model::tls::TlsFault;
use crate::model::written::PemSource;

pub use self::warning::{EXPIRY_STAGES, Kept, Warning};

/// The verdict on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The object, with its problems.
    pub object: Arc<Object>,
    /// Whether it is part of the configuration.
    pub verdict: Verdict,
    /// Whether what it names exists.
    pub references: References,
    /// Why it can't be served although it is right (a port that is taken), for people.
    pub failure: Option<Arc<str>>,
    /// What will go wrong later, where nobody does anything.
    pub warning: Option<Warning>,
}

impl Keyed for Report {
    fn key(&self) -> &ObjectKey {
        &self.object.key
    }
}

/// Whether an object is part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and the object's problems (if any) cost single fields only.
    Accepted,
    /// It isn't: the object's problems say why.
    Rejected,
    /// Another object has the same kind, namespace and name.
    Shadowed {
        /// The one that is served.
        winner: Arc<ObjectKey>,
        /// Why it is that one.
        rule: ShadowRule,
    },
    /// It can't live beside another object of the same match.
    Conflicted {
        /// The one that was there first.
        with: Arc<ObjectKey>,
        /// What can't be had together.
        conflict: Conflict,
    },
    /// Nothing serves it.
    NotAttached(Detached),
    /// It names something without which it can't be served safely.
    Unresolved(Box<Missing>),
    /// It asks for copies of requests that nothing else takes.
    NothingToCopy,
}

/// Why nothing serves an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detached {
    /// A route that names no host, and whose labels no Host selects.
    Unnamed,
    /// A route whose host no Host serves.
    NoHost,
    /// A route without the labels that the Hosts of its name ask for.
    NotSelected,
    /// A Host that no Listener takes.
    NoListener,
}

/// What an object names and can't be served without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no such resolver.
    Resolver(Arc<str>),
    /// There is no such TLSContext.
    Context(Arc<str>),
    /// Something of a Secret, or of files.
    Secret(PemSource, SecretFault),
    /// It names settings of TLS, but no certificate.
    Certificate,
    /// It names two certificates.
    OneCertificate(PemSource, PemSource),
    /// Clients' certificates are asked for, but nobody says who may have signed them.
    Authorities,
    /// Its settings of TLS leave nothing that could be spoken.
    Unspoken(TlsFault),
    /// A TCPMapping's host has no certificate.
    Termination,
}

/// What is wrong with a Secret, or with files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFault {
    /// They haven't been read yet.
    NotRead,
    /// They don't exist.
    NotFound,
    /// They may not be read; the text says what would let it.
    Forbidden(Arc<str>),
    /// They hold something else; the text says what is wrong.
    Invalid(Arc<str>),
    /// They hold no such thing.
    Empty(&'static str),
}

/// Why one object shadows another of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowRule {
    /// A resource beats a document of an annotation.
    ResourceFirst,
    /// A document in its carrier's own namespace beats one that names another namespace.
    OwnNamespaceFirst,
    /// The older beats the younger.
    OlderFirst,
    /// The first by order of their keys.
    KeyOrder,
}

/// What can't be had together in one route group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// A redirect and a forwarding route, or two redirects.
    Redirect,
    /// The weights of the group would add up to more than 100.
    Weight {
        /// This object's own weight.
        own: u8,
        /// What the older members leave.
        left: u8,
    },
    /// A second mirror.
    Mirror,
    /// Two objects of a kind that is looked up by its name alone.
    Name,
    /// The name of a built-in resolver of another kind.
    BuiltIn,
    /// Two Listeners with one port.
    Port(u16),
    /// Two objects of one host with different TLS.
    Tls,
}

/// Whether what an object names exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum References {
    /// All of it.
    Resolved,
    /// There is no such Service.
    ServiceNotFound(ServiceKey),
    /// The Service has no such port; its ports follow.
    PortNotFound(ServiceRef, Vec<u16>),
    /// The Service has no ready endpoint.
    NoEndpoints(ServiceKey),
    /// Something else; what doesn't need it is served.
    Missing(Box<Missing>),
    /// Something can't be used any more; what was read of it before stays in force.
    Outdated(Box<Missing>, Kept),
    /// A certificate is served although clients refuse it: its time, in seconds since 1970, is
    /// over.
    Expired(i64),
    /// The same, because its time hasn't come.
    NotYetValid(i64),
}

/// A condition of `status.conditions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionKind,
    /// True or False.
    pub status: bool,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for the author of the object.
    pub message: String,
}

/// The types of conditions on every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// It is valid and part of the merged configuration.
    Accepted,
    /// What it names exists.
    ResolvedRefs,
    /// The proxies serve this generation.
    Programmed,
    /// The summary.
    Ready,
    /// Something will go wrong later, where nobody does anything. Said where it is so, and absent
    /// otherwise.
    Warning,
    /// Waiting is no use: only a change of this object can help. Said where it is so, and absent
    /// otherwise.
    Stalled,
}

impl ConditionKind {
    /// The condition's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Warning => "Warning",
            Self::Stalled => "Stalled",
        }
    }
}
