//! Keeps an AnnotatedResource for every document of an annotation, so that it can be listed,
//! described and waited for. Reporting only: routes come straight from the annotations.

mod plan;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::time::Instant;

use super::apply::{Applier, Written};
use super::lead::{Builds, Duty, next_after, published, sleep_until};
use super::rebuild::Built;
use super::replicas::{Barrier, Replicas, Room, Standing};
use super::status::plan::StatusForm;
use crate::model::Build;
use crate::model::key::Origin;
use crate::source::kubernetes::{explain_watch, observed_status};
use plan::{
    Desired, Existing, GATEWAY, MANAGED_BY, Subject, Terms, Wanted, fingerprint, label_value,
    plan_annotated, plan_desired,
};

pub(super) use plan::stable_hash;

/// How long to wait after the watch has failed.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// How long to wait while the definition is missing or access is refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// Writes AnnotatedResources while the lease is held.
pub struct AnnotatedWriter {
    client: Client,
    /// The only namespace to look at; `None` for all.
    single_namespace: Option<String>,
    gateway: String,
    form: StatusForm,
    applier: Applier<Subject>,
    replicas: watch::Receiver<Arc<Replicas>>,
    /// Those of which not every replica is known to serve what this one does.
    room: Room<Subject>,
    built: Option<Arc<Built>>,
    desired: BTreeMap<Subject, Desired>,
    existing: HashMap<Subject, Existing>,
    /// While a list runs: what it hasn't named yet.
    unlisted: HashMap<Subject, Existing>,
    /// Whether `existing` is all there is. Before that nothing is written.
    listed: bool,
    /// The last trouble of the watch that was logged and still lasts: the status code, or 0.
    trouble: Option<u16>,
}

impl AnnotatedWriter {
    /// A writer of the objects of the gateway `ambassador_id`.
    pub(super) fn new(
        client: Client,
        single_namespace: Option<String>,
        ambassador_id: &str,
        barrier: &Barrier,
    ) -> Self {
        Self {
            applier: Applier::new(client.clone(), resource()),
            client,
            single_namespace,
            gateway: label_value(ambassador_id),
            form: StatusForm::Conditions,
            replicas: barrier.replicas.clone(),
            room: barrier.room(),
            built: None,
            desired: BTreeMap::new(),
            existing: HashMap::new(),
            unlisted: HashMap::new(),
            listed: false,
            trouble: None,
        }
    }

    fn api(&self) -> Api<DynamicObject> {
        match &self.single_namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource()),
            None => Api::all_with(self.client.clone(), &resource()),
        }
    }

    fn watch_config(&self) -> watcher::Config {
        let (label, value) = MANAGED_BY;
        watcher::Config::default().labels(&format!("{label}={value},{GATEWAY}={}", self.gateway))
    }

    fn take_build(&mut self, built: Option<Arc<Built>>) {
        let before = std::mem::replace(&mut self.built, built);
        self.room.set_replicas(Arc::clone(&self.replicas.borrow()));
        let now = Instant::now();
        if let (Some(before), Some(built)) = (&before, &self.built)
            && has_same_annotations(&before.build, &built.build)
        {
            return;
        }
        let before = std::mem::take(&mut self.desired);
        if let Some(built) = &self.built {
            self.desired = plan_desired(built.reports(), &self.gateway, &before);
        }
        for (subject, desired) in &self.desired {
            let known = before.get(subject);
            if known.is_none_or(|known| !Arc::ptr_eq(&known.report, &desired.report)) {
                match &self.built {
                    Some(built) if self.listed && desired.report.is_accepted() => {
                        self.room.enter(subject.clone(), &built.needed, now);
                    }
                    _ => self.room.leave(subject),
                }
                self.applier.enqueue_urgent(subject.clone());
            }
        }
        for subject in before.into_keys().filter(|subject| !self.desired.contains_key(subject)) {
            self.room.leave(&subject);
            self.applier.enqueue_urgent(subject);
        }
    }

    /// What there is has become known: what stands was found true by the replica that led before,
    /// and of all else it is asked whether every replica serves it.
    fn admit(&mut self) {
        let Some(built) = &self.built else { return };
        for (subject, desired) in &self.desired {
            let wanted = Wanted { desired, standing: Some(Standing::Everywhere) };
            let now = jiff::Timestamp::now();
            let existing = self.existing.get(subject);
            let terms = Terms { gateway: &self.gateway, form: self.form };
            let stands = plan_annotated(subject, Some(wanted), existing, terms, now);
            if stands.is_some() && desired.report.is_accepted() {
                self.room.enter(subject.clone(), &built.needed, Instant::now());
            }
        }
    }

    /// Enqueues those of whom there is something else to say, by the replicas or by the clock.
    fn look(&mut self) {
        for subject in self.room.look(Instant::now()) {
            self.applier.enqueue_urgent(subject);
        }
    }

    fn take_event(&mut self, event: Event<DynamicObject>) {
        if !matches!(event, Event::Init) && self.trouble.take().is_some() {
            tracing::info!("watching AnnotatedResources again");
        }
        match event {
            Event::Init => self.unlisted.extend(self.existing.drain()),
            Event::InitApply(object) | Event::Apply(object) => {
                let subject = subject(&object);
                self.see(&subject, &object, None);
                self.applier.enqueue(subject);
            }
            Event::InitDone => {
                self.unlisted.clear();
                if !std::mem::replace(&mut self.listed, true) {
                    self.admit();
                }
                // Also those that should be and aren't.
                for subject in self.desired.keys() {
                    self.applier.enqueue(subject.clone());
                }
            }
            Event::Delete(object) => {
                let subject = subject(&object);
                self.existing.remove(&subject);
                self.applier.enqueue(subject);
            }
        }
    }

    /// Remembers an object as it stands, and what it was made from, if we wrote it just now.
    fn see(&mut self, subject: &Subject, object: &DynamicObject, made_from: Option<u64>) {
        let owners = object.metadata.owner_references.as_ref();
        let owners = serde_json::to_value(owners).unwrap_or_default();
        let fingerprint = fingerprint(&object.data["spec"], &owners);
        let version = object.metadata.resource_version.as_deref();
        let version = version.and_then(|version| version.parse().ok()).unwrap_or_default();
        let before = self.unlisted.remove(subject).or_else(|| self.existing.remove(subject));
        let uid = object.metadata.uid.clone().unwrap_or_default();
        // The watch may be behind the answers to our own writes.
        if let Some(newer) = before.as_ref().filter(|b| b.uid == uid && b.version > version) {
            self.existing.insert(subject.clone(), newer.clone());
            return;
        }
        let made_from = made_from.or_else(|| {
            before.filter(|before| before.fingerprint == fingerprint).and_then(|b| b.made_from)
        });
        let existing = Existing {
            uid,
            version,
            generation: object.metadata.generation,
            fingerprint,
            made_from,
            status: Arc::new(observed_status(&object.data["status"])),
        };
        self.existing.insert(subject.clone(), existing);
    }

    fn fold(&mut self, subject: Subject, written: Written) {
        match written {
            Written::Status(object) => self.see(&subject, &object, None),
            Written::Applied(object, fingerprint) => {
                self.see(&subject, &object, Some(fingerprint));
                // The status follows the spec.
                self.applier.enqueue_urgent(subject);
            }
            Written::Gone => drop(self.existing.remove(&subject)),
            Written::Undeclared(_) if self.form == StatusForm::Conditions => {
                tracing::info!(
                    "the definition of AnnotatedResource is older than this version; writing what it declares until it is upgraded"
                );
                self.form = StatusForm::ConditionsBefore02;
                self.applier.enqueue(subject);
            }
            Written::Undeclared(_) => {
                if self.trouble.replace(500) != Some(500) {
                    tracing::warn!(
                        "the definition of AnnotatedResource is too old; install the current one"
                    );
                }
            }
        }
    }

    /// Logs what is wrong with the watch, once, and says how long to wait.
    fn trouble(&mut self, error: &watcher::Error) -> Duration {
        let code = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
            _ => 0,
        };
        let is_new = self.trouble.replace(code) != Some(code);
        let error = explain_watch(error);
        match code {
            404 if is_new => tracing::warn!(
                crd = "annotatedresources.nuncio.dev",
                "its definition is not installed; configuration in annotations is served, but not shown as objects; install Nuncio's definitions (chart nuncio-crds, or crds/)"
            ),
            403 if is_new => tracing::warn!(
                error,
                "may not list or watch AnnotatedResources; add verbs list, watch, create, patch and delete on resource annotatedresources in API group nuncio.dev, and patch on annotatedresources/status, to the gateway's role"
            ),
            404 | 403 => {}
            _ if is_new => {
                tracing::warn!(error, "lost the watch of AnnotatedResources; trying again");
            }
            _ => {}
        }
        if matches!(code, 403 | 404) { REFUSED_PAUSE } else { WATCH_PAUSE }
    }
}

impl Duty for AnnotatedWriter {
    fn begin(&mut self, built: Option<Arc<Built>>) {
        // The definition may have been replaced meanwhile.
        self.form = StatusForm::Conditions;
        self.take_build(built);
    }

    async fn work(&mut self, builds: &mut Builds) {
        let mut watch = std::pin::pin!(watcher(self.api(), self.watch_config()));
        let mut resume = Instant::now();
        loop {
            let wake = self.room.wake();
            let (desired, existing) = (&self.desired, &self.existing);
            let terms = Terms { gateway: &self.gateway, form: self.form };
            let (room, ready) = (&self.room, self.listed && self.built.is_some());
            let plan = |subject: &Subject| {
                let wanted = desired
                    .get(subject)
                    .map(|desired| Wanted { desired, standing: room.standing(subject) });
                let existing = existing.get(subject);
                plan_annotated(subject, wanted, existing, terms, jiff::Timestamp::now())
            };
            tokio::select! {
                biased;
                changed = builds.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take_build(published(builds));
                }
                Ok(()) = self.replicas.changed() => {
                    self.room.set_replicas(Arc::clone(&self.replicas.borrow_and_update()));
                    self.look();
                }
                () = sleep_until(wake) => self.look(),
                Some(event) = next_after(resume, &mut watch) => match event {
                    Ok(event) => self.take_event(event),
                    Err(error) => resume = Instant::now() + self.trouble(&error),
                },
                (subject, written) = self.applier.next(plan), if ready => self.fold(subject, written),
            }
        }
    }

    fn end(&mut self) {
        self.applier.clear();
        self.room.clear();
        self.existing.clear();
        self.unlisted.clear();
        self.listed = false;
    }
}

impl std::fmt::Debug for AnnotatedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnnotatedWriter").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// Whether the reports on documents of annotations are the same, by their pointers.
fn has_same_annotations(before: &Build, build: &Build) -> bool {
    let changes = build.reports.changes(&before.reports);
    !changes
        .into_iter()
        .filter_map(|change| change.new.or(change.old))
        .any(|report| matches!(report.object.key.origin, Origin::Annotation { .. }))
}

fn resource() -> ApiResource {
    ApiResource {
        group: "nuncio.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "nuncio.dev/v1alpha1".to_owned(),
        kind: "AnnotatedResource".to_owned(),
        plural: "annotatedresources".to_owned(),
    }
}

fn subject(object: &DynamicObject) -> Subject {
    let text = |text: &Option<String>| text.clone().unwrap_or_default().into();
    Subject { namespace: text(&object.metadata.namespace), name: text(&object.metadata.name) }
}

#[cfg(test)]
#[path = "annotated_tests.rs"]
mod tests;
