//! Starts the workers, holds their ends, stops them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::access_log::AccessLog;
use super::listen::{Control, ControlParts, Handle, PortCommand};
use super::options::{ProxyOptions, ReadyCheck};
use super::overload::Monitor;
use super::tls::TlsConfigs;
use super::upstream::dns::Dns;
use super::upstream::state::Registry;
use super::worker::{Life, WorkerParts, run};
use crate::model::service::Endpoints;
use crate::model::snapshot::Observations;
use crate::publish::Reader;
use crate::routing::RouteTable;
use crate::telemetry::levels::Levels;
use crate::telemetry::metrics::{Metrics, WorkerStats};

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    ports: Handle,
    life: watch::Sender<Life>,
    workers: Vec<oneshot::Receiver<()>>,
    metrics: Metrics,
    log: AccessLog,
    // Until the last connection has ended.
    _monitor: Monitor,
}

impl Proxy {
    /// Starts the workers and opens the ports of the published table; from then on they follow
    /// the tables. `ready` is asked by the probe on the data ports.
    ///
    /// # Errors
    ///
    /// The table has listeners, and not one of them can be opened; or a thread can't be started.
    #[expect(clippy::needless_pass_by_value, reason = "the check is the proxy's from here on")]
    pub fn start(
        options: ProxyOptions,
        tables: Reader<RouteTable>,
        endpoints: Reader<Endpoints>,
        ready: ReadyCheck,
    ) -> io::Result<Self> {
        let options = Arc::new(options);
        let count = options.workers.max(1);
        let dns = Dns::start(Arc::clone(&options))?;
        let levels: Arc<Levels> = Arc::default();
        let registry = Registry::start(Arc::clone(&levels), options.verify_upstreams)?;
        let registry = Arc::new(registry);
        let log = AccessLog::start(&options)?;
        let tls = Arc::new(TlsConfigs::default());
        let (life, living) = watch::channel(Life::Serving);
        let series = options.limits.series;
        let stats: Vec<Arc<WorkerStats>> =
            (0..count).map(|_| Arc::new(WorkerStats::new(series))).collect();
        let (mut workers, mut commands) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (index, stats) in stats.iter().enumerate() {
            let parts = WorkerParts {
                options: Arc::clone(&options),
                tables: tables.clone(),
                endpoints: endpoints.clone(),
                ready: Arc::clone(&ready),
                dns: dns.clone(),
                tls: Arc::clone(&tls),
                registry: Arc::clone(&registry),
                stats: Arc::clone(stats),
                log: log.worker(),
            };
            let (sender, receiver) = mpsc::unbounded_channel();
            commands.push(sender);
            workers.push(start_worker(index, parts, receiver, living.clone())?);
        }
        let metrics = Metrics::new(stats, levels, (tables.clone(), endpoints), log.drops());
        let monitor = Monitor::start(&options.overload)?;
        let unsent = options.limits.unsent();
        let own_address = options.listen_address;
        let ports = ControlParts { tables, own_address, unsent, workers: commands, tls };
        let ports = Control::start(ports)?;
        Ok(Self { ports, life, workers, metrics, log, _monitor: monitor })
    }

    /// The address of the first listener that is open, in the order of addresses and ports.
    ///
    /// # Errors
    ///
    /// None is open.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addrs().first().copied().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The addresses that are listened on, in the order of the listeners' addresses and ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.ports.addresses.borrow().clone()
    }

    /// What only serving finds out: the ports that can't be opened, and why.
    pub fn observations(&self) -> watch::Receiver<Arc<Observations>> {
        self.ports.observations.clone()
    }

    /// A handle to the data plane's metrics.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Keeps serving for `delay`, while those who route to us learn that we are going; then
    /// accepts nothing new, ends each connection after its requests in flight, and returns when
    /// all have ended, after `deadline` at the latest.
    pub async fn drain(self, delay: Duration, deadline: Duration) {
        tokio::time::sleep(delay).await;
        let deadline = Instant::now() + deadline;
        self.ports.stop();
        self.life.send_replace(Life::Draining { deadline });
        for worker in self.workers {
            // An error says that the worker has ended as well.
            let _ = worker.await;
        }
        self.log.finish();
    }
}

fn start_worker(
    index: usize,
    parts: WorkerParts,
    commands: mpsc::UnboundedReceiver<PortCommand>,
    life: watch::Receiver<Life>,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let mut builder = Builder::new_current_thread();
        let outcome = builder
            .enable_all()
            .build_local(LocalOptions::default())
            .and_then(|runtime| runtime.block_on(run(parts, commands, life)));
        if let Err(error) = outcome {
            tracing::error!(worker = index, %error, "a worker can't run");
        }
        // Nobody may be waiting.
        let _ = ended.send(());
    })?;
    Ok(end)
}
