//! Keeps the status of every Mapping as the last published build found it.

use std::sync::Arc;

use kube::Client;
use kube::core::ApiResource;
use tokio::sync::watch;

use super::plan::{StatusForm, plan};
use crate::controller::apply::{Applier, Operation, Write, Written};
use crate::controller::{Builds, published};
use crate::model::Build;
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::report::Report;
use crate::source::kubernetes::observed_status;
use crate::source::observed::ObservedStatuses;

/// Writes the status of Mappings while the lease is held.
pub struct StatusWriter {
    observed: ObservedStatuses,
    applier: Applier<ObjectKey>,
    /// The build that statuses speak of. It is served already.
    build: Option<Arc<Build>>,
    form: StatusForm,
}

impl StatusWriter {
    /// A writer that plans against `observed`.
    pub fn new(client: Client, observed: ObservedStatuses) -> Self {
        let resource = ApiResource {
            group: "getambassador.io".to_owned(),
            version: "v3alpha1".to_owned(),
            api_version: "getambassador.io/v3alpha1".to_owned(),
            kind: "Mapping".to_owned(),
            plural: "mappings".to_owned(),
        };
        let applier = Applier::new(client, resource);
        Self { observed, applier, build: None, form: StatusForm::Full }
    }

    /// Writes until one of the senders is gone. When `leader` turns false, writes under way are dropped at once.
    pub async fn run(mut self, mut builds: Builds, mut leader: watch::Receiver<bool>) {
        loop {
            if leader.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            self.build = published(&mut builds);
            // The definition may have been replaced meanwhile.
            self.form = StatusForm::Full;
            for key in resources(self.build.as_deref()) {
                self.applier.enqueue(key);
            }
            let ended = self.lead(&mut builds, &mut leader).await;
            self.applier.clear();
            if ended {
                return;
            }
        }
    }

    /// Returns when the lease is lost, and whether a sender is gone.
    async fn lead(&mut self, builds: &mut Builds, leader: &mut watch::Receiver<bool>) -> bool {
        let observed = self.observed.clone();
        loop {
            let (statuses, build, form) = (&observed, self.build.as_deref(), self.form);
            tokio::select! {
                biased;
                lost = leader.wait_for(|leads| !*leads) => return lost.is_err(),
                changed = builds.changed() => {
                    if changed.is_err() {
                        return true;
                    }
                    let new = published(builds);
                    for key in changed_resources(build, new.as_deref()) {
                        self.applier.enqueue_urgent(key);
                    }
                    self.build = new;
                }
                keys = observed.changed() => {
                    for key in keys {
                        self.applier.enqueue(key);
                    }
                }
                (key, written) = self.applier.next(|key| plan_write(key, build, statuses, form)) => {
                    self.fold(key, written);
                }
            }
        }
    }

    fn fold(&mut self, key: ObjectKey, written: Written) {
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
                "the definition of Mapping declares no conditions; writing Emissary's state and reason alone"
            ),
            _ => tracing::info!(
                "the definition of Mapping is older than this version; writing no observedGeneration until it is upgraded"
            ),
        }
    }
}

impl std::fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusWriter").field("form", &self.form).finish_non_exhaustive()
    }
}

/// What is to be written at `key` now.
fn plan_write(
    key: &ObjectKey,
    build: Option<&Build>,
    observed: &ObservedStatuses,
    form: StatusForm,
) -> Option<Write> {
    let report = find(build?, key).filter(|report| has_status(report))?;
    let standing = observed.get(key)?;
    let now = jiff::Timestamp::now();
    let patch = plan(report, Some(&standing), report.object.generation, form, now)?;
    let status = serde_json::to_value(patch).ok()?;
    let (namespace, name) = (Arc::clone(&key.namespace), Arc::clone(&key.name));
    Some(Write { namespace, name, operation: Operation::Status(status) })
}

fn find<'a>(build: &'a Build, key: &ObjectKey) -> Option<&'a Arc<Report>> {
    let at = build.reports.binary_search_by(|report| report.object.key.cmp(key)).ok()?;
    build.reports.get(at)
}

fn has_status(report: &Report) -> bool {
    report.object.key.origin == Origin::Resource && report.object.key.kind == Kind::Mapping
}

fn resources(build: Option<&Build>) -> impl Iterator<Item = ObjectKey> {
    let reports = build.map_or(&[][..], |build| &build.reports);
    reports.iter().filter(|report| has_status(report)).map(|report| report.object.key.clone())
}

/// The resources whose report is another one in `new`. Reports stand in key order, and an
/// unchanged one is the same `Arc`, so that this compares pointers and little else.
fn changed_resources(old: Option<&Build>, new: Option<&Build>) -> Vec<ObjectKey> {
    let mut before = old.map_or(&[][..], |build| &build.reports).iter().peekable();
    let mut changed = Vec::new();
    for report in new.map_or(&[][..], |build| &build.reports) {
        if before.next_if(|before| Arc::ptr_eq(before, report)).is_some() {
            continue;
        }
        while before.next_if(|before| before.object.key < report.object.key).is_some() {}
        let same = before.next_if(|before| before.object.key == report.object.key);
        let is_new = same.is_none_or(|same| !Arc::ptr_eq(same, report));
        if is_new && has_status(report) {
            changed.push(report.object.key.clone());
        }
    }
    changed
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
