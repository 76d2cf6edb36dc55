//! Starts the workers, holds their ends, stops them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::access_log::AccessLog;
use super::options::{ProxyOptions, ReadyCheck};
use super::upstream::dns::Dns;
use super::upstream::state::Registry;
use super::worker::{Life, WorkerParts, run};
use crate::model::service::Endpoints;
use crate::publish::Reader;
use crate::routing::RouteTable;
use crate::telemetry::levels::Levels;
use crate::telemetry::metrics::{Metrics, WorkerStats};

/// Connections that wait to be accepted, per worker.
const BACKLOG: i32 = 4096;

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    life: watch::Sender<Life>,
    workers: Vec<oneshot::Receiver<()>>,
    metrics: Metrics,
    log: AccessLog,
}

impl Proxy {
    /// Binds the port and starts the workers. `ready` is asked by the probe on the data port.
    ///
    /// # Errors
    ///
    /// The address can't be bound, also because another process has it; or a thread can't be started.
    #[expect(clippy::needless_pass_by_value, reason = "the check is the proxy's from here on")]
    pub fn start(
        options: ProxyOptions,
        tables: Reader<RouteTable>,
        endpoints: Reader<Endpoints>,
        ready: ReadyCheck,
    ) -> io::Result<Self> {
        let options = Arc::new(options);
        let count = options.workers.max(1);
        let listeners = bind(SocketAddr::new(options.listen_address, options.http_port), count)?;
        let address = listeners
            .first()
            .map_or_else(|| Err(io::ErrorKind::InvalidInput.into()), TcpListener::local_addr)?;
        let dns = Dns::start(Arc::clone(&options))?;
        let levels: Arc<Levels> = Arc::default();
        let registry = Registry::start(Arc::clone(&levels), options.verify_upstreams)?;
        let registry = Arc::new(registry);
        let log = AccessLog::start(&options)?;
        let (life, living) = watch::channel(Life::Serving);
        let stats: Vec<Arc<WorkerStats>> = (0..count).map(|_| Arc::default()).collect();
        let mut workers = Vec::with_capacity(count);
        for (index, (listener, stats)) in listeners.into_iter().zip(&stats).enumerate() {
            let parts = WorkerParts {
                options: Arc::clone(&options),
                tables: tables.clone(),
                endpoints: endpoints.clone(),
                ready: Arc::clone(&ready),
                dns: dns.clone(),
                registry: Arc::clone(&registry),
                stats: Arc::clone(stats),
                log: log.worker(),
            };
            workers.push(start_worker(index, parts, listener, living.clone())?);
        }
        let metrics = Metrics::new(stats, levels, (tables, endpoints), log.drops());
        tracing::info!(%address, workers = count, "listening for HTTP");
        Ok(Self { address, life, workers, metrics, log })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
    listener: TcpListener,
    life: watch::Receiver<Life>,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let mut builder = Builder::new_current_thread();
        let outcome = builder
            .enable_all()
            .build_local(LocalOptions::default())
            .and_then(|runtime| runtime.block_on(run(parts, listener, life)));
        if let Err(error) = outcome {
            tracing::error!(worker = index, %error, "a worker can't run");
        }
        // Nobody may be waiting.
        let _ = ended.send(());
    })?;
    Ok(end)
}

/// One accept queue a worker on the same address. The address is taken once without sharing, so
/// that a second process can't silently take half of the connections.
fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let probe = build_socket(address, false)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = build_socket(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn build_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
