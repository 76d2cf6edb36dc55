//! One port as a worker sees it: where its connections come from, and how it closes.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::accept;
use super::connections::Which;
use super::drain::{SILENT_GRACE, end_connections};
use super::listen::{Place, PortCommand};
use super::overload::may_accept;
use super::timer::TICK;
use super::worker::Worker;
use crate::model::listener::Listener;
use crate::routing::{ListenerTable, RouteTable};
use crate::telemetry::listeners::ListenerStats;
use crate::telemetry::metrics::DownstreamStats;

/// After an accept that failed for want of something (file descriptors): trying again at once
/// would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long what the kernel has connected already is accepted at last, so that it isn't reset.
/// Clients that keep coming must not hold it up.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(50);

/// One port.
#[derive(Debug)]
pub(crate) struct Port {
    /// Where the table says that it is.
    pub(crate) place: Place,
    /// What is counted of it.
    pub(crate) stats: Arc<ListenerStats>,
    /// What is counted of its HTTP, under the newest name.
    http: RefCell<Option<(Arc<str>, Arc<DownstreamStats>)>>,
    /// Its connections.
    pub(crate) open: Cell<usize>,
    /// Its connections are to end, also those that are still to come.
    pub(crate) draining: Cell<bool>,
    closing: CancellationToken,
    /// Its socket is gone.
    shut: CancellationToken,
    /// Who waits for that.
    closed: RefCell<Option<mpsc::Sender<()>>>,
    /// The newest table that has it.
    last: RefCell<Option<Arc<RouteTable>>>,
}

impl Port {
    /// Looks it up in the newest table; where that has it no more, in the last one that had it.
    pub(crate) fn look_up<T>(
        &self,
        worker: &Worker,
        look: impl FnOnce(&RouteTable, &ListenerTable) -> T,
    ) -> Option<T> {
        let mut tables = worker.tables.borrow_mut();
        let table = tables.get();
        if let Some(listener) = table.listener(self.place.address, self.place.port) {
            return Some(look(table, listener));
        }
        drop(tables);
        let last = self.last.borrow();
        let table = last.as_ref()?;
        Some(look(table, table.listener(self.place.address, self.place.port)?))
    }

    /// What the table says of it.
    pub(crate) fn listener(&self, worker: &Worker) -> Option<Arc<Listener>> {
        self.look_up(worker, |_, listener| Arc::clone(listener.spec()))
    }

    /// What is counted of its HTTP, where that is spoken: under the listener's `statsPrefix`, which
    /// other ports may share.
    pub(crate) fn http_stats(&self, worker: &Worker) -> Arc<DownstreamStats> {
        let listener = self.listener(worker).filter(|listener| listener.stack.http);
        let mut known = self.http.borrow_mut();
        match (&*known, listener) {
            (Some((prefix, stats)), Some(now)) if *prefix == now.stat_prefix => Arc::clone(stats),
            (_, Some(now)) => {
                let stats = worker.stats.downstream(&now.stat_prefix);
                *known = Some((Arc::clone(&now.stat_prefix), Arc::clone(&stats)));
                stats
            }
            (Some((_, stats)), None) => Arc::clone(stats),
            // Nothing that is served is counted here.
            (None, None) => Arc::default(),
        }
    }

    /// Keeps the newest table that has it, so that the last one is there when it is needed and no
    /// older one is kept alive.
    pub(crate) fn remember(&self, worker: &Worker) {
        let mut tables = worker.tables.borrow_mut();
        let table = tables.get();
        let is_kept = |last: &Arc<RouteTable>| Arc::ptr_eq(last, table);
        if !self.last.borrow().as_ref().is_some_and(is_kept)
            && table.listener(self.place.address, self.place.port).is_some()
        {
            *self.last.borrow_mut() = Some(Arc::clone(table));
        }
    }
}

/// A worker's ports.
pub(crate) struct Ports {
    worker: Rc<Worker>,
    open: Vec<Rc<Port>>,
    // Each ends when its socket has been closed.
    accepting: JoinSet<()>,
}

impl Ports {
    /// None yet.
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        Self { worker: Rc::clone(worker), open: Vec::new(), accepting: JoinSet::new() }
    }

    /// Does as it is told.
    pub(crate) fn apply(&mut self, command: PortCommand) {
        // Those that have ended since.
        while self.accepting.try_join_next().is_some() {}
        match command {
            PortCommand::Open(place, listener) => {
                if let Err(error) = self.open(place, listener) {
                    tracing::error!(port = place.port, %error, "a worker can't accept on a port");
                }
            }
            PortCommand::Close(place, done) => self.close(place, done),
        }
    }

    fn open(&mut self, place: Place, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let name = format!("{}_{}", address.ip(), address.port()).into();
        let port = Rc::new(Port {
            place,
            stats: self.worker.stats.listener(&name),
            http: RefCell::default(),
            open: Cell::new(0),
            draining: Cell::new(false),
            closing: CancellationToken::new(),
            shut: CancellationToken::new(),
            closed: RefCell::default(),
            last: RefCell::default(),
        });
        // So that there is one to go by, even if the next table has it no more.
        port.remember(&self.worker);
        // So that its counters are there before its first connection is.
        port.http_stats(&self.worker);
        self.worker.ports.borrow_mut().push(Rc::downgrade(&port));
        self.open.push(Rc::clone(&port));
        let worker = Rc::clone(&self.worker);
        self.accepting.spawn_local(async move {
            accept_all(&worker, &port, listener).await;
            drop(port);
            worker.stats.forget_ports();
        });
        Ok(())
    }

    /// Closes one port while others go on.
    fn close(&mut self, place: Place, done: mpsc::Sender<()>) {
        let Some(at) = self.open.iter().position(|port| port.place == place) else {
            // The control may be gone.
            let _ = done.send(());
            return;
        };
        let port = self.open.swap_remove(at);
        *port.closed.borrow_mut() = Some(done);
        port.closing.cancel();
        let worker = Rc::clone(&self.worker);
        // At once: the next answer tells.
        worker.connections.drain(Which::Of(&port), 0);
        let until = Instant::now() + worker.options.limits.removed_port_time;
        tokio::task::spawn_local(async move {
            // What is still to come belongs to it as well.
            port.shut.cancelled().await;
            end_connections(&worker, Which::Of(&port), SILENT_GRACE, until).await;
            drop(port);
            worker.stats.forget_ports();
        });
    }

    /// Accepts what the kernel has connected, and closes all.
    pub(crate) async fn close_all(mut self) {
        for port in &self.open {
            port.closing.cancel();
        }
        while self.accepting.join_next().await.is_some() {}
    }
}

/// Accepts until the port closes, and then what the kernel has connected by that time.
async fn accept_all(worker: &Rc<Worker>, port: &Rc<Port>, listener: TcpListener) {
    loop {
        if !may_accept(worker, port) {
            // What comes waits in the kernel, and is accepted when there is room.
            tokio::select! {
                () = tokio::time::sleep(TICK) => continue,
                () = port.closing.cancelled() => break,
            }
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = port.closing.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => accept::start(worker, port, stream, peer),
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let until = Instant::now() + ACCEPT_REST;
    while Instant::now() < until
        && let Ok(Ok((stream, peer))) = timeout(Duration::from_millis(1), listener.accept()).await
    {
        accept::start(worker, port, stream, peer);
    }
    drop(listener);
    port.shut.cancel();
    if let Some(done) = port.closed.take() {
        // The control may be gone.
        let _ = done.send(());
    }
}
