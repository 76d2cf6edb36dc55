//! Starts the sources, and for a cluster prepares what writes to it.

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::cluster;
use super::forward::{self, FileIndex};
use super::tasks::Tasks;
use super::{EVENT_QUEUE, Source};
use crate::admin::{Concern, SourceState, SourceStates};
use crate::admission::{self, AdmissionOptions};
use crate::controller::lease::LeaseOptions;
use crate::controller::rebuild::Arrival;
use crate::controller::replicas::ReplicaOptions;
use crate::controller::{self, Builds, ControllerInputs, ControllerOptions, ControllerOutputs};
use crate::settings::Settings;

use crate::source::kubernetes::{self, CollectionState, KubernetesHandles, KubernetesOptions};
use crate::source::observed::ObservedStatuses;
use crate::source::{Collection, Event, files};
use crate::telemetry::timings::Timings;

/// What a cluster's source lists before anything is served.
const COLLECTIONS: [Collection; 11] = [
    Collection::Mappings,
    Collection::TcpMappings,
    Collection::Listeners,
    Collection::Hosts,
    Collection::TlsContexts,
    Collection::Modules,
    Collection::KubernetesServiceResolvers,
    Collection::KubernetesEndpointResolvers,
    Collection::Services,
    Collection::Ingresses,
    Collection::EndpointSlices,
];

/// The state of a source that is as it should be.
const WATCHING: &str = "watching";

/// A source that was started.
pub(super) struct Started {
    /// What it lists.
    pub(super) collections: Vec<Collection>,
    /// How it is doing.
    pub(super) states: SourceStates,
    /// The file of each object, where objects come from files.
    pub(super) files: Option<FileIndex>,
    /// The cluster, where objects come from one.
    pub(super) cluster: Option<Cluster>,
}

/// A cluster that is written to.
pub(super) struct Cluster {
    client: Client,
    observed: ObservedStatuses,
}

/// Starts the tasks of a source, which send to `arrivals`.
pub(super) async fn start(
    settings: &Settings,
    source: Source,
    arrivals: mpsc::Sender<Arrival>,
    tasks: &mut Tasks,
) -> anyhow::Result<Started> {
    let (events, received) = mpsc::channel(EVENT_QUEUE);
    match source {
        Source::Files(paths) => {
            let index = FileIndex::default();
            tasks.spawn("forward", forward::run(received, arrivals, Some(index.clone())));
            Ok(start_files(settings, paths, events, tasks, index))
        }
        Source::Cluster => {
            tasks.spawn("forward", forward::run(received, arrivals, None));
            start_cluster(settings, events, tasks).await
        }
    }
}

fn start_files(
    settings: &Settings,
    paths: Vec<PathBuf>,
    events: mpsc::Sender<Event>,
    tasks: &mut Tasks,
    index: FileIndex,
) -> Started {
    let name = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let parsing = settings.parsing();
    tasks.spawn("files", async move {
        files::watch(paths, parsing, events).await;
        Ok(())
    });
    let state = SourceState { name, state: WATCHING.to_owned(), concern: Concern::Fine };
    Started {
        collections: vec![Collection::Files],
        states: Arc::new(move || vec![state.clone()]),
        files: Some(index),
        cluster: None,
    }
}

async fn start_cluster(
    settings: &Settings,
    events: mpsc::Sender<Event>,
    tasks: &mut Tasks,
) -> anyhow::Result<Started> {
    let client = cluster::connect(&settings.environment).await?;
    let options = KubernetesOptions {
        single_namespace: single_namespace(settings),
        label_selector: settings.label_selector.clone(),
        field_selector: settings.field_selector.clone(),
        parse: settings.parsing(),
    };
    let handles = KubernetesHandles::default();
    let (state, observed) = (handles.state.clone(), handles.observed.clone());
    let source = kubernetes::run(client.clone(), options, handles, events);
    tasks.spawn("kubernetes", async {
        source.await;
        Ok(())
    });
    Ok(Started {
        collections: COLLECTIONS.to_vec(),
        states: Arc::new(move || state.all().into_iter().map(describe).collect()),
        files: None,
        cluster: Some(Cluster { client, observed }),
    })
}

fn single_namespace(settings: &Settings) -> Option<String> {
    settings.single_namespace.then(|| settings.namespace.clone())
}

fn describe((collection, state): (Collection, CollectionState)) -> SourceState {
    let (state, concern) = match state {
        CollectionState::Listing => ("listing".to_owned(), Concern::Fine),
        CollectionState::Watching => (WATCHING.to_owned(), Concern::Fine),
        CollectionState::MissingCrd(text) => (text, Concern::Degraded),
        CollectionState::Forbidden { message, never_followed: true } => {
            (message, Concern::Blocking)
        }
        CollectionState::Forbidden { message, never_followed: false } => {
            (message, Concern::Degraded)
        }
        CollectionState::Disconnected(text) => (format!("disconnected: {text}"), Concern::Degraded),
    };
    SourceState { name: collection.as_str().to_owned(), state, concern }
}

/// What connects the controller with the rest.
pub(super) struct ControllerWires {
    pub(super) builds: Builds,
    pub(super) timings: Arc<Timings>,
    pub(super) outputs: ControllerOutputs,
}

impl Cluster {
    /// Answers the API server's questions until `stop`.
    pub(super) fn admission(
        &self,
        options: AdmissionOptions,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let client = self.client.clone();
        async move {
            admission::run(client, options, stop).await;
            Ok(())
        }
    }

    /// Writes status while this replica leads, until `stop`; then gives the Lease back.
    pub(super) fn controller(
        self,
        settings: &Settings,
        instance: &str,
        wires: ControllerWires,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let lease = LeaseOptions {
            namespace: settings.namespace.clone(),
            name: lease_name(&settings.ambassador_id),
            identity: instance.to_owned(),
            install: settings.admin_service.clone(),
        };
        let replicas = settings.admin_service.as_ref().map(|service| ReplicaOptions {
            namespace: settings.namespace.clone(),
            service: service.clone(),
            pod: settings.identity.clone(),
            instance: instance.to_owned(),
        });
        let options = ControllerOptions {
            lease,
            ambassador_id: settings.ambassador_id.clone(),
            single_namespace: single_namespace(settings),
            replicas,
            replica_grace: settings.replica_grace,
        };
        let ControllerWires { builds, timings, outputs } = wires;
        let inputs = ControllerInputs { builds, observed: self.observed, timings };
        async move {
            controller::run(self.client, options, inputs, outputs, stop).await;
            Ok(())
        }
    }
}

/// One Lease for each gateway of a namespace. Whatever a DNS name can't hold becomes a hyphen.
fn lease_name(ambassador_id: &str) -> String {
    let id: String = ambassador_id
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match id.trim_matches('-') {
        "" => "nuncio".to_owned(),
        id => format!("nuncio-{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_have_names_that_kubernetes_takes() {
        for (id, name) in
            [("default", "nuncio-default"), ("Edge_1", "nuncio-edge-1"), ("__", "nuncio")]
        {
            assert_eq!(lease_name(id), name);
        }
    }
}
