//! The merged meaning of all objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::{Cluster, ClusterName};
use super::key::ObjectKey;
use super::listener::{Listener, Selector};
use super::policy::HttpPolicy;
use super::route::{Route, RouteMatch};
use super::sorted::{Keyed, Sorted};
use super::written::WrittenRoute;

/// What the gateway should serve.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayConfig {
    /// Ports to listen on.
    pub listeners: Vec<Arc<Listener>>,
    /// How HTTP is served, whatever the route.
    pub http: Arc<HttpPolicy>,
    /// Route groups, ordered by the smallest key of their members; the probes come last.
    pub groups: Sorted<Arc<RouteGroup>>,
}

impl GatewayConfig {
    /// Every cluster that a route uses, or a TCP group, by name. Collected on demand: only people and metrics
    /// ask, and a build should not pay for it.
    pub fn clusters(&self) -> BTreeMap<ClusterName, Arc<Cluster>> {
        let legs = self.groups.iter().flat_map(|group| group.legs.iter().chain(group.mirror()));
        let tcp = self.listeners.iter().flat_map(|listener| &listener.tcp);
        let tcp = tcp.flat_map(|group| &group.legs).map(|leg| &leg.cluster);
        legs.filter_map(|leg| leg.route.action.cluster())
            .chain(tcp)
            .map(|cluster| (cluster.name.clone(), Arc::clone(cluster)))
            .collect()
    }
}

/// Routes with the same match and precedence, each with its share of the requests (a canary set).
#[derive(Debug, Clone, PartialEq)]
pub struct RouteGroup {
    /// The `precedence` of all members.
    pub precedence: i64,
    /// Which hosts serve it.
    pub attachment: Arc<Attachment>,
    /// The members, oldest first. Never empty.
    pub legs: Vec<Arc<Leg>>,
}

impl RouteGroup {
    /// The oldest member, which names the group.
    pub fn first(&self) -> &Leg {
        self.legs.first().expect("a group is made of at least one member")
    }

    /// Who gets copies of requests, whichever member serves them.
    pub fn mirror(&self) -> Option<&Arc<Leg>> {
        self.first().mirror.as_ref()
    }

    /// The smallest key of its members, by which groups are ordered.
    pub fn smallest_key(&self) -> &ObjectKey {
        let rest = self.legs.iter().skip(1).chain(self.mirror()).map(|leg| &leg.key);
        rest.fold(&self.first().key, |least, key| least.min(key))
    }

    /// The match that all members share.
    pub fn matches(&self) -> &RouteMatch {
        &self.first().route.matches
    }

    /// The member whose share holds the draw; `None` where the shares leave it to lower routes
    /// (weights below 100 fall through, as in Emissary).
    pub fn pick(&self, draw: u8) -> Option<&Arc<Leg>> {
        self.legs.iter().find(|leg| leg.share.contains(draw))
    }
}

impl Keyed for RouteGroup {
    fn key(&self) -> &ObjectKey {
        self.smallest_key()
    }
}

/// Which hosts serve a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Attachment {
    /// Those without a selector, as far as its own host condition meets them.
    pub by_host: bool,
    /// Those with one of these selectors, each once and in their order.
    pub selectors: Vec<Selector>,
}

impl Attachment {
    /// To all hosts without a selector.
    pub const BY_HOST: Self = Self { by_host: true, selectors: Vec::new() };
}

/// One member of a route group.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// The object that asked for it.
    pub key: Arc<ObjectKey>,
    /// When that object was created, in seconds since 1970.
    pub created: Option<i64>,
    /// Of 100 requests, those with a draw in `from..to` are this leg's.
    pub share: Share,
    /// What happens to its requests.
    pub route: Arc<Route>,
    /// What its object says, before anything was filled; `None` where nobody wrote it.
    pub written: Option<Arc<WrittenRoute>>,
    /// Who gets a copy of its share of the requests; the same for all members of a group.
    pub mirror: Option<Arc<Leg>>,
}

/// A half-open range of the hundred draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// First draw that is this leg's.
    pub from: u8,
    /// First draw that no longer is.
    pub to: u8,
}

impl Share {
    /// All requests.
    pub const ALL: Self = Self { from: 0, to: 100 };

    /// Whether a draw in 0..100 is this leg's.
    pub fn contains(self, draw: u8) -> bool {
        (self.from..self.to).contains(&draw)
    }

    /// The share in percent.
    pub fn percent(self) -> u8 {
        self.to.saturating_sub(self.from)
    }
}
