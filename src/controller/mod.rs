//! Kubernetes' write side, and the loop between events and what is served.
//!
//! One replica, the holder of a Lease, writes; see [`run`]. What is written follows the last
//! *published* build, so that it is the truth about what is served.

pub mod annotated;
mod apply;
pub mod events;
pub mod lead;
pub mod lease;
pub mod rebuild;
pub mod replicas;
mod rival;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::model::key::Kind;
use crate::source::observed::ObservedStatuses;
use crate::telemetry::timings::Timings;
use annotated::AnnotatedWriter;
use events::EventWriter;
use lead::Leadership;
pub use lead::{Builds, Leader};
use lease::{Candidate, LeaseOptions};
use replicas::{Barrier, Follower, ReplicaOptions, Replicas};
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
    /// Where the other replicas are found; `None` for a gateway that runs alone.
    pub replicas: Option<ReplicaOptions>,
    /// How long a status waits for replicas that don't confirm what it says.
    pub replica_grace: Duration,
}

/// What the controller follows.
#[derive(Debug, Clone)]
pub struct ControllerInputs {
    /// The last build, after it was published to the workers.
    pub builds: Builds,
    /// The statuses that stand in the cluster, as the Kubernetes source sees them.
    pub observed: ObservedStatuses,
    /// Where is counted how long replicas take.
    pub timings: Arc<Timings>,
}

/// What the controller tells of itself, for metrics and diagnostics.
#[derive(Debug, Clone)]
pub struct ControllerOutputs {
    /// Whether this replica writes status.
    pub leader: watch::Sender<Leadership>,
    /// What it knows of the others while it does.
    pub replicas: watch::Sender<Arc<Replicas>>,
}

/// Runs for the lease and, while it is held, writes status, AnnotatedResources and events. Ends
/// after `shutdown`, when the lease has been given back.
pub async fn run(
    client: Client,
    options: ControllerOptions,
    inputs: ControllerInputs,
    outputs: ControllerOutputs,
    shutdown: CancellationToken,
) {
    let leader = outputs.leader.subscribe();
    let ControllerInputs { builds, observed, timings } = inputs;
    let replicas = outputs.replicas.subscribe();
    let barrier = Barrier { replicas, grace: options.replica_grace, timings };
    let annotated = AnnotatedWriter::new(
        client.clone(),
        options.single_namespace,
        &options.ambassador_id,
        &barrier,
    );
    let events = EventWriter::new(client.clone(), options.lease.identity.clone());
    let mut duties = JoinSet::new();
    if let Some(options) = options.replicas {
        let follower = Follower::new(client.clone(), options, outputs.replicas.clone());
        duties.spawn(lead::run(follower, builds.clone(), leader.clone()));
    }
    for kind in Kind::WRITTEN {
        let status = StatusWriter::new(client.clone(), kind, observed.clone(), &barrier);
        duties.spawn(lead::run(status, builds.clone(), leader.clone()));
    }
    duties.spawn(lead::run(annotated, builds.clone(), leader.clone()));
    duties.spawn(lead::run(events, builds, leader));
    let log_ends = async {
        while let Some(ended) = duties.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a writer ended by a defect; what it wrote is no longer kept up");
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = Candidate::new(client, options.lease).run(outputs.leader, shutdown) => {}
        () = log_ends => {}
    }
}
