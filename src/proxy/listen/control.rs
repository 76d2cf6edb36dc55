//! The thread that opens and closes ports as the table says.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::bind::{bind, explain};
use super::plan::plan_listeners;
use super::{Place, PortCommand};
use crate::model::snapshot::Observations;
use crate::proxy::tls::TlsConfigs;
use crate::publish::Reader;
use crate::routing::RouteTable;

/// How often the thread looks whether it is to end.
const PERIOD: Duration = Duration::from_millis(100);
/// A port that can't be opened is tried again after this time.
const RETRY: Duration = Duration::from_secs(3);
/// How long the workers are given to close a port before another is opened: they accept what the
/// kernel has connected, which takes a fraction of it.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What the control is made of.
pub(crate) struct ControlParts {
    /// The published tables.
    pub(crate) tables: Reader<RouteTable>,
    /// The address of listeners that name none.
    pub(crate) own_address: IpAddr,
    /// Bytes that the kernel keeps for a client that doesn't read, where they are limited.
    pub(crate) unsent: Option<u32>,
    /// The workers.
    pub(crate) workers: Vec<UnboundedSender<PortCommand>>,
    /// The compiled TLS of the table.
    pub(crate) tls: Arc<TlsConfigs>,
}

/// Which ports are open, and what keeps others from it.
pub(crate) struct Control {
    parts: ControlParts,
    open: BTreeMap<Place, SocketAddr>,
    failed: BTreeMap<Place, Arc<str>>,
    retry_at: Instant,
    addresses: watch::Sender<Vec<SocketAddr>>,
    observations: watch::Sender<Arc<Observations>>,
    stop: Arc<AtomicBool>,
}

/// What others see of the control.
#[derive(Debug)]
pub(crate) struct Handle {
    /// The addresses that are listened on, in the order of the listeners' places.
    pub(crate) addresses: watch::Receiver<Vec<SocketAddr>>,
    /// What can't be listened on.
    pub(crate) observations: watch::Receiver<Arc<Observations>>,
    stop: Arc<AtomicBool>,
}

impl Handle {
    /// From here on the ports stay as they are.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Control {
    /// Opens the ports of the first table, and follows the tables on a thread of its own.
    ///
    /// # Errors
    ///
    /// Ports are wanted and none can be opened: who can't serve at all should not look as if it
    /// did. Or the thread can't be started.
    pub(crate) fn start(parts: ControlParts) -> io::Result<Handle> {
        let mut control = Self {
            parts,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            retry_at: Instant::now(),
            addresses: watch::Sender::new(Vec::new()),
            observations: watch::Sender::default(),
            stop: Arc::default(),
        };
        control.follow();
        if let (true, Some(reason)) = (control.open.is_empty(), control.failed.values().next()) {
            return Err(io::Error::other(reason.to_string()));
        }
        let handle = Handle {
            addresses: control.addresses.subscribe(),
            observations: control.observations.subscribe(),
            stop: Arc::clone(&control.stop),
        };
        std::thread::Builder::new().name("ports".into()).spawn(move || control.run())?;
        Ok(handle)
    }

    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let is_news = self.parts.tables.wait(PERIOD);
            let is_due = !self.failed.is_empty() && Instant::now() >= self.retry_at;
            if (is_news || is_due) && !self.stop.load(Ordering::Acquire) {
                self.follow();
            }
        }
    }

    /// Makes the ports those of the newest table.
    fn follow(&mut self) {
        let table = Arc::clone(self.parts.tables.get());
        let listeners = &table.config().listeners;
        self.parts.tls.follow(listeners);
        let plan = plan_listeners(self.open.keys(), listeners.iter().map(|one| &**one));
        self.failed.retain(|place, _| plan.open.contains(place));
        self.close(&plan.close);
        for place in &plan.open {
            self.open(*place);
        }
        self.retry_at = Instant::now() + RETRY;
        self.tell();
    }

    fn open(&mut self, place: Place) {
        let address = place.address.unwrap_or(self.parts.own_address);
        let address = SocketAddr::new(address, place.port);
        match self.bind(address) {
            Ok((address, sockets)) => {
                for (worker, socket) in self.parts.workers.iter().zip(sockets) {
                    // One that has ended needs no port.
                    let _ = worker.send(PortCommand::Open(place, socket));
                }
                self.failed.remove(&place);
                self.open.insert(place, address);
                tracing::info!(%address, "listening");
            }
            Err(error) => {
                let text: Arc<str> = explain(address, &error).into();
                if self.failed.insert(place, Arc::clone(&text)).as_ref() != Some(&text) {
                    tracing::error!(%address, problem = %text, "a port can't be opened; trying again");
                }
            }
        }
    }

    fn bind(&self, address: SocketAddr) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
        let sockets = bind(address, self.parts.workers.len(), self.parts.unsent)?;
        let bound = sockets.first().map_or(Ok(address), TcpListener::local_addr)?;
        Ok((bound, sockets))
    }

    /// Closes ports and waits until the sockets are gone.
    fn close(&mut self, places: &[Place]) {
        let (done, closed) = mpsc::channel();
        let mut awaited = 0;
        for place in places {
            if let Some(address) = self.open.remove(place) {
                tracing::info!(%address, "no longer listening");
            }
            for worker in &self.parts.workers {
                awaited +=
                    usize::from(worker.send(PortCommand::Close(*place, done.clone())).is_ok());
            }
        }
        let until = Instant::now() + CLOSE_LIMIT;
        for _ in 0..awaited {
            let rest = until.saturating_duration_since(Instant::now());
            if closed.recv_timeout(rest).is_err() {
                tracing::warn!("a worker takes long to close a port");
                return;
            }
        }
    }

    fn tell(&self) {
        let addresses: Vec<SocketAddr> = self.open.values().copied().collect();
        self.addresses.send_if_modified(|old| {
            let is_new = *old != addresses;
            *old = addresses;
            is_new
        });
        let failed = self.failed.iter();
        let failed_listeners =
            failed.map(|(place, text)| ((place.address, place.port), Arc::clone(text))).collect();
        self.observations.send_if_modified(|old| {
            let is_new = old.failed_listeners != failed_listeners;
            if is_new {
                *old = Arc::new(Observations { failed_listeners });
            }
            is_new
        });
    }
}
