//! Secrets: exactly those that a build wants, and each only as long as it does.
//!
//! By name (the default), each Secret has a watch of its own, so that the gateway never holds
//! another. For installs with very many, one watch follows all Secrets of the cluster that may
//! hold certificates; what isn't wanted of them stays in memory unused.

mod all;
mod one;
mod progress;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use kube::{Api, Client};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use self::one::One;
pub use self::progress::SecretProgress;
use self::tell::Teller;
use super::raw::Raw;
use crate::model::secret::SecretState;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;
use crate::source::Event;

/// First lists that may be under way at once: a restart with thousands of Hosts must not be a
/// burst for the API server.
const STARTS: usize = 32;
/// A Secret that nobody wants any more is followed a while longer, so that an object that is
/// deleted and made anew, or is wrong for a moment, finds its certificate at once.
const GRACE: Duration = Duration::from_secs(30);
/// Longest namespace and name that Kubernetes takes.
const LONGEST: (usize, usize) = (63, 253);

/// How Secrets are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretWatch {
    /// Each that is wanted, by its name.
    #[default]
    ByName,
    /// All that may hold certificates.
    All,
}

/// Which Secrets are followed, and how.
#[derive(Debug, Clone, Default)]
pub struct SecretOptions {
    /// By name or all.
    pub watch: SecretWatch,
    /// The only namespace whose Secrets may be read (`AMBASSADOR_SINGLE_NAMESPACE`,
    /// `AMBASSADOR_CERTS_SINGLE_NAMESPACE`); `None` for all.
    pub single_namespace: Option<String>,
    /// A Secret that comes from elsewhere (Istio's files) and is not asked of the API server.
    pub elsewhere: Option<SecretKey>,
}

/// Follows the Secrets that are wanted and sends what they hold, until the receiver of `events`
/// or the sender of `wanted` is gone. Errors of the API server never end it.
pub async fn run(
    client: Client,
    options: SecretOptions,
    progress: SecretProgress,
    mut wanted: watch::Receiver<Arc<BTreeSet<PemSource>>>,
    events: mpsc::Sender<Event>,
) {
    let (keys, received) = watch::channel(BTreeSet::new());
    let follow = async {
        match options.watch {
            SecretWatch::ByName => by_name(&client, &options, &progress, received, &events).await,
            SecretWatch::All => all::run(&client, &options, &progress, received, &events).await,
        }
    };
    let choose = async {
        let mut refused = BTreeMap::new();
        loop {
            let now = choose(&wanted.borrow_and_update(), &options);
            if refuse(&mut refused, now.refused, &events).await.is_err() {
                return;
            }
            keys.send_if_modified(|keys| std::mem::replace(keys, now.keys.clone()) != now.keys);
            if wanted.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = choose => {}
    }
}

/// What becomes of those that are wanted.
struct Chosen {
    /// They are asked of the API server.
    keys: BTreeSet<SecretKey>,
    /// They never are; each with the reason.
    refused: BTreeMap<SecretKey, SecretState>,
}

fn choose(wanted: &BTreeSet<PemSource>, options: &SecretOptions) -> Chosen {
    let mut chosen = Chosen { keys: BTreeSet::new(), refused: BTreeMap::new() };
    for source in wanted {
        let PemSource::Secret(key) = source else { continue };
        if options.elsewhere.as_ref() == Some(key) {
            continue;
        }
        match refusal(key, options) {
            Some(state) => drop(chosen.refused.insert(key.clone(), state)),
            None => drop(chosen.keys.insert(key.clone())),
        }
    }
    chosen
}

/// Why a Secret isn't asked for: names come from users, and go into addresses and selectors.
fn refusal(key: &SecretKey, options: &SecretOptions) -> Option<SecretState> {
    let is_name = |text: &str, longest: usize| {
        let taken = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        (1..=longest).contains(&text.len()) && text.bytes().all(taken)
    };
    if !is_name(&key.namespace, LONGEST.0)
        || key.namespace.contains('.')
        || !is_name(&key.name, LONGEST.1)
        || key.name.split('.').any(str::is_empty)
    {
        return Some(SecretState::Unreadable("Kubernetes takes no such name for a Secret".into()));
    }
    let only = options.single_namespace.as_deref()?;
    (*key.namespace != *only).then(|| {
        SecretState::Forbidden(
            format!(
                "this gateway reads Secrets of namespace {only} only: put the Secret there, or \
                 unset AMBASSADOR_SINGLE_NAMESPACE and AMBASSADOR_CERTS_SINGLE_NAMESPACE"
            )
            .into(),
        )
    })
}

/// Tells what is refused, and takes back what was and no longer is.
async fn refuse(
    before: &mut BTreeMap<SecretKey, SecretState>,
    now: BTreeMap<SecretKey, SecretState>,
    events: &mpsc::Sender<Event>,
) -> Result<(), mpsc::error::SendError<Event>> {
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        events.send(Event::Pem(PemSource::Secret(key.clone()), None)).await?;
    }
    for (key, state) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
        events.send(Event::Pem(PemSource::Secret(key.clone()), Some(state.clone()))).await?;
    }
    *before = now;
    Ok(())
}

/// A Secret's watch.
struct Followed {
    task: AbortHandle,
    /// Since when nobody wants it.
    unwanted: Option<Instant>,
}

/// The watches that run.
struct ByName<'a> {
    client: &'a Client,
    options: &'a SecretOptions,
    progress: &'a SecretProgress,
    events: &'a mpsc::Sender<Event>,
    starts: Arc<Semaphore>,
    tasks: JoinSet<()>,
    keys: HashMap<Id, SecretKey>,
    followed: BTreeMap<SecretKey, Followed>,
}

async fn by_name(
    client: &Client,
    options: &SecretOptions,
    progress: &SecretProgress,
    mut wanted: watch::Receiver<BTreeSet<SecretKey>>,
    events: &mpsc::Sender<Event>,
) {
    let mut watches = ByName {
        client,
        options,
        progress,
        events,
        starts: Arc::new(Semaphore::new(STARTS)),
        tasks: JoinSet::new(),
        keys: HashMap::new(),
        followed: BTreeMap::new(),
    };
    loop {
        let keys = wanted.borrow_and_update().clone();
        watches.start(&keys);
        if watches.stop().await.is_err() {
            return;
        }
        let next = watches.next_stop();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = events.closed() => return,
            () = async { match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }} => {}
            Some(ended) = watches.tasks.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(|error| error.id(), |(id, ())| *id);
                watches.ended(id, ended.err().is_some_and(|error| error.is_panic()));
            }
        }
    }
}

impl ByName<'_> {
    /// Starts what is wanted, and notes what no longer is.
    fn start(&mut self, wanted: &BTreeSet<SecretKey>) {
        for (key, followed) in &mut self.followed {
            match wanted.contains(key) {
                true => followed.unwanted = None,
                false => drop(followed.unwanted.get_or_insert_with(Instant::now)),
            }
        }
        for key in wanted {
            if self.followed.contains_key(key) {
                continue;
            }
            self.progress.begin(key);
            let one = One {
                api: Api::namespaced_with(self.client.clone(), &key.namespace, &resource()),
                starts: Arc::clone(&self.starts),
                teller: Teller::new(key.clone(), self.events.clone(), self.progress.clone()),
                in_role: self.options.single_namespace.is_some(),
            };
            let task = self.tasks.spawn(one.run());
            self.keys.insert(task.id(), key.clone());
            self.followed.insert(key.clone(), Followed { task, unwanted: None });
        }
    }

    /// Ends what nobody has wanted for a while.
    async fn stop(&mut self) -> Result<(), mpsc::error::SendError<Event>> {
        let ends =
            |followed: &Followed| followed.unwanted.is_some_and(|since| since.elapsed() >= GRACE);
        let over: Vec<SecretKey> = self
            .followed
            .iter()
            .filter(|(_, followed)| ends(followed))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            if let Some(followed) = self.followed.remove(&key) {
                followed.task.abort();
                self.keys.remove(&followed.task.id());
            }
            self.progress.end(&key);
            self.events.send(Event::Pem(PemSource::Secret(key), None)).await?;
        }
        Ok(())
    }

    fn next_stop(&self) -> Option<Instant> {
        self.followed.values().filter_map(|followed| followed.unwanted).min().map(|at| at + GRACE)
    }

    /// A task that has ended by itself is started anew with the next look.
    fn ended(&mut self, id: Id, panicked: bool) {
        let Some(key) = self.keys.remove(&id) else { return };
        if panicked {
            tracing::error!(secret = %key, "following a Secret ended by a defect; beginning anew");
        }
        self.followed.remove(&key);
    }
}

/// What Secrets are called.
fn resource() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        plural: "secrets".to_owned(),
    }
}

/// What a Secret holds that was read; no word of how it is labelled or annotated is kept.
fn state_of(raw: &Raw) -> SecretState {
    match crate::source::parse::parse_secret(&raw.body) {
        Some((_, state)) => state,
        None => SecretState::Unreadable("it has no name".into()),
    }
}
