//! Starts the sources, and for a cluster prepares what writes to it.

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::cluster;
use super::forward::{self, FileIndex};
use super::tasks::Tasks;
use super::{EVENT_QUEUE, Source};
use crate::admin::{Concern, SourceState, SourceStates};
use crate::admission::{self, AdmissionOptions};
use crate::controller::lease::LeaseOptions;
use crate::controller::rebuild::{Arrival, Wanted};
use crate::controller::replicas::{Dial, ReplicaOptions};
use crate::controller::{self, Builds, ControllerInputs, ControllerOptions, ControllerOutputs};
use crate::settings::Settings;

use crate::source::kubernetes::{
    self, CollectionState, KubernetesHandles, KubernetesOptions, SecretOptions, SecretProgress,
    run_secrets,
};
use crate::source::observed::ObservedStatuses;
use crate::source::pem_files::IstioFiles;
use crate::source::{Collection, Event, files, pem_files};
use crate::telemetry::timings::Timings;

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

/// What connects the sources with the rest.
pub(super) struct SourceWires {
    /// Where their events go.
    pub(super) arrivals: mpsc::Sender<Arrival>,
    /// The Secrets and files that builds want.
    pub(super) wants: watch::Receiver<Wanted>,
}

/// Starts the tasks of a source, which send to the wires.
pub(super) async fn start(
    settings: &Settings,
    source: Source,
    wires: SourceWires,
    tasks: &mut Tasks,
) -> anyhow::Result<Started> {
    let SourceWires { arrivals, wants } = wires;
    let (events, received) = mpsc::channel(EVENT_QUEUE);
    start_pem_files(settings, wants.clone(), events.clone(), tasks);
    match source {
        Source::Files(paths) => {
            let index = FileIndex::default();
            tasks.spawn("forward", forward::run(received, arrivals, Some(index.clone())));
            Ok(start_files(settings, paths, events, tasks, index))
        }
        Source::Cluster => {
            tasks.spawn("forward", forward::run(received, arrivals, None));
            start_cluster(settings, wants, events, tasks).await
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
    wants: watch::Receiver<Wanted>,
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
    let source = kubernetes::run(client.clone(), options, handles, events.clone());
    tasks.spawn("kubernetes", async {
        source.await;
        Ok(())
    });
    let progress = SecretProgress::default();
    let secrets = secret_options(settings);
    let secrets = run_secrets(client.clone(), secrets, progress.clone(), wants, events);
    tasks.spawn("secrets", async {
        secrets.await;
        Ok(())
    });
    let states = move || {
        let collections = state.all().into_iter().map(describe);
        collections.chain([describe_secrets(&progress)]).collect()
    };
    Ok(Started {
        collections: kubernetes::collections().collect(),
        states: Arc::new(states),
        files: None,
        cluster: Some(Cluster { client, observed }),
    })
}

fn single_namespace(settings: &Settings) -> Option<String> {
    settings.single_namespace.then(|| settings.namespace.clone())
}

/// Follows the certificates that are in files, in a cluster too.
fn start_pem_files(
    settings: &Settings,
    wants: watch::Receiver<Wanted>,
    events: mpsc::Sender<Event>,
    tasks: &mut Tasks,
) {
    let istio = istio_files(settings);
    tasks.spawn("certificate files", async {
        pem_files::watch(istio, wants, events).await;
        Ok(())
    });
}

/// Istio's certificates, where there are any.
fn istio_files(settings: &Settings) -> Option<IstioFiles> {
    Some(settings.istio_files()).filter(|istio| istio.directory.is_dir())
}

fn secret_options(settings: &Settings) -> SecretOptions {
    let single = settings.single_namespace || settings.certificates_single_namespace;
    SecretOptions {
        watch: settings.secret_watch,
        single_namespace: single.then(|| settings.namespace.clone()),
        elsewhere: istio_files(settings).map(|istio| istio.secret),
    }
}

/// Secrets that are still to be read don't keep the gateway from being ready for long: see
/// `controller::rebuild`.
fn describe_secrets(progress: &SecretProgress) -> SourceState {
    let (state, concern) = match progress.waiting() {
        Some(text) => (text, Concern::Degraded),
        None => (format!("watching {}", progress.count()), Concern::Fine),
    };
    SourceState { name: "secrets".to_owned(), state, concern }
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
            dial: Dial::default(),
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
