//! The gateways' pods: where each is found, which EndpointSlice names them, and the connections
//! on which they tell the leader how far they are.
//!
//! What answers such a connection is written anew here, since the real admin port is a socket;
//! tests/e2e has that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nuncio::controller::rebuild::Built;
use nuncio::controller::replicas::{Dial, Line, Pipe, Replicas};
use nuncio::source::versions::Versions;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::replica::HOME;
use crate::server::ApiServer;
use crate::storage::Key;

/// The Service of the admin ports.
pub(crate) const SERVICE: &str = "nuncio-admin";
const PORT: u16 = 8877;
/// How often a pod is looked at, as the kubelet's probes do.
const PROBE: Duration = Duration::from_millis(500);
/// How often a replica speaks when nothing changes, as the real one does.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// All pods; clones are the same network.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    pods: BTreeMap<usize, Pod>,
    /// Pods that no other reaches.
    cut: BTreeSet<usize>,
}

/// What others see of a gateway.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) built: watch::Receiver<Arc<Built>>,
    pub(crate) served: watch::Receiver<Versions>,
    /// What it knows of the others.
    pub(crate) replicas: watch::Receiver<Arc<Replicas>>,
    /// At which version of the API server's objects it was first seen ready.
    pub(crate) ready_at: Option<u64>,
    /// Takes connections; closed when the gateway is gone.
    door: mpsc::Sender<DuplexStream>,
}

impl Pod {
    /// Whether it takes requests: there is something that it serves.
    fn is_ready(&self) -> bool {
        !self.door.is_closed() && self.built.borrow().generation > 0
    }
}

pub(crate) fn pod_name(number: usize) -> String {
    format!("pod-{number}")
}

fn address(number: usize) -> SocketAddr {
    let host = u8::try_from(number + 1).expect("few pods");
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), PORT))
}

impl Network {
    /// Puts a gateway into pod `number`, and answers for it as long as the future lives.
    pub(crate) fn enter(
        &self,
        number: usize,
        built: watch::Receiver<Arc<Built>>,
        served: watch::Receiver<Versions>,
        replicas: watch::Receiver<Arc<Replicas>>,
    ) -> impl Future<Output = ()> + use<> {
        let (door, connections) = mpsc::channel(16);
        let pod = Pod { built, served, replicas, ready_at: None, door };
        self.0.lock().pods.insert(number, pod.clone());
        answer(self.clone(), number, pod.watched(), connections)
    }

    /// How the pods reach each other.
    pub(crate) fn dial(&self, from: usize) -> Dial {
        let network = self.clone();
        Dial::new(move |to| Box::pin(network.clone().connect(from, to)))
    }

    pub(crate) fn cut(&self, pod: usize, cut: bool) {
        let mut inner = self.0.lock();
        match cut {
            true => drop(inner.cut.insert(pod)),
            false => drop(inner.cut.remove(&pod)),
        }
    }

    /// From now on everybody reaches everybody.
    pub(crate) fn heal(&self) {
        self.0.lock().cut.clear();
    }

    pub(crate) fn pod(&self, number: usize) -> Option<Pod> {
        self.0.lock().pods.get(&number).cloned()
    }

    /// The pods by the names that the EndpointSlice gives them.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Pod> {
        let pods = self.0.lock().pods.clone();
        pods.into_iter().map(|(number, pod)| (pod_name(number), pod)).collect()
    }

    /// Keeps the EndpointSlice as the pods are, as Kubernetes does.
    pub(crate) async fn keep_slice(self, server: ApiServer) {
        let key = Key::new("endpointslices", HOME, SERVICE);
        loop {
            self.probe(server.change(|storage| storage.version()));
            let slice = self.slice();
            server.change(|storage| storage.put(&key, slice));
            sleep(PROBE).await;
        }
    }

    fn probe(&self, version: u64) {
        let mut inner = self.0.lock();
        let ready = inner.pods.values_mut().filter(|pod| pod.is_ready());
        ready.for_each(|pod| pod.ready_at = pod.ready_at.or(Some(version)));
    }

    fn slice(&self) -> Value {
        let inner = self.0.lock();
        let alive = inner.pods.iter().filter(|(_, pod)| !pod.door.is_closed());
        let endpoints = alive.map(|(number, pod)| {
            json!({
                "addresses": [address(*number).ip().to_string()],
                "conditions": {"ready": pod.ready_at.is_some(), "serving": pod.ready_at.is_some()},
                "targetRef": {"kind": "Pod", "name": pod_name(*number), "namespace": HOME},
            })
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"labels": {"kubernetes.io/service-name": SERVICE}},
            "ports": [{"name": "admin", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints.collect::<Value>(),
        })
    }

    fn is_cut(&self, pod: usize) -> bool {
        self.0.lock().cut.contains(&pod)
    }

    async fn connect(self, from: usize, to: SocketAddr) -> io::Result<Box<dyn Pipe>> {
        let found = {
            let inner = self.0.lock();
            inner
                .pods
                .iter()
                .find(|(number, _)| address(**number) == to)
                .map(|(n, p)| (*n, p.clone()))
        };
        sleep(Duration::from_millis(1)).await;
        let Some((number, pod)) = found else { return Err(io::ErrorKind::HostUnreachable.into()) };
        if self.is_cut(from) || self.is_cut(number) {
            std::future::pending::<()>().await;
        }
        let (near, far) = tokio::io::duplex(4096);
        pod.door.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(near))
    }
}

impl Pod {
    /// What the gateway itself may hold: not its own door.
    fn watched(&self) -> Spoken {
        Spoken { built: self.built.clone(), served: self.served.clone() }
    }
}

/// What a gateway tells of itself.
#[derive(Clone)]
struct Spoken {
    built: watch::Receiver<Arc<Built>>,
    served: watch::Receiver<Versions>,
}

async fn answer(
    network: Network,
    number: usize,
    spoken: Spoken,
    mut connections: mpsc::Receiver<DuplexStream>,
) {
    let mut streams = JoinSet::new();
    while let Some(connection) = connections.recv().await {
        streams.spawn(speak(network.clone(), number, spoken.clone(), connection));
        while streams.try_join_next().is_some() {}
    }
}

/// A line at once, one after each change, and one every two seconds; nothing more once the
/// network is cut, as on a connection that is half open.
async fn speak(network: Network, number: usize, mut spoken: Spoken, mut connection: DuplexStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let mut text = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    loop {
        let ready = spoken.built.borrow_and_update().generation > 0;
        let served = spoken.served.borrow_and_update().clone();
        let line = Line::new(crate::replica::identity(number), "1".to_owned(), ready, &served);
        text += &serde_json::to_string(&line).expect("plain data");
        text.push('\n');
        if network.is_cut(number) {
            std::future::pending::<()>().await;
        }
        if connection.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        text.clear();
        let changed = async {
            tokio::select! {
                _ = spoken.built.changed() => {}
                _ = spoken.served.changed() => {}
            }
        };
        let _ = timeout(HEARTBEAT, changed).await;
    }
}
