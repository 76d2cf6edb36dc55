//! Events, so that `kubectl describe` shows what is wrong: on the carriers of annotations all that
//! is wrong with the configuration in them, on Hosts and TLSContexts what becomes of a certificate
//! with nobody having touched them.

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
use crate::model::key::{Carrier, CarrierKind, Kind, Origin};
use crate::model::report::{Condition, ConditionKind, References, Report};
use crate::model::sorted::Sorted;
use crate::source::kubernetes::{explain, permission};

/// The longest note of an event (events.k8s.io/v1), in bytes, with room for multi-byte text.
const MAX_NOTE: usize = 1000;
/// Events for one subject within [`WINDOW`], one that counts the others included.
const PER_CARRIER: usize = 10;
/// The time over which events are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Events that may wait to be written; what comes then is dropped, as events may be.
const MAX_WAITING: usize = 1000;
/// How long writing one event may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Subject {
    api_version: &'static str,
    kind: &'static str,
    namespace: Arc<str>,
    name: Arc<str>,
    uid: Arc<str>,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Note {
    subject: Subject,
    reason: &'static str,
    text: String,
}

/// Decides what is new enough to be said. Pure, but for what it remembers.
#[derive(Debug, Default)]
struct Planner {
    /// The reports of which all has been said.
    said: Sorted<Arc<Report>>,
    /// When each subject's window began, and how many events it has had since.
    spent: HashMap<Subject, (Instant, usize)>,
}

impl Planner {
    /// What to say after a build, subjects in order.
    fn plan(&mut self, build: &Build, now: Instant) -> Vec<Note> {
        self.spent.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
        let said = std::mem::replace(&mut self.said, build.reports.clone());
        let changes = build.reports.changes(&said);
        // A document may have got another key, and still be as wrong as before.
        let before: HashSet<Note> = changes
            .iter()
            .filter_map(|change| change.old)
            .flat_map(|report| notes(report))
            .collect();
        let mut fresh: BTreeMap<Subject, Vec<Note>> = BTreeMap::new();
        for note in changes.iter().filter_map(|change| change.new).flat_map(|report| notes(report))
        {
            if !before.contains(&note) {
                fresh.entry(note.subject.clone()).or_default().push(note);
            }
        }
        fresh.into_iter().flat_map(|(subject, notes)| self.limit(subject, notes, now)).collect()
    }

    /// Keeps as many notes as the subject may have, and counts the others in the last of them.
    fn limit(&mut self, subject: Subject, mut notes: Vec<Note>, now: Instant) -> Vec<Note> {
        let (_, spent) = self.spent.entry(subject.clone()).or_insert((now, 0));
        let left = PER_CARRIER.saturating_sub(*spent);
        if notes.len() > left {
            let kept = left.saturating_sub(1);
            let more = notes.len() - kept;
            notes.truncate(kept);
            if left > 0 {
                let text =
                    format!("… and {more} more documents; see kubectl get annotatedresources");
                notes.push(Note { subject, reason: "MoreProblems", text });
            }
        }
        *spent += notes.len();
        notes
    }
}

/// What a report gives to say, if anything is wrong.
fn notes(report: &Report) -> Vec<Note> {
    let object = &report.object;
    match (&object.key.origin, &object.uid) {
        (Origin::Annotation { carrier, index }, _) if !carrier.uid.is_empty() => {
            let text =
                |message| format!("document {} \"{}\": {message}", index + 1, object.key.name);
            let note =
                |bad: Condition| Note::new(subject_of(carrier), bad.reason, text(bad.message));
            mistake(report).or_else(|| warning(report)).map(note).into_iter().collect()
        }
        (Origin::Resource, Some(uid))
            if matches!(object.key.kind, Kind::Host | Kind::TlsContext) =>
        {
            let subject = Subject {
                api_version: "getambassador.io/v3alpha1",
                kind: object.key.kind.as_str(),
                namespace: Arc::clone(&object.key.namespace),
                name: Arc::clone(&object.key.name),
                uid: Arc::clone(uid),
            };
            let told = certificate_trouble(report).into_iter().chain(warning(report));
            told.map(|bad| Note::new(subject.clone(), bad.reason, bad.message)).collect()
        }
        _ => Vec::new(),
    }
}

impl Note {
    fn new(subject: Subject, reason: &'static str, text: String) -> Self {
        Self { subject, reason, text: cut(text) }
    }
}

fn subject_of(carrier: &Carrier) -> Subject {
    Subject {
        api_version: match carrier.kind {
            CarrierKind::Service => "v1",
            CarrierKind::Ingress => "networking.k8s.io/v1",
        },
        kind: carrier.kind.as_str(),
        namespace: Arc::clone(&carrier.namespace),
        name: Arc::clone(&carrier.name),
        uid: Arc::clone(&carrier.uid),
    }
}

/// What the author of a document has to put right.
fn mistake(report: &Report) -> Option<Condition> {
    // A Service whose pods are still coming up is no mistake of the annotation's author.
    if report.is_accepted() && matches!(report.references, References::NoEndpoints(_)) {
        return None;
    }
    let [accepted, .., ready] = report.conditions();
    match ready.status {
        false => Some(ready),
        true => (accepted.reason == "PartiallyInvalid").then_some(accepted),
    }
}

/// What has become of a certificate that is served. The author of the object did nothing, and
/// doesn't look at its status.
fn certificate_trouble(report: &Report) -> Option<Condition> {
    let is_trouble = matches!(
        report.references,
        References::Outdated(..) | References::Expired(_) | References::NotYetValid(_)
    );
    let [_, references, ..] = report.conditions();
    is_trouble.then_some(references)
}

fn warning(report: &Report) -> Option<Condition> {
    report.occasional().find(|condition| condition.kind == ConditionKind::Warning)
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
        // Nothing is said twice: the API server knows an event that it has had by its name.
        self.planner = Planner::default();
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
    let api: Api<Event> = Api::namespaced(client.clone(), &note.subject.namespace);
    let event = event(note, identity, Timestamp::now());
    match tokio::time::timeout(DEADLINE, api.create(&PostParams::default(), &event)).await {
        Err(_) => Err("no answer within five seconds".to_owned()),
        // It has been said already, before a restart or by another replica.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        // The subject's namespace is gone or going.
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
    let subject = &note.subject;
    let hash = stable_hash(0, &[&subject.uid, note.reason, &note.text]);
    Event {
        metadata: ObjectMeta {
            namespace: Some(subject.namespace.to_string()),
            name: Some(format!("{}.{hash:016x}", subject.name)),
            ..ObjectMeta::default()
        },
        action: Some("Configure".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note.text.clone()),
        reason: Some(note.reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(subject.api_version.to_owned()),
            kind: Some(subject.kind.to_owned()),
            name: Some(subject.name.to_string()),
            namespace: Some(subject.namespace.to_string()),
            uid: Some(subject.uid.to_string()),
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
