//! A gateway as `app` wires it, without the ports: what reads, builds, and writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nuncio::controller::lead::Leadership;
use nuncio::controller::lease::LeaseOptions;
use nuncio::controller::rebuild::{self, Arrival, Built, Outputs, Wanted};
use nuncio::controller::replicas::{ReplicaOptions, Replicas};
use nuncio::controller::{self, ControllerInputs, ControllerOptions, ControllerOutputs};
use nuncio::model::service::Endpoints;
use nuncio::publish;
use nuncio::routing::RouteTable;
use nuncio::settings::{Environment, Flags, Settings};
use nuncio::source::Event;
use nuncio::source::kubernetes::{
    self, KubernetesHandles, KubernetesOptions, SecretOptions, SecretProgress,
};
use nuncio::source::store::Store;
use nuncio::source::versions::Versions;
use nuncio::telemetry::timings::Timings;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::network::{self, Network};
use crate::server::ApiServer;

/// The gateway's own namespace.
pub(crate) const HOME: &str = "nuncio";

/// A running gateway; one that is dropped was killed.
pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) built: watch::Receiver<Arc<Built>>,
    pub(crate) leader: watch::Receiver<Leadership>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Replica {
    pub(crate) fn start(server: &ApiServer, network: &Network, number: usize) -> Self {
        let client = server.client(number);
        let settings = settings();
        let (events, mut received) = mpsc::channel::<Event>(1024);
        let (arrivals, arrived) = mpsc::channel::<Arrival>(1024);
        let (tables, _) = publish::channel(RouteTable::default());
        let (endpoints, _) = publish::channel(Endpoints::default());
        let (built_sender, built) = watch::channel(Arc::new(Built::default()));
        let (served, comes) = watch::channel(Versions::default());
        let (knows, replicas) = watch::channel(Arc::new(Replicas::default()));
        let (wanted, wants) = watch::channel(Wanted::default());
        let (leads, leader) = watch::channel(Leadership::default());
        let handles = KubernetesHandles::default();
        let observed = handles.observed.clone();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();

        let options = KubernetesOptions { parse: settings.parsing(), ..Default::default() };
        tasks.spawn(kubernetes::run(client.clone(), options, handles, events.clone()));
        tasks.spawn(kubernetes::run_secrets(
            client.clone(),
            SecretOptions::default(),
            SecretProgress::default(),
            wants,
            events,
        ));
        tasks.spawn(async move {
            while let Some(event) = received.recv().await {
                if arrivals.send(event.into()).await.is_err() {
                    return;
                }
            }
        });
        let store = Store::new(settings.defaults(true), kubernetes::collections());
        let outputs = Outputs { tables, endpoints, built: built_sender, served, wanted };
        tasks.spawn(rebuild::run(arrived, store, outputs));
        let inputs = ControllerInputs {
            builds: built.clone(),
            observed,
            timings: Arc::new(Timings::default()),
        };
        let outputs = ControllerOutputs { leader: leads, replicas: knows };
        let options = options_of(number, network);
        tasks.spawn(controller::run(client, options, inputs, outputs, stop.clone()));
        tasks.spawn(network.enter(number, built.clone(), comes, replicas));
        Self { number, built, leader, stop, tasks }
    }

    /// Ends it as SIGTERM does: the lease is given back.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.check();
    }

    /// Fails if one of its tasks has panicked.
    pub(crate) fn check(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.expect("no task of a gateway panics");
        }
    }
}

/// The name that a gateway goes by as a candidate for the lease.
pub(crate) fn identity(number: usize) -> String {
    format!("replica-{number}")
}

fn options_of(number: usize, network: &Network) -> ControllerOptions {
    ControllerOptions {
        lease: LeaseOptions {
            namespace: HOME.to_owned(),
            name: "nuncio-default".to_owned(),
            identity: identity(number),
            install: None,
        },
        ambassador_id: "default".to_owned(),
        single_namespace: None,
        replicas: Some(ReplicaOptions {
            namespace: HOME.to_owned(),
            service: network::SERVICE.to_owned(),
            pod: network::pod_name(number),
            instance: identity(number),
            dial: network.dial(number),
        }),
        replica_grace: Duration::from_secs(30),
    }
}

fn settings() -> Settings {
    let environment: Environment =
        BTreeMap::from([("AMBASSADOR_NAMESPACE".to_owned(), HOME.to_owned())]);
    Settings::parse(&Flags::default(), environment, 1).expect("valid settings")
}
