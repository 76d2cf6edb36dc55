//! How statements reach the gateway: Kubernetes or files → [`Event`]s → [`store::Store`] →
//! `model::snapshot::Snapshot`.
//!
//! Every raw object (a Mapping, a Service, a file …) is converted at once into a [`Statement`],
//! the compact form of all that it says; nothing else of it is kept.

pub mod annotation;
mod entry;
pub mod files;
pub mod kubernetes;
pub mod observed;
pub mod parse;
pub mod pem_files;
pub mod settle;
pub mod store;
pub mod versions;

use std::sync::Arc;

use crate::model::key::Kind;
use crate::model::object::Object;
use crate::model::secret::SecretState;
use crate::model::service::{EndpointSlice, Service};
use crate::model::snapshot::Observations;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;
use versions::Version;

/// A collection that is listed and then watched as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// `mappings.getambassador.io`.
    Mappings,
    /// `tcpmappings.getambassador.io`.
    TcpMappings,
    /// `listeners.getambassador.io`.
    Listeners,
    /// `hosts.getambassador.io`.
    Hosts,
    /// `tlscontexts.getambassador.io`.
    TlsContexts,
    /// `modules.getambassador.io`.
    Modules,
    /// `kubernetesserviceresolvers.getambassador.io`.
    KubernetesServiceResolvers,
    /// `kubernetesendpointresolvers.getambassador.io`.
    KubernetesEndpointResolvers,
    /// `services`.
    Services,
    /// `ingresses.networking.k8s.io`.
    Ingresses,
    /// `endpointslices.discovery.k8s.io`.
    EndpointSlices,
    /// A directory of files; ids are paths, with an empty namespace.
    Files,
}

impl Collection {
    /// All collections.
    pub const ALL: [Self; 12] = [
        Self::Mappings,
        Self::TcpMappings,
        Self::Listeners,
        Self::Hosts,
        Self::TlsContexts,
        Self::Modules,
        Self::KubernetesServiceResolvers,
        Self::KubernetesEndpointResolvers,
        Self::Services,
        Self::Ingresses,
        Self::EndpointSlices,
        Self::Files,
    ];

    /// The collection of the custom resources of a kind.
    pub fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.kind() == Some(kind))
    }

    /// The kind whose custom resources it holds; `None` for others.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Mappings => Some(Kind::Mapping),
            Self::TcpMappings => Some(Kind::TcpMapping),
            Self::Listeners => Some(Kind::Listener),
            Self::Hosts => Some(Kind::Host),
            Self::TlsContexts => Some(Kind::TlsContext),
            Self::Modules => Some(Kind::Module),
            Self::KubernetesServiceResolvers => Some(Kind::KubernetesServiceResolver),
            Self::KubernetesEndpointResolvers => Some(Kind::KubernetesEndpointResolver),
            Self::Services | Self::Ingresses | Self::EndpointSlices | Self::Files => None,
        }
    }

    /// Its name, as Kubernetes' resource is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mappings => "mappings",
            Self::TcpMappings => "tcpmappings",
            Self::Listeners => "listeners",
            Self::Hosts => "hosts",
            Self::TlsContexts => "tlscontexts",
            Self::Modules => "modules",
            Self::KubernetesServiceResolvers => "kubernetesserviceresolvers",
            Self::KubernetesEndpointResolvers => "kubernetesendpointresolvers",
            Self::Services => "services",
            Self::Ingresses => "ingresses",
            Self::EndpointSlices => "endpointslices",
            Self::Files => "files",
        }
    }
}

/// The identity of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId {
    /// The collection.
    pub collection: Collection,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name, or the path of a file.
    pub name: Arc<str>,
}

/// Everything that one raw object says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Whose statement it is.
    pub id: StatementId,
    /// The objects that it holds, rejected ones included.
    pub objects: Vec<Arc<Object>>,
    /// The Services that it defines.
    pub services: Vec<Arc<Service>>,
    /// The EndpointSlices that it defines.
    pub endpoints: Vec<EndpointSlice>,
    /// The Secrets that it defines; only files do.
    pub secrets: Vec<(SecretKey, SecretState)>,
}

/// A status as it stands in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ObservedStatus {
    /// Emissary's `state`.
    pub state: Option<String>,
    /// Emissary's `reason`.
    pub reason: Option<String>,
    /// The generation that it speaks of.
    pub observed_generation: Option<i64>,
    /// Conditions, other writers' included.
    pub conditions: Vec<ObservedCondition>,
}

/// A condition as it stands in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObservedCondition {
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The generation that it speaks of.
    pub observed_generation: Option<i64>,
    /// When the status last flipped, RFC 3339.
    pub last_transition_time: String,
}

/// What a source says.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A collection is being listed anew: what isn't put again until [`Event::Listed`] is gone.
    Init(Collection),
    /// This statement holds now; it replaces the one of the same id.
    Put(Statement),
    /// The raw object is gone.
    Delete(StatementId),
    /// The list is complete.
    Listed(Collection),
    /// An event and the version that it brings, or a version of which there is nothing to say.
    /// With [`Event::Listed`]: the list holds everything up to it.
    Versioned(Version, Option<Box<Event>>),
    /// What a Secret or a file holds now that a build has wanted; `None` when nobody wants it any
    /// more. Secrets have no part in [`versions`]: each is watched for itself, and what one replica
    /// has read of them says nothing about the others.
    Pem(PemSource, Option<SecretState>),
    /// The time has come to tell something of a certificate; in seconds since 1970.
    Now(i64),
    /// What those who serve have found out by now.
    Observed(Arc<Observations>),
}
