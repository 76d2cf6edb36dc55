//! Kubernetes' write side, and the loop between events and what is served.
//!
//! One replica, the holder of a Lease, writes; see [`run`]. What is written follows the last
//! *published* build, so that it is the truth about what is served.

pub mod annotated;
mod apply;
pub mod events;
pub mod lease;
pub mod rebuild;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::model::Build;
use crate::source::observed::ObservedStatuses;
use annotated::AnnotatedWriter;
use events::EventWriter;
use lease::{Candidate, LeaseOptions};
use rebuild::Built;
use status::writer::StatusWriter;

/// Who we are, and what is ours.
#[derive(Debug, Clone)]
pub struct ControllerOptions {
    /// The lease that decides which replica writes. Gateways that share objects must not share
    /// it, replicas of one gateway must.
    pub lease: LeaseOptions,
    /// `AMBASSADOR_ID`: tells the AnnotatedResources of several gateways apart.
    pub ambassador_id: String,
    /// The only namespace that is watched (`AMBASSADOR_SINGLE_NAMESPACE`); `None` for all.
    pub single_namespace: Option<String>,
}

/// What the controller follows.
#[derive(Debug, Clone)]
pub struct ControllerInputs {
    /// The last build, after it was published to the workers.
    pub builds: Builds,
    /// The statuses that stand in the cluster, as the Kubernetes source sees them.
    pub observed: ObservedStatuses,
}

/// Follows what is being served.
pub type Builds = watch::Receiver<Arc<Built>>;

/// The build that is being served now, marked as seen; `None` before the first is published.
/// Before that nothing may be written: an empty build would take everything away.
fn published(builds: &mut Builds) -> Option<Arc<Build>> {
    let built = builds.borrow_and_update();
    (built.generation > 0).then(|| Arc::clone(&built.build))
}

/// Runs for the lease and, while it is held, writes status, AnnotatedResources and events. Ends
/// after `shutdown`, when the lease has been given back.
///
/// `leader` tells whether the lease is held, for diagnostics.
pub async fn run(
    client: Client,
    options: ControllerOptions,
    inputs: ControllerInputs,
    leader: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let leads = leader.subscribe();
    let ControllerInputs { builds, observed } = inputs;
    let annotated =
        AnnotatedWriter::new(client.clone(), options.single_namespace, &options.ambassador_id);
    let events = EventWriter::new(client.clone(), options.lease.identity.clone());
    let mut writers = JoinSet::new();
    writers.spawn(StatusWriter::new(client.clone(), observed).run(builds.clone(), leads.clone()));
    writers.spawn(annotated.run(builds.clone(), leads.clone()));
    writers.spawn(events.run(builds, leads));
    let log_ends = async {
        while let Some(ended) = writers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a writer ended by a defect; what it wrote is no longer kept up");
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = Candidate::new(client, options.lease).run(leader, shutdown) => {}
        () = log_ends => {}
    }
}
