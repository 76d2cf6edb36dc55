//! Leader election by a Lease, with the semantics of Kubernetes' own components (client-go's
//! `leaderelection`): one replica writes, all serve.
//!
//! Whether another's lease has run out is judged by when *this* process last saw it change, on
//! its own monotonic clock; the times in the record are for people. Wrong clocks therefore can't
//! make two leaders.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lead::Leadership;
use super::rival::{INSTALL, Rivals};
use crate::source::kubernetes::{explain, permission};

/// How long a lease holds after its last renewal was seen (client-go's `LeaseDuration`).
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A holder who hasn't renewed for this long gives up: well before others may take over
/// (client-go's `RenewDeadline`).
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the holder renews and others look (client-go's `RetryPeriod`).
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// A holder who hasn't renewed for this long may be gone: it has left out a renewal or two.
const SILENT: Duration = Duration::from_secs(6);
/// How long one request may take, so that several fit into the deadline.
const REQUEST_DEADLINE: Duration = Duration::from_secs(4);

/// Which lease, and who we are.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// The Lease's namespace: the gateway's own.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// What distinguishes this replica from all others, past ones included: the pod's name with
    /// something random.
    pub identity: String,
    /// The installation that this replica belongs to: the name of its admin Service. `None` is
    /// not known, and then no other installation is noticed.
    pub install: Option<String>,
}

/// A record as it was last seen.
#[derive(Debug, Clone, PartialEq)]
struct Observed {
    record: Record,
    /// When this process first saw it.
    since: Instant,
}

/// What counts of a Lease.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) uid: String,
    resource_version: String,
    pub(super) holder: String,
    duration: Duration,
    transitions: i32,
    acquired: Option<MicroTime>,
    /// The installation of the last holder, where it said so.
    pub(super) install: Option<String>,
}

/// What to do about a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// There is none: make it, ours.
    Create,
    /// It is free or has run out: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is another's.
    Wait,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("another holds the lease")]
    HeldByAnother,
    #[error("the lease was changed by another")]
    Conflict,
    #[error("no answer within four seconds")]
    Timeout,
    #[error("{0}")]
    Api(String),
}

/// A candidate for the lease.
pub struct Candidate {
    api: Api<Lease>,
    options: LeaseOptions,
    observed: Option<Observed>,
    rivals: Rivals,
    /// Whether the record that was seen last is the one that we wrote: it is ours until the API
    /// server refuses to replace it, so that a renewal needn't look first.
    is_written: bool,
}

impl Candidate {
    /// A candidate who holds nothing yet.
    pub fn new(client: Client, options: LeaseOptions) -> Self {
        let rivals = Rivals::new(client.clone(), &options);
        let api = Api::namespaced(client, &options.namespace);
        Self { api, options, observed: None, rivals, is_written: false }
    }

    /// Tries for the lease, and holds it, until `shutdown`; then gives it back. `leader` tells
    /// while the lease is held.
    pub async fn run(mut self, leader: watch::Sender<Leadership>, shutdown: CancellationToken) {
        while let Some(acquired) = shutdown.run_until_cancelled(self.acquire()).await {
            tracing::info!(lease = self.options.name, "leading: this replica writes status");
            let lost = shutdown.run_until_cancelled(self.hold(acquired, &leader)).await;
            // At once, before anything else happens to the lease.
            leader.send_replace(Leadership::default());
            let Some(error) = lost else {
                self.release().await;
                break;
            };
            tracing::warn!(lease = self.options.name, %error, "no longer leading");
        }
    }

    /// Returns once the lease is ours, and when we began to take it.
    async fn acquire(&mut self) -> Instant {
        let mut trouble = false;
        let mut told = None;
        loop {
            let begun = Instant::now();
            match self.attempt().await {
                Ok(()) => return begun,
                Err(LeaseError::HeldByAnother) => {
                    trouble = false;
                    self.tell_holder(&mut told);
                }
                Err(LeaseError::Conflict) => trouble = false,
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::warn!(lease = self.options.name, %error, "can't read or write the lease; trying again");
                    }
                }
            }
            // client-go's jitter: candidates must not come in step.
            tokio::time::sleep(RETRY_PERIOD.mul_f64(1.0 + 1.2 * fastrand::f64())).await;
        }
    }

    /// Logs who holds the lease: once for each holder, and once more when it doesn't renew.
    fn tell_holder(&self, told: &mut Option<(String, bool)>) {
        let Some(Observed { record, since }) = &self.observed else { return };
        let is_silent = since.elapsed() > SILENT;
        let now = Some((record.holder.clone(), is_silent));
        if std::mem::replace(told, now.clone()) == now {
            return;
        }
        let (lease, holder) = (&self.options.name, &record.holder);
        if is_silent {
            let left = record.duration.saturating_sub(since.elapsed()).as_secs();
            tracing::warn!(
                lease,
                holder,
                seconds_left = left,
                "the replica that writes status does not renew its lease; another takes over when it has run out"
            );
        } else {
            tracing::info!(lease, holder, "another replica writes status");
        }
    }

    /// Renews until that has failed for too long or another holds the lease; says why.
    async fn hold(&mut self, acquired: Instant, leader: &watch::Sender<Leadership>) -> LeaseError {
        let mut renewed = acquired;
        loop {
            leader.send_replace(Leadership::until(renewed + RENEW_DEADLINE));
            tokio::time::sleep_until(renewed + RETRY_PERIOD).await;
            let deadline = renewed + RENEW_DEADLINE;
            let mut last = LeaseError::Timeout;
            renewed = loop {
                // A renewal counts from before it was sent: others may have seen it that early.
                let begun = Instant::now();
                match tokio::time::timeout_at(deadline, self.attempt()).await {
                    Err(_) => return last,
                    Ok(Ok(())) => break begun,
                    Ok(Err(LeaseError::HeldByAnother)) => return LeaseError::HeldByAnother,
                    // Somebody wrote into our lease: look at once who.
                    Ok(Err(LeaseError::Conflict)) => continue,
                    Ok(Err(error)) => last = error,
                }
                if tokio::time::timeout_at(deadline, tokio::time::sleep(RETRY_PERIOD))
                    .await
                    .is_err()
                {
                    return last;
                }
            };
        }
    }

    /// One round: look, where we don't know; decide; write.
    async fn attempt(&mut self) -> Result<(), LeaseError> {
        if !std::mem::take(&mut self.is_written) {
            self.look().await?;
        }
        let now = Instant::now();
        self.examine_holder(now).await;
        let params = PostParams { field_manager: Some("nuncio".into()), ..PostParams::default() };
        let lease = match decide(self.observed.as_ref(), now, &self.options.identity) {
            Step::Wait => return Err(LeaseError::HeldByAnother),
            Step::Create => {
                let lease = self.record(None, MicroTime(Timestamp::now()));
                timed(self.api.create(&params, &lease)).await?
            }
            Step::Take | Step::Renew => {
                let before = self.observed.as_ref().map(|observed| &observed.record);
                let lease = self.record(before, MicroTime(Timestamp::now()));
                timed(self.api.replace(&self.options.name, &params, &lease)).await?
            }
        };
        self.observe(Some(&lease));
        self.is_written = true;
        Ok(())
    }

    /// Looks for another installation, and says when a holder has let the lease run out.
    async fn examine_holder(&mut self, now: Instant) {
        let Some(Observed { record, since }) = &self.observed else { return };
        if record.holder.is_empty() || record.holder == self.options.identity {
            return;
        }
        self.rivals.see(record).await;
        if now >= *since + record.duration {
            let (lease, holder) = (&self.options.name, &record.holder);
            tracing::info!(lease, holder, "the holder of the lease has not renewed it; taking it");
        }
    }

    async fn look(&mut self) -> Result<(), LeaseError> {
        let lease = timed(self.api.get_opt(&self.options.name)).await?;
        self.observe(lease.as_ref());
        Ok(())
    }

    /// Remembers the record, and since when it has been this one.
    fn observe(&mut self, lease: Option<&Lease>) {
        let record = lease.map(read_record);
        if self.observed.as_ref().map(|observed| &observed.record) != record.as_ref() {
            self.observed = record.map(|record| Observed { record, since: Instant::now() });
        }
    }

    /// Our record, in place of `before`.
    fn record(&self, before: Option<&Record>, now: MicroTime) -> Lease {
        let ours = before.filter(|before| before.holder == self.options.identity);
        let transitions = match (ours, before) {
            (Some(record), _) => record.transitions,
            (None, Some(record)) => record.transitions.saturating_add(1),
            (None, None) => 0,
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.options.name.clone()),
                namespace: Some(self.options.namespace.clone()),
                // Makes the API server refuse to overwrite what we haven't seen.
                resource_version: before.map(|before| before.resource_version.clone()),
                annotations: self.install_annotation(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.options.identity.clone()),
                lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
                acquire_time: ours.and_then(|ours| ours.acquired.clone()).or(Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn install_annotation(&self) -> Option<BTreeMap<String, String>> {
        let install = self.options.install.clone()?;
        Some(BTreeMap::from([(INSTALL.to_owned(), install)]))
    }

    /// Gives the lease back, so that the next one needn't wait for it to run out.
    async fn release(&mut self) {
        let lease = self.options.name.clone();
        match self.try_release().await {
            Ok(()) => tracing::info!(lease, "gave the lease back"),
            Err(error) => tracing::warn!(lease, %error, "can't give the lease back; it runs out"),
        }
    }

    async fn try_release(&mut self) -> Result<(), LeaseError> {
        // A renewal that was cut off may have arrived.
        self.look().await?;
        let record = self.observed.as_ref().map(|observed| &observed.record);
        let Some(record) = record.filter(|record| record.holder == self.options.identity) else {
            return Ok(());
        };
        let mut lease = self.record(Some(record), MicroTime(Timestamp::now()));
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        timed(self.api.replace(&self.options.name, &PostParams::default(), &lease)).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What to do about the lease that was seen, for the candidate `identity`.
fn decide(observed: Option<&Observed>, now: Instant, identity: &str) -> Step {
    let Some(Observed { record, since }) = observed else { return Step::Create };
    if record.holder == identity {
        Step::Renew
    } else if record.holder.is_empty() || now >= *since + record.duration {
        Step::Take
    } else {
        Step::Wait
    }
}

fn read_record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        uid: lease.metadata.uid.clone().unwrap_or_default(),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(LEASE_DURATION, Duration::from_secs),
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquired: spec.acquire_time,
        install: lease.metadata.annotations.as_ref().and_then(|all| all.get(INSTALL)).cloned(),
    }
}

async fn timed<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
    match tokio::time::timeout(REQUEST_DEADLINE, request).await {
        Err(_) => Err(LeaseError::Timeout),
        // 409: the record isn't the one we saw, or was made before ours.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(LeaseError::Conflict),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            let permission =
                permission(&["get", "create", "update"], "leases", "coordination.k8s.io");
            Err(LeaseError::Api(format!(
                "{}; {permission} to the gateway's Role in its namespace",
                status.message
            )))
        }
        Ok(result) => result.map_err(|error| LeaseError::Api(explain(&error))),
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
