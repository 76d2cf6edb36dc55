//! Clusters: one upstream with its policy, named by a pure function of its content.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use super::key::ServiceKey;
use super::policy::ClusterPolicy;
use super::tls::Origination;

/// The name of a cluster, as metrics and logs show it (Emissary's form:
/// `cluster_<service>_<namespace>`, with whatever else tells it from others of that service).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(pub Arc<str>);

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One upstream. Equal clusters share connections; different ones may share a name, which is for
/// people and metrics (`a-b` and `a.b` give one name in Emissary's form).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name: a pure function of what the author wrote.
    pub name: ClusterName,
    /// The service as the author wrote it, for people to read.
    pub service: Arc<str>,
    /// Where its addresses come from.
    pub upstream: Upstream,
    /// What is asked of it beside that.
    pub policy: Arc<ClusterPolicy>,
    /// How TLS is begun; `None` is cleartext.
    pub tls: Option<Arc<Origination>>,
}

/// Where a cluster's addresses come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upstream {
    /// A literal address.
    Address(SocketAddr),
    /// A DNS name, all of whose addresses are used in turn.
    Name {
        /// The name, qualified by its namespace where the author's was bare.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// The ready endpoints of a Service.
    Service(ServiceRef),
}

/// One port of one Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    /// The Service.
    pub service: ServiceKey,
    /// The Service's port number.
    pub port: u16,
}

impl Hash for Cluster {
    /// The name tells nearly all clusters apart, and is cheap.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Cluster {
    /// The name in metrics: the author's `stats_name`, or the cluster's own.
    pub fn metrics_name(&self) -> &Arc<str> {
        self.policy.stats_name.as_ref().unwrap_or(&self.name.0)
    }
}

impl Upstream {
    /// The authority that reaches this upstream: `host:port`, or the address.
    pub fn authority(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Name { host, port } => format!("{host}:{port}"),
            Self::Service(reference) => format!(
                "{}.{}:{}",
                reference.service.name, reference.service.namespace, reference.port
            ),
        }
    }
}

/// The name of a Service with its namespace, where Emissary puts it: a name without a dot, but for
/// `localhost`, in a namespace that isn't the gateway's.
pub fn qualified_name(name: &Arc<str>, namespace: &str, own_namespace: &str) -> Arc<str> {
    if namespace.is_empty()
        || namespace == own_namespace
        || name.contains('.')
        || **name == *"localhost"
    {
        return Arc::clone(name);
    }
    format!("{name}.{namespace}").into()
}
