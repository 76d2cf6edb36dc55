//! All Secrets that may hold certificates, in one watch: for installs with very many.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::StreamExt;
use kube::{Api, Client};
use kube_runtime::watcher::{Config, Event as WatchEvent, watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::progress::SecretProgress;
use super::tell::{Closed, Teller};
use super::{SecretOptions, resource, state_of};
use crate::model::secret::SecretState;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;
use crate::source::kubernetes::WATCH_SECONDS;
use crate::source::kubernetes::explain::{explain_watch, permission};
use crate::source::kubernetes::raw::Raw;
use crate::source::kubernetes::watch::{Trouble, delay, trouble};
use crate::source::{Collection, Event};

/// Types that are never asked for: they hold no certificates, and there may be very many.
const OTHERS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                      type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/dockercfg,\
                      type!=kubernetes.io/basic-auth,type!=kubernetes.io/ssh-auth,\
                      type!=bootstrap.kubernetes.io/token";
/// Secrets of one answer.
const PAGE: u32 = 200;

/// What is known of all, and what was told of those that are wanted.
struct All<'a> {
    events: &'a mpsc::Sender<Event>,
    progress: &'a SecretProgress,
    /// What every Secret holds; `None` before the first list is complete.
    known: Option<BTreeMap<SecretKey, SecretState>>,
    /// The same of a list that runs.
    listed: BTreeMap<SecretKey, SecretState>,
    tellers: BTreeMap<SecretKey, Teller>,
    failures: u32,
}

/// Follows all Secrets until nobody listens.
pub(super) async fn run(
    client: &Client,
    options: &SecretOptions,
    progress: &SecretProgress,
    mut wanted: watch::Receiver<BTreeSet<SecretKey>>,
    events: &mpsc::Sender<Event>,
) {
    let api: Api<Raw> = match &options.single_namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource()),
        None => Api::all_with(client.clone(), &resource()),
    };
    let config = Config {
        field_selector: Some(OTHERS.to_owned()),
        timeout: Some(WATCH_SECONDS),
        page_size: Some(PAGE),
        ..Config::default()
    };
    let (known, listed, tellers) = (None, BTreeMap::new(), BTreeMap::new());
    let mut all = All { events, progress, known, listed, tellers, failures: 0 };
    let in_role = options.single_namespace.as_deref();
    loop {
        let mut stream = pin!(watcher(api.clone(), config.clone()));
        loop {
            let gone = all.tellers.values().filter_map(Teller::gone_at).min();
            let done = tokio::select! {
                () = events.closed() => return,
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let keys = wanted.borrow_and_update().clone();
                    all.choose(&keys).await.map(|()| false)
                }
                () = sleep_until(gone) => all.settle().await.map(|()| false),
                next = stream.next() => match next {
                    Some(Ok(event)) => all.take(event).await.map(|()| false),
                    Some(Err(error)) => all.recover(&error, in_role).await,
                    None => Ok(true),
                },
            };
            match done {
                Ok(false) => {}
                Ok(true) => break,
                Err(Closed) => return,
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl All<'_> {
    /// Tells of those that are wanted from now on, and forgets the others.
    async fn choose(&mut self, wanted: &BTreeSet<SecretKey>) -> Result<(), Closed> {
        let over: Vec<SecretKey> =
            self.tellers.keys().filter(|key| !wanted.contains(*key)).cloned().collect();
        for key in over {
            self.tellers.remove(&key);
            self.progress.end(&key);
            let event = Event::Pem(PemSource::Secret(key), None);
            self.events.send(event).await.map_err(|_| Closed)?;
        }
        for key in wanted {
            if !self.tellers.contains_key(key) {
                self.progress.begin(key);
                let teller = Teller::new(key.clone(), self.events.clone(), self.progress.clone());
                self.tellers.insert(key.clone(), teller);
                self.tell(key).await?;
            }
        }
        Ok(())
    }

    /// Tells what is known of one, where anything is.
    async fn tell(&mut self, key: &SecretKey) -> Result<(), Closed> {
        let (Some(known), Some(teller)) = (&self.known, self.tellers.get_mut(key)) else {
            return Ok(());
        };
        teller.tell(known.get(key).cloned().unwrap_or(SecretState::Missing)).await
    }

    async fn settle(&mut self) -> Result<(), Closed> {
        for teller in self.tellers.values_mut() {
            teller.settle().await?;
        }
        Ok(())
    }

    async fn take(&mut self, event: WatchEvent<Raw>) -> Result<(), Closed> {
        match event {
            WatchEvent::Init => self.listed.clear(),
            WatchEvent::InitApply(raw) => drop(self.listed.insert(key_of(&raw), state_of(&raw))),
            WatchEvent::InitDone => {
                self.failures = 0;
                self.known = Some(std::mem::take(&mut self.listed));
                let wanted: Vec<SecretKey> = self.tellers.keys().cloned().collect();
                for key in wanted {
                    self.tell(&key).await?;
                }
            }
            WatchEvent::Apply(raw) => {
                self.failures = 0;
                let (key, state) = (key_of(&raw), state_of(&raw));
                self.known.get_or_insert_default().insert(key.clone(), state);
                self.tell(&key).await?;
            }
            WatchEvent::Delete(raw) => {
                let key = key_of(&raw);
                self.known.get_or_insert_default().remove(&key);
                self.tell(&key).await?;
            }
        }
        Ok(())
    }

    /// Tells what is wrong and waits; says whether only a new list helps. What was read stays in
    /// force.
    async fn recover(
        &mut self,
        error: &kube_runtime::watcher::Error,
        namespace: Option<&str>,
    ) -> Result<bool, Closed> {
        let trouble = trouble(error, Collection::Services);
        let wait = delay(self.failures, fastrand::f64());
        self.failures = self.failures.saturating_add(1);
        let text = match trouble {
            Trouble::Forbidden => forbidden(namespace),
            _ => explain_watch(error),
        };
        for teller in self.tellers.values_mut() {
            match trouble {
                Trouble::Forbidden if self.known.is_none() => {
                    teller.tell(SecretState::Forbidden(text.as_str().into())).await?;
                }
                Trouble::Expired => {}
                _ => teller.trouble(&text),
            }
        }
        tokio::time::sleep(wait).await;
        Ok(trouble == Trouble::Expired)
    }
}

fn key_of(raw: &Raw) -> SecretKey {
    SecretKey { namespace: raw.namespace().into(), name: raw.name().into() }
}

fn forbidden(namespace: Option<&str>) -> String {
    let role = namespace.map_or_else(
        || "ClusterRole".to_owned(),
        |namespace| format!("Role in namespace {namespace}"),
    );
    let permission = permission(&["list", "watch"], "secrets", "");
    format!("the gateway may not read Secrets: {permission} to its {role}")
}
