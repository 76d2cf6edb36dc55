//! Identity: what an object is called, and where it was written.

use std::fmt;
use std::sync::Arc;

/// A kind of object that users write for the gateway. Those that ask for routes come first, because
/// there are the most of them: objects are kept in the order of their keys, and so apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `getambassador.io/Mapping`.
    Mapping,
    /// `getambassador.io/TCPMapping`.
    TcpMapping,
    /// `getambassador.io/Listener`.
    Listener,
    /// `getambassador.io/Host`.
    Host,
    /// `getambassador.io/TLSContext`.
    TlsContext,
    /// `getambassador.io/Module`.
    Module,
    /// `getambassador.io/KubernetesServiceResolver`.
    KubernetesServiceResolver,
    /// `getambassador.io/KubernetesEndpointResolver`.
    KubernetesEndpointResolver,
    /// One of the gateway's own health endpoints, which nobody wrote.
    Probe,
    /// A document that could not be read far enough to know its kind, or whose kind is unknown.
    Unknown,
}

impl Kind {
    /// The kinds that users write, each a custom resource.
    pub const WRITTEN: [Self; 8] = [
        Self::Mapping,
        Self::TcpMapping,
        Self::Listener,
        Self::Host,
        Self::TlsContext,
        Self::Module,
        Self::KubernetesServiceResolver,
        Self::KubernetesEndpointResolver,
    ];

    /// The written kind of this name.
    pub fn written(name: &str) -> Option<Self> {
        Self::WRITTEN.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "Mapping",
            Self::TcpMapping => "TCPMapping",
            Self::Listener => "Listener",
            Self::Host => "Host",
            Self::TlsContext => "TLSContext",
            Self::Module => "Module",
            Self::KubernetesServiceResolver => "KubernetesServiceResolver",
            Self::KubernetesEndpointResolver => "KubernetesEndpointResolver",
            Self::Probe => "Probe",
            Self::Unknown => "Unknown",
        }
    }
}

/// The two Kubernetes kinds whose `getambassador.io/config` annotation holds configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarrierKind {
    /// A core/v1 Service.
    Service,
    /// A networking.k8s.io/v1 Ingress.
    Ingress,
}

impl CarrierKind {
    /// The kind as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Ingress => "Ingress",
        }
    }
}

/// The object whose annotation holds configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier {
    /// What the carrier is.
    pub kind: CarrierKind,
    /// The carrier's namespace.
    pub namespace: Arc<str>,
    /// The carrier's name.
    pub name: Arc<str>,
    /// The carrier's `metadata.uid`; empty for carriers that were read from files.
    pub uid: Arc<str>,
}

/// Where an object was written, and so where its status goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nowhere: the gateway brings it along.
    BuiltIn,
    /// A custom resource of its own.
    Resource,
    /// A document of a carrier's annotation; `index` counts documents from 0.
    Annotation {
        /// The Service or Ingress that carries the annotation.
        carrier: Arc<Carrier>,
        /// Position of the document in the annotation, from 0.
        index: u32,
    },
    /// A document of a file; `index` counts documents from 0.
    File {
        /// The file's path as it was given.
        path: Arc<str>,
        /// Position of the document in the file, from 0.
        index: u32,
    },
}

/// The identity of one object. The derived order is total and is the last tie-breaker
/// wherever two objects compete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The object's kind.
    pub kind: Kind,
    /// The object's namespace.
    pub namespace: Arc<str>,
    /// The object's name; for a document without one, `document-<n>` of its origin, n from 1.
    pub name: Arc<str>,
    /// Where it was written.
    pub origin: Origin,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin == Origin::BuiltIn {
            return write!(f, "{} {}", self.kind.as_str(), self.name);
        }
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)?;
        match &self.origin {
            Origin::BuiltIn | Origin::Resource => Ok(()),
            Origin::Annotation { carrier, index } => write!(
                f,
                " (annotation of {} {}/{}, document {})",
                carrier.kind.as_str(),
                carrier.namespace,
                carrier.name,
                index + 1
            ),
            Origin::File { path, index } => write!(f, " ({path}, document {})", index + 1),
        }
    }
}

/// The identity of a Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub name: Arc<str>,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
