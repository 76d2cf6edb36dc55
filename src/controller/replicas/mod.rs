//! The other replicas, as the one that writes status knows them: where they are, by the
//! EndpointSlices of the admin Service, and what each serves, by a stream from its admin port.
//!
//! So `Programmed` is true only when every replica that gets requests serves a generation, and no
//! change costs a write for each replica.

mod barrier;
mod dial;
mod follow;
mod room;
mod slices;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event, watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

use super::lead::{Builds, Duty, next_after};
use super::rebuild::Built;
use crate::telemetry::timings::Timings;
pub use barrier::{Judgement, Link, Membership, Replica, Replicas, Said};
pub use dial::{Dial, Pipe};
use follow::{Heard, Stream, Word, follow};
pub use follow::{Line, PATH};
pub(super) use room::Room;
pub use room::Standing;
use slices::{Member, build_members};

/// How long to wait after the watch has failed.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// The longest wait of a watch that the API server ends, in seconds.
const WATCH_SECONDS: u32 = 290;
/// What is heard of replicas and not taken in yet.
const QUEUE: usize = 64;

/// What every writer asks of the other replicas.
#[derive(Debug, Clone)]
pub(super) struct Barrier {
    /// What is known of them.
    pub(super) replicas: watch::Receiver<Arc<Replicas>>,
    /// How long an object may wait for them.
    pub(super) grace: Duration,
    /// Where the waiting is counted.
    pub(super) timings: Arc<Timings>,
}

impl Barrier {
    /// An empty room for the objects of one kind.
    pub(super) fn room<K: Hash + Eq + Clone>(&self) -> Room<K> {
        Room::new(self.grace, Arc::clone(&self.timings))
    }
}

/// Where the replicas are found.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// The gateway's own namespace.
    pub namespace: String,
    /// The Service of the admin port, `NUNCIO_ADMIN_SERVICE`.
    pub service: String,
    /// The pod that this replica runs in.
    pub pod: String,
    /// The name that this replica goes by as a candidate for the lease.
    pub instance: String,
    /// How their admin ports are reached.
    pub dial: Dial,
}

/// Follows the other replicas while the lease is held.
pub(super) struct Follower {
    client: Client,
    options: ReplicaOptions,
    replicas: watch::Sender<Arc<Replicas>>,
    known: Replicas,
    slices: HashMap<String, EndpointSlice>,
    /// While a list runs: what it has named.
    listed: Option<HashMap<String, EndpointSlice>>,
    streams: BTreeMap<Arc<str>, AbortHandle>,
    tasks: JoinSet<()>,
    /// Addresses at which this replica found itself.
    own: HashSet<SocketAddr>,
    is_failing: bool,
}

impl Follower {
    /// One that tells `replicas` what it knows.
    pub(super) fn new(
        client: Client,
        options: ReplicaOptions,
        replicas: watch::Sender<Arc<Replicas>>,
    ) -> Self {
        Self {
            client,
            options,
            replicas,
            known: Replicas::unknown(BEING_LISTED),
            slices: HashMap::new(),
            listed: None,
            streams: BTreeMap::new(),
            tasks: JoinSet::new(),
            own: HashSet::new(),
            is_failing: false,
        }
    }

    fn take_event(&mut self, event: Event<EndpointSlice>, words: &mpsc::Sender<Word>) {
        if !matches!(event, Event::Init) && std::mem::take(&mut self.is_failing) {
            tracing::info!(service = self.options.service, "watching the other replicas again");
        }
        let name = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
        match event {
            Event::Init => self.listed = Some(HashMap::new()),
            Event::InitApply(slice) => {
                let listed = self.listed.get_or_insert_default();
                listed.insert(name(&slice), slice);
                return;
            }
            Event::InitDone => {
                self.slices = self.listed.take().unwrap_or_default();
                self.known.membership = Membership::Known;
            }
            Event::Apply(slice) => drop(self.slices.insert(name(&slice), slice)),
            Event::Delete(slice) => drop(self.slices.remove(&name(&slice))),
        }
        let members = build_members(self.slices.values(), &self.options.pod);
        self.set_members(&members, words);
    }

    /// Follows who has come, and nobody who has gone.
    fn set_members(&mut self, members: &BTreeMap<Arc<str>, Member>, words: &mpsc::Sender<Word>) {
        let before = std::mem::take(&mut self.known.by_name);
        for (name, replica) in before {
            match members.get(&name) {
                Some(member) if member.address == replica.address => {
                    let replica = Replica { serving: member.serving, ..replica };
                    self.known.by_name.insert(name, replica);
                }
                _ => {
                    if let Some(stream) = self.streams.remove(&name) {
                        stream.abort();
                    }
                    tracing::debug!(replica = &*name, "a replica is gone");
                }
            }
        }
        for (name, member) in members {
            if self.known.by_name.contains_key(name) || self.own.contains(&member.address) {
                continue;
            }
            let Member { address, serving } = *member;
            let replica = Replica { address, serving, link: Link::Connecting, said: None };
            self.known.by_name.insert(Arc::clone(name), replica);
            let (name_of, dial) = (Arc::clone(name), self.options.dial.clone());
            let stream = Stream { name: name_of, address, dial, words: words.clone() };
            self.streams.insert(Arc::clone(name), self.tasks.spawn(follow(stream)));
        }
        self.publish();
    }

    fn take_word(&mut self, (name, address, heard): Word) {
        let replica = self.known.by_name.get_mut(&name);
        let Some(replica) = replica.filter(|replica| replica.address == address) else { return };
        match heard {
            // An endpoint without the name of a pod may be ourselves.
            Heard::Said(said) if said.instance == self.options.instance => {
                self.own.insert(address);
                self.known.by_name.remove(&name);
                if let Some(stream) = self.streams.remove(&name) {
                    stream.abort();
                }
            }
            Heard::Said(said) => {
                if replica.link != Link::Connected {
                    tracing::info!(
                        replica = &*name,
                        version = said.version,
                        "following another replica"
                    );
                }
                (replica.link, replica.said) = (Link::Connected, Some(said));
            }
            Heard::Lost(reason) => {
                // The first reason stays: it says more than those of later attempts, and messages
                // that hold it needn't be written anew.
                if matches!(replica.link, Link::Lost(_)) {
                    return;
                }
                tracing::info!(replica = &*name, reason, "lost another replica; trying again");
                replica.link = Link::Lost(reason.into());
            }
        }
        self.publish();
    }

    fn take_error(&mut self, error: &watcher::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(
                service = self.options.service,
                %error,
                "can't watch which replicas there are; the gateway's role needs list and watch on endpointslices in group discovery.k8s.io"
            );
        }
        if let Membership::Unknown(reason) = &mut self.known.membership {
            *reason = "the EndpointSlices of the admin Service can't be read".into();
            self.publish();
        }
    }

    fn publish(&self) {
        self.replicas.send_if_modified(|known| {
            let is_new = **known != self.known;
            if is_new {
                *known = Arc::new(self.known.clone());
            }
            is_new
        });
    }
}

/// Why replicas aren't known at first.
const BEING_LISTED: &str = "replicas are being listed";

/// A stream goes on until it is aborted.
fn note_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection to another replica ended by a defect; it is not followed any more");
    }
}

impl Duty for Follower {
    fn begin(&mut self, _: Option<Arc<Built>>) {
        self.known = Replicas::unknown(BEING_LISTED);
        self.publish();
    }

    async fn work(&mut self, builds: &mut Builds) {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.options.namespace);
        let label = format!("kubernetes.io/service-name={}", self.options.service);
        let config = watcher::Config::default().labels(&label).timeout(WATCH_SECONDS);
        let mut slices = std::pin::pin!(watcher(api, config));
        let (words, mut heard) = mpsc::channel(QUEUE);
        let mut resume = Instant::now();
        loop {
            tokio::select! {
                Some(event) = next_after(resume, &mut slices) => match event {
                    Ok(event) => self.take_event(event, &words),
                    Err(error) => {
                        self.take_error(&error);
                        resume = Instant::now() + WATCH_PAUSE;
                    }
                },
                Some(word) = heard.recv() => self.take_word(word),
                Some(ended) = self.tasks.join_next() => note_end(ended),
                changed = builds.changed() => if changed.is_err() { return },
            }
        }
    }

    fn end(&mut self) {
        self.tasks = JoinSet::new();
        self.streams.clear();
        self.slices.clear();
        self.listed = None;
        self.known = Replicas::not_leading();
        self.publish();
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
