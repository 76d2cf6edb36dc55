//! The wiring: the only module that may name all others.
//!
//! ```text
//! source ─► forward ─► rebuild ─► publish ─► proxy (threads of its own)
//!                         └─► built ─► admin, report log, timings, controller
//! ```
//!
//! Everything but the proxy's workers runs on a runtime of its own, so that ten thousand events
//! don't delay a request. Every task is in one set: one that ends or panics ends the gateway,
//! since a gateway that no longer follows its sources must not look healthy.

mod admission;
mod cluster;
mod expiry;
mod forward;
mod observe;
mod sources;
mod tasks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::admin::values::Process;
use crate::admin::{self, Admin, Health, Identity, Replication};
use crate::controller::ControllerOutputs;
use crate::controller::lead::Leadership;
use crate::controller::rebuild::{self, Arrival, Built, Outputs, Wanted};
use crate::controller::replicas::Replicas;
use crate::model::service::Endpoints;
use crate::proxy::overload::{self, Asked, Overload};
use crate::proxy::{Limits, Proxy, ProxyOptions};
use crate::publish::{self, Reader};
use crate::routing::RouteTable;
use crate::settings::{Environment, Settings};
use crate::source::store::Store;
use crate::source::versions::Versions;
use crate::telemetry::logging::{self, LogLevel};
use crate::telemetry::timings::Timings;
use sources::{ControllerWires, SourceWires};
use tasks::Tasks;

/// Threads for the sources, builds, status and the admin port. Builds run one after the other;
/// the second keeps health and metrics answering meanwhile.
const CONTROL_THREADS: usize = 2;
/// Events that may wait for a build; a source waits beyond.
const EVENT_QUEUE: usize = 8192;
/// What is left to do after the drain: give the Lease back, end the admin port.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A client of the cluster of KUBECONFIG, or of the pod's. Asks it nothing yet.
///
/// # Errors
/// If no cluster is configured, or its configuration can't be used.
pub async fn connect(environment: &Environment) -> anyhow::Result<kube::Client> {
    Ok(cluster::connect(environment).await?)
}

/// Where objects come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The Kubernetes API.
    Cluster,
    /// Directories of files.
    Files(Vec<PathBuf>),
}

/// Serves until a signal ends it, or something that must not end does.
pub fn run(settings: Settings, source: Source) -> anyhow::Result<()> {
    let log_level = logging::init(settings.log_format, settings.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    runtime.block_on(async {
        let gateway = Gateway::start(settings, source, log_level).await?;
        gateway.serve().await
    })
}

/// The running gateway.
struct Gateway {
    settings: Settings,
    tasks: Tasks,
    health: Arc<Health>,
    built: watch::Receiver<Arc<Built>>,
    tables: Reader<RouteTable>,
    endpoints: Reader<Endpoints>,
    admin: Arc<Admin>,
    proxy_options: ProxyOptions,
    arrivals: mpsc::Sender<Arrival>,
    signals: Signals,
}

impl Gateway {
    /// Opens the admin port, so that probes find out what is missing, and starts to read.
    async fn start(
        settings: Settings,
        source: Source,
        log_level: LogLevel,
    ) -> anyhow::Result<Self> {
        let signals = Signals::new()?;
        for variable in settings.variables_without_effect() {
            tracing::info!(variable, "this variable has no effect here");
        }
        let admin_port = open_admin_port(settings.admin).await?;
        let mut tasks = Tasks::default();
        let (tables, table_reader) = publish::channel(RouteTable::default());
        let (endpoints, endpoint_reader) = publish::channel(Endpoints::default());
        let (built_sender, built) = watch::channel(Arc::new(Built::default()));
        let (served_sender, served) = watch::channel(Versions::default());
        let (arrivals, arrived) = mpsc::channel(EVENT_QUEUE);
        let timings = Arc::new(Timings::default());
        // A pod that comes back under its name is another one.
        let instance = format!("{}_{:08x}", settings.identity, fastrand::u32(..));
        let (outputs, replication) = replication(&settings, &instance, served, tasks.stop());

        let in_cluster = matches!(source, Source::Cluster);
        let (wanted, wants) = watch::channel(Wanted::default());
        tasks.spawn("expiry", expiry::run(built.clone(), arrivals.clone()));
        let wires = SourceWires { arrivals: arrivals.clone(), wants };
        let started = sources::start(&settings, source, wires, &mut tasks).await?;
        if let Some(cluster) = started.cluster {
            let (builds, timings) = (built.clone(), Arc::clone(&timings));
            let wires = ControllerWires { builds, timings, outputs };
            start_writers(&settings, &instance, cluster, wires, &mut tasks);
        }
        let store = Store::new(settings.defaults(in_cluster), started.collections);
        let outputs =
            Outputs { tables, endpoints, built: built_sender, served: served_sender, wanted };
        start_building(&mut tasks, rebuild::run(arrived, store, outputs));
        tasks.spawn("observe", observe::run(built.clone(), Arc::clone(&timings), started.files));
        let proxy_options = proxy_options(&settings, in_cluster);
        let health = Arc::new(Health::new(built.clone(), Arc::clone(&started.states)));
        let admin = Arc::new(Admin {
            health: Arc::clone(&health),
            built: built.clone(),
            sources: started.states,
            timings,
            log_level,
            identity: identity(&settings),
            allow_non_local: settings.diagnostics_allow_non_local,
            process: Process { verify_upstreams: settings.verify_upstreams },
            proxy_metrics: OnceLock::new(),
            overload: Arc::clone(&proxy_options.overload),
            replication,
        });
        let serving = admin::serve(admin_port, Arc::clone(&admin), tasks.stop());
        tasks.spawn_ending("admin", async { Ok(serving.await?) });
        Ok(Self {
            settings,
            tasks,
            health,
            built,
            tables: table_reader,
            endpoints: endpoint_reader,
            admin,
            proxy_options,
            arrivals,
            signals,
        })
    }

    /// Waits for the first table, opens the ports, serves, and drains.
    async fn serve(mut self) -> anyhow::Result<()> {
        // No port for clients is open before there is something to serve: a client that is
        // refused goes elsewhere, one that gets a 404 does not.
        tokio::select! {
            published = self.built.wait_for(|built| built.generation > 0) => {
                published.context("the rebuild loop has ended")?;
            }
            defect = self.tasks.defect() => return Err(defect),
            () = self.signals.next() => return Ok(()),
        }
        let health = Arc::clone(&self.health);
        let proxy = Proxy::start(
            self.proxy_options,
            self.tables,
            self.endpoints,
            Arc::new(move || health.is_ready()),
        )
        .context("no port for clients can be opened")?;
        let observations = proxy.observations();
        self.tasks.spawn("observations", observe::tell_observations(observations, self.arrivals));
        let metrics = proxy.metrics();
        self.admin.proxy_metrics.get_or_init(|| Arc::new(move || metrics.render()));
        self.health.set_listening();
        tracing::info!(
            addresses = ?proxy.local_addrs(),
            admin = %self.settings.admin,
            routes = self.built.borrow().build.config.groups.len(),
            "ready"
        );
        let outcome = tokio::select! {
            defect = self.tasks.defect() => Err(defect),
            () = self.signals.next() => Ok(()),
        };
        self.health.set_draining();
        tracing::info!(delay = ?self.settings.drain_delay, "draining; not ready from now on");
        tokio::select! {
            () = proxy.drain(self.settings.drain_delay, self.settings.drain_time) => {}
            // Whoever asks twice doesn't want to wait.
            () = self.signals.next() => tracing::warn!("asked to end twice: not waiting for requests"),
        }
        self.tasks.end(STOP_TIME).await;
        outcome
    }
}

async fn open_admin_port(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let opened = TcpListener::bind(address).await;
    opened.with_context(|| format!("the admin port {address} can't be opened"))
}

fn start_building(tasks: &mut Tasks, building: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn("rebuild", async {
        building.await;
        Ok(())
    });
}

/// What the controller tells of the replicas, and where that is shown.
fn replication(
    settings: &Settings,
    instance: &str,
    served: watch::Receiver<Versions>,
    stop: CancellationToken,
) -> (ControllerOutputs, Replication) {
    let first = match settings.admin_service {
        None => Replicas::default(),
        Some(_) => Replicas::not_leading(),
    };
    let (leader, leads) = watch::channel(Leadership::default());
    let (replicas, known) = watch::channel(Arc::new(first));
    let replication = Replication::new(instance.to_owned(), served, leads, known, stop);
    (ControllerOutputs { leader, replicas }, replication)
}

/// Starts what speaks for the gateway in the cluster: the admission webhook, and the controller.
fn start_writers(
    settings: &Settings,
    instance: &str,
    cluster: sources::Cluster,
    wires: ControllerWires,
    tasks: &mut Tasks,
) {
    if let Some(options) = admission::options(settings) {
        tasks.spawn_ending("admission", cluster.admission(options, tasks.stop()));
    }
    let controller = cluster.controller(settings, instance, wires, tasks.stop());
    tasks.spawn_ending("controller", controller);
}

fn identity(settings: &Settings) -> Identity {
    Identity {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ambassador_id: settings.ambassador_id.clone(),
        cluster_id: settings.cluster_id.clone(),
        namespace: settings.namespace.clone(),
        single_namespace: settings.single_namespace,
        hostname: settings.identity.clone(),
    }
}

fn proxy_options(settings: &Settings, in_cluster: bool) -> ProxyOptions {
    let (limits, overload) = plan_memory(settings.asked);
    ProxyOptions {
        limits,
        overload: Arc::new(overload),
        workers: settings.workers,
        listen_address: settings.listen_address,
        static_names: settings.static_names.clone(),
        verify_upstreams: settings.verify_upstreams,
        // In a cluster its DNS knows better.
        services_by_name: !in_cluster,
        namespace: settings.namespace.as_str().into(),
        access_log: settings.access_log,
        ..ProxyOptions::default()
    }
}

/// The memory that there is, and the limits that follow from it. Without a limit on it, only what
/// was asked for.
fn plan_memory(asked: Asked) -> (Limits, Overload) {
    let mut limits = Limits::default();
    let files = overload::raise_file_limit();
    let Some(budget) = overload::find_budget(Path::new("/"), asked.budget) else {
        asked.apply(&mut limits);
        return (limits, Overload::default());
    };
    let planned = overload::plan_limits(budget.bytes, files, asked);
    tracing::info!(
        bytes = budget.bytes,
        source = budget.source.as_str(),
        connections = planned.connections.value,
        requests = planned.requests.value,
        streams = planned.streams.value,
        "the memory budget"
    );
    planned.apply(&mut limits);
    (limits, Overload::new(budget, planned))
}

/// SIGTERM from Kubernetes, SIGINT from a keyboard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM can't be handled")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT can't be handled")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
