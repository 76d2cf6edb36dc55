//! Events on the carriers of annotations, so that `kubectl describe service` shows what is wrong
//! with the configuration in them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use super::annotated::stable_hash;
use super::lead::{Builds, Duty, published};
use super::rebuild::Built;
use super::status::plan::shorten;
use crate::model::Build;
use crate::model::key::{Carrier, CarrierKind, Origin};
use crate::model::report::{ConditionKind, References, Report};
use crate::source::kubernetes::{explain, permission};

/// The longest note of an event (events.k8s.io/v1), in bytes, with room for multi-byte text.
const MAX_NOTE: usize = 1000;
/// Events for one carrier within [`WINDOW`], one that counts the others included.
const PER_CARRIER: usize = 10;
/// The time over which events are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Events that may wait to be written; what comes then is dropped, as events may be.
const MAX_WAITING: usize = 1000;
/// How long writing one event may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Something to say on a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    carrier: Arc<Carrier>,
    reason: &'static str,
    text: String,
}

/// Decides what is new enough to be said. Pure, but for what it remembers.
#[derive(Debug, Default)]
struct Planner {
    /// What has been said of the documents that there are.
    said: HashMap<Arc<Carrier>, HashSet<u64>>,
    /// When each carrier's window began, and how many events it has had since.
    spent: HashMap<Arc<Carrier>, (Instant, usize)>,
}

impl Planner {
    /// What to say after a build, carriers in order.
    fn plan(&mut self, build: &Build, now: Instant) -> Vec<Note> {
        let mut before = std::mem::take(&mut self.said);
        self.spent.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
        let mut fresh: BTreeMap<Arc<Carrier>, Vec<Note>> = BTreeMap::new();
        for report in &build.reports {
            let Some(note) = note(report) else { continue };
            let hash = stable_hash(0, &[note.reason, &note.text]);
            let is_old = before.get_mut(&note.carrier).is_some_and(|said| said.remove(&hash));
            self.said.entry(note.carrier.clone()).or_default().insert(hash);
            if is_old {
                continue;
            }
            fresh.entry(note.carrier.clone()).or_default().push(note);
        }
        fresh.into_iter().flat_map(|(carrier, notes)| self.limit(carrier, notes, now)).collect()
    }

    /// Keeps as many notes as the carrier may have, and counts the others in the last of them.
    fn limit(&mut self, carrier: Arc<Carrier>, mut notes: Vec<Note>, now: Instant) -> Vec<Note> {
        let (_, spent) = self.spent.entry(carrier.clone()).or_insert((now, 0));
        let left = PER_CARRIER.saturating_sub(*spent);
        if notes.len() > left {
            let kept = left.saturating_sub(1);
            let more = notes.len() - kept;
            notes.truncate(kept);
            if left > 0 {
                let text =
                    format!("… and {more} more documents; see kubectl get annotatedresources");
                notes.push(Note { carrier, reason: "MoreProblems", text });
            }
        }
        *spent += notes.len();
        notes
    }
}

/// What a report gives to say, if anything is wrong.
fn note(report: &Report) -> Option<Note> {
    let Origin::Annotation { carrier, index } = &report.object.key.origin else { return None };
    if carrier.uid.is_empty() {
        return None;
    }
    // A Service whose pods are still coming up is no mistake of the annotation's author.
    if report.is_accepted() && matches!(report.references, References::NoEndpoints(_)) {
        return None;
    }
    let conditions = report.conditions();
    let of = |kind| conditions.iter().find(|condition| condition.kind == kind);
    let bad = of(ConditionKind::Ready).filter(|ready| !ready.status).or_else(|| {
        of(ConditionKind::Accepted).filter(|accepted| accepted.reason == "PartiallyInvalid")
    })?;
    let name = &report.object.key.name;
    let text = format!("document {} \"{name}\": {}", index + 1, bad.message);
    Some(Note { carrier: carrier.clone(), reason: bad.reason, text: cut(text) })
}

/// Cuts a note to [`MAX_NOTE`] bytes.
fn cut(text: String) -> String {
    let mut limit = MAX_NOTE;
    let mut cut = shorten(text, limit);
    while cut.len() > MAX_NOTE {
        limit -= limit / 8;
        cut = shorten(cut, limit);
    }
    cut
}

/// Writes events while the lease is held.
pub struct EventWriter {
    client: Client,
    /// The replica's name, shown as the event's reporting instance.
    identity: String,
    planner: Planner,
    waiting: VecDeque<Note>,
    is_failing: bool,
}

impl EventWriter {
    /// A writer that signs as `identity`.
    pub fn new(client: Client, identity: String) -> Self {
        let (planner, waiting) = (Planner::default(), VecDeque::new());
        Self { client, identity, planner, waiting, is_failing: false }
    }

    /// Logs a failure when it is new. An event that can't be written is lost: the status says
    /// the same.
    fn note_result(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(error, "can't write events; status says the same");
            }
            Err(_) => {}
        }
    }

    fn take(&mut self, built: Option<&Built>) {
        let Some(built) = built else { return };
        let notes = self.planner.plan(&built.build, Instant::now());
        let room = MAX_WAITING.saturating_sub(self.waiting.len());
        self.waiting.extend(notes.into_iter().take(room));
    }
}

impl Duty for EventWriter {
    fn begin(&mut self, built: Option<Arc<Built>>) {
        self.take(built.as_deref());
    }

    async fn work(&mut self, builds: &mut Builds) {
        loop {
            let next = self.waiting.front();
            tokio::select! {
                biased;
                changed = builds.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take(published(builds).as_deref());
                }
                result = publish(&self.client, &self.identity, next), if next.is_some() => {
                    self.waiting.pop_front();
                    self.note_result(result);
                }
            }
        }
    }

    fn end(&mut self) {
        self.waiting.clear();
    }
}

impl std::fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventWriter").field("identity", &self.identity).finish_non_exhaustive()
    }
}

async fn publish(client: &Client, identity: &str, note: Option<&Note>) -> Result<(), String> {
    let Some(note) = note else { return Ok(()) };
    let api: Api<Event> = Api::namespaced(client.clone(), &note.carrier.namespace);
    let event = event(note, identity, Timestamp::now());
    match tokio::time::timeout(DEADLINE, api.create(&PostParams::default(), &event)).await {
        Err(_) => Err("no answer within five seconds".to_owned()),
        // It has been said already, before a restart or by another replica.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        // The carrier's namespace is gone or going.
        Ok(Err(kube::Error::Api(status)))
            if status.code == 404 || status.message.contains("being terminated") =>
        {
            Ok(())
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(format!(
            "{}; {} to the gateway's role",
            status.message,
            permission(&["create"], "events", "events.k8s.io")
        )),
        Ok(result) => result.map(drop).map_err(|error| explain(&error)),
    }
}

/// The event that says a note. Its name depends on what it says alone, so that the API server
/// tells when it has been said.
fn event(note: &Note, identity: &str, now: Timestamp) -> Event {
    let carrier = &note.carrier;
    let hash = stable_hash(0, &[&carrier.uid, note.reason, &note.text]);
    let api_version = match carrier.kind {
        CarrierKind::Service => "v1",
        CarrierKind::Ingress => "networking.k8s.io/v1",
    };
    Event {
        metadata: ObjectMeta {
            namespace: Some(carrier.namespace.to_string()),
            name: Some(format!("{}.{hash:016x}", carrier.name)),
            ..ObjectMeta::default()
        },
        action: Some("Configure".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note.text.clone()),
        reason: Some(note.reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(carrier.kind.as_str().to_owned()),
            name: Some(carrier.name.to_string()),
            namespace: Some(carrier.namespace.to_string()),
            uid: Some(carrier.uid.to_string()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("nuncio.dev/gateway".to_owned()),
        reporting_instance: Some(shorten(identity.to_owned(), 128)),
        type_: Some("Warning".to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
