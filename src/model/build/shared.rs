//! What the routes of one build have in common, each kept once.

use std::collections::HashSet;
use std::sync::Arc;

use super::routes::Prepared;
use crate::model::cluster::Cluster;
use crate::model::config::Attachment;

/// Values that many routes share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Served by all hosts without a selector, as nearly all routes are.
    everywhere: Arc<Attachment>,
    clusters: HashSet<Arc<Cluster>>,
}

impl Shared {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { everywhere: Arc::new(Attachment::BY_HOST), clusters: HashSet::new() }
    }

    /// Takes over what the route beside the next one has: neighbours by name mostly lead to the
    /// same Service, and to look at all routes would cost every change too much.
    pub(super) fn learn(&mut self, neighbour: Option<&Arc<Prepared>>) {
        let Some(Ok(served)) = neighbour.map(|neighbour| &neighbour.outcome) else { return };
        if let Some(cluster) = served.route.action.cluster() {
            self.clusters.insert(Arc::clone(cluster));
        }
        if served.attachment == self.everywhere {
            self.everywhere = Arc::clone(&served.attachment);
        }
    }

    /// The one of its kind.
    pub(super) fn cluster(&mut self, cluster: Cluster) -> Arc<Cluster> {
        if let Some(known) = self.clusters.get(&cluster) {
            return Arc::clone(known);
        }
        let cluster = Arc::new(cluster);
        self.clusters.insert(Arc::clone(&cluster));
        cluster
    }

    /// The one of its kind.
    pub(super) fn attachment(&self, attachment: Attachment) -> Arc<Attachment> {
        match attachment == *self.everywhere {
            true => Arc::clone(&self.everywhere),
            false => Arc::new(attachment),
        }
    }
}
