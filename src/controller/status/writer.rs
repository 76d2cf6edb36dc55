//! Keeps the status of every object of a kind as the last published build found it.

use std::sync::Arc;

use kube::Client;
use kube::core::ApiResource;
use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::{Finding, StatusForm, StatusPatch, plan};
use crate::controller::apply::{Applier, Operation, Write, Written};
use crate::controller::lead::{Builds, Duty, published, sleep_until};
use crate::controller::rebuild::Built;
use crate::controller::replicas::{Barrier, Replicas, Room, Standing};
use crate::model::Build;
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::report::Report;
use crate::source::Collection;
use crate::source::kubernetes::observed_status;
use crate::source::observed::ObservedStatuses;

/// Writes the status of the objects of one kind while the lease is held. Each kind has a writer of
/// its own, because its definition may have no status, or an older one.
pub struct StatusWriter {
    kind: Kind,
    observed: ObservedStatuses,
    applier: Applier<Arc<ObjectKey>>,
    replicas: watch::Receiver<Arc<Replicas>>,
    /// Those of which not every replica is known to serve what this one does.
    room: Room<Arc<ObjectKey>>,
    /// The build that statuses speak of. It is served already.
    built: Option<Arc<Built>>,
    form: StatusForm,
}

impl StatusWriter {
    /// A writer for resources of `kind` that plans against `observed`.
    pub(in crate::controller) fn new(
        client: Client,
        kind: Kind,
        observed: ObservedStatuses,
        barrier: &Barrier,
    ) -> Self {
        let plural = Collection::of(kind).map_or("", Collection::as_str);
        let resource = ApiResource {
            group: "getambassador.io".to_owned(),
            version: "v3alpha1".to_owned(),
            api_version: "getambassador.io/v3alpha1".to_owned(),
            kind: kind.as_str().to_owned(),
            plural: plural.to_owned(),
        };
        let applier = Applier::new(client, resource);
        let (replicas, room) = (barrier.replicas.clone(), barrier.room());
        Self { kind, observed, applier, replicas, room, built: None, form: StatusForm::of(kind) }
    }

    /// Takes a new build in.
    fn take(&mut self, built: Option<Arc<Built>>) {
        let old = std::mem::replace(&mut self.built, built);
        self.room.set_replicas(Arc::clone(&self.replicas.borrow()));
        let (Some(built), now) = (&self.built, Instant::now()) else { return };
        let old = old.map_or_else(Arc::default, |old| Arc::clone(&old.build));
        for report in changed_reports(self.kind, &old, &built.build) {
            let key = &report.object.key;
            match report.is_accepted() {
                true => self.room.enter(key.clone(), &built.needed, now),
                // Nothing of it is served anywhere: there is nothing to wait for.
                false => self.room.leave(key),
            }
            self.applier.enqueue_urgent(key.clone());
        }
    }

    /// Enqueues those of whom there is something else to say, by the replicas or by the clock.
    fn look(&mut self) {
        for key in self.room.look(Instant::now()) {
            self.applier.enqueue_urgent(key);
        }
    }

    fn fold(&mut self, key: Arc<ObjectKey>, written: Written) {
        match written {
            Written::Status(object) | Written::Applied(object, _) => {
                let status = observed_status(&object.data["status"]);
                self.observed.refresh(&key, status);
            }
            Written::Gone => {}
            Written::Undeclared(refusal) => {
                self.lessen(&refusal);
                self.applier.enqueue(key);
            }
        }
    }

    /// Writes less from now on. Several writes may come back with the same refusal.
    fn lessen(&mut self, refusal: &str) {
        let before = self.form;
        self.form = before.without(refusal);
        match self.form {
            form if form == before => {}
            StatusForm::State => tracing::info!(
                kind = self.kind.as_str(),
                "the definition declares no conditions; writing Emissary's state and reason alone"
            ),
            StatusForm::Nothing => tracing::info!(
                kind = self.kind.as_str(),
                "the definition declares no conditions; writing no status"
            ),
            _ => tracing::info!(
                kind = self.kind.as_str(),
                "the definition is older than this version; writing no observedGeneration until it is upgraded"
            ),
        }
    }
}

impl Duty for StatusWriter {
    fn begin(&mut self, built: Option<Arc<Built>>) {
        // The definition may have been replaced meanwhile.
        self.form = StatusForm::of(self.kind);
        self.room.set_replicas(Arc::clone(&self.replicas.borrow_and_update()));
        self.built = built;
        let (Some(built), now) = (&self.built, Instant::now()) else { return };
        for report in changed_reports(self.kind, &Build::default(), &built.build) {
            let key = &report.object.key;
            // What stands was found true by the replica that led before.
            let stands = plan_status(report, &Standing::Everywhere, &self.observed, self.form);
            if report.is_accepted() && stands.is_some() {
                self.room.enter(key.clone(), &built.needed, now);
            }
            self.applier.enqueue(key.clone());
        }
    }

    async fn work(&mut self, builds: &mut Builds) {
        let (observed, kind) = (self.observed.clone(), self.kind);
        loop {
            let wake = self.room.wake();
            let (statuses, room, form) = (&observed, &self.room, self.form);
            let build = self.built.as_deref().map(|built| &*built.build);
            tokio::select! {
                biased;
                changed = builds.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take(published(builds));
                }
                Ok(()) = self.replicas.changed() => {
                    self.room.set_replicas(Arc::clone(&self.replicas.borrow_and_update()));
                    self.look();
                }
                () = sleep_until(wake) => self.look(),
                keys = observed.changed(kind) => {
                    for key in keys {
                        self.applier.enqueue(key);
                    }
                }
                (key, written) = self.applier.next(|key| plan_write(key, build, room, statuses, form)) => {
                    self.fold(key, written);
                }
            }
        }
    }

    fn end(&mut self) {
        self.applier.clear();
        self.room.clear();
    }
}

impl std::fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusWriter")
            .field("kind", &self.kind)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// What is to be written at `key` now.
fn plan_write(
    key: &Arc<ObjectKey>,
    build: Option<&Build>,
    room: &Room<Arc<ObjectKey>>,
    observed: &ObservedStatuses,
    form: StatusForm,
) -> Option<Write> {
    let report = build?.reports.get(key).filter(|report| is_resource(report))?;
    let patch = plan_status(report, &room.standing(key)?, observed, form)?;
    let status = serde_json::to_value(patch).ok()?;
    let (namespace, name) = (Arc::clone(&key.namespace), Arc::clone(&key.name));
    Some(Write { namespace, name, operation: Operation::Status(status) })
}

fn plan_status(
    report: &Report,
    standing: &Standing,
    observed: &ObservedStatuses,
    form: StatusForm,
) -> Option<StatusPatch> {
    let before = observed.get(&report.object.key)?;
    let finding = Finding { report, standing };
    plan(finding, Some(&before), report.object.generation, form, jiff::Timestamp::now())
}

fn is_resource(report: &Report) -> bool {
    report.object.key.origin == Origin::Resource
}

/// The reports on resources of a kind that are other ones in `new`, at the cost of what has changed.
fn changed_reports<'a>(kind: Kind, old: &'a Build, new: &'a Build) -> Vec<&'a Report> {
    let is_told = |report: &&'a Report| report.object.key.kind == kind && is_resource(report);
    let changes = new.reports.changes(&old.reports).into_iter();
    changes.filter_map(|change| Some(&**change.new?)).filter(is_told).collect()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
