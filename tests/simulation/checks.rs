//! What must hold when all is over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nuncio::controller::rebuild::Built;
use nuncio::controller::replicas;
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::report::Report;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::network::Network;
use crate::replica::Replica;
use crate::server::{ApiServer, Write};

/// Writes that a change may cost, on average, replicas that are killed and begin anew included: the
/// object's own status, those of what it is in conflict with, and documents of annotations.
const WRITES_PER_CHANGE: usize = 12;

/// What a replica serves and would tell.
#[derive(Debug)]
pub(crate) struct Served(Arc<Built>);

impl Served {
    pub(crate) fn of(built: &watch::Receiver<Arc<Built>>) -> Self {
        Self(Arc::clone(&built.borrow()))
    }

    /// The same configuration, endpoints and reports as the oracle's.
    pub(crate) fn must_be(&self, oracle: &Self, replica: usize) {
        let (mine, oracle) = (&self.0, &oracle.0);
        assert!(mine.generation > 0, "replica {replica} serves nothing");
        assert_eq!(mine.build.config, oracle.build.config, "replica {replica} serves otherwise");
        assert_eq!(mine.endpoints, oracle.endpoints, "replica {replica} has other endpoints");
        assert_eq!(mine.reports(), oracle.reports(), "replica {replica} tells otherwise");
        assert_eq!(mine.build.wanted, oracle.build.wanted, "replica {replica} reads other Secrets");
    }
}

/// Nothing but the lease has been written since then: no writer goes on for ever.
pub(crate) fn at_rest(server: &ApiServer, since: Instant) {
    let late = server.writes().into_iter().filter(|write| write.at > since);
    must_be_of_the_lease(&late.collect::<Vec<_>>());
}

/// A leader that comes fresh finds everything told. An event that got lost it tells again: there
/// is nothing in the cluster that says whether it was ever told.
pub(crate) fn wrote_nothing_but_the_lease(server: &ApiServer, before: usize) {
    let mut writes = server.writes().split_off(before);
    writes.retain(|write| write.key.plural != "events");
    must_be_of_the_lease(&writes);
}

fn must_be_of_the_lease(writes: &[Write]) {
    let holder = writes.first().expect("somebody keeps the lease").replica;
    assert!(writes.iter().all(|write| write.replica == holder), "{writes:#?}");
    let other: Vec<&Write> = writes.iter().filter(|write| write.key.plural != "leases").collect();
    assert!(other.is_empty(), "{other:#?}");
}

/// Promises that were not kept: what a replica said that it serves while it served less.
#[derive(Clone, Default)]
pub(crate) struct Promises(Arc<Mutex<Vec<String>>>);

/// Looks, whenever a status is sent, at what the leader has heard of the other replicas: one that
/// says that it has come as far as the version in which this generation was written must serve it.
pub(crate) fn watch_promises(server: &ApiServer, network: &Network) -> Promises {
    let promises = Promises::default();
    let (broken, network) = (promises.clone(), network.clone());
    server.show_statuses_to(move |leader, key, patch, storage| {
        let (Some(object), Some(generation)) = (storage.get(key), promised(patch)) else { return };
        let leader = network.pod(leader).expect("who writes has a pod");
        // What was deleted and made anew is another object, whose generations begin anew: a status
        // can't be written on condition of a uid.
        if !serves(&leader.built.borrow(), object, generation) {
            return;
        }
        let (known, pods) = (Arc::clone(&leader.replicas.borrow()), network.by_name());
        let written = storage.written_at(key, generation);
        let says = |replica: &replicas::Replica| {
            let said = replica.said.as_ref().map(|said| said.served.iter());
            let mut said = said.into_iter().flatten();
            said.any(|(collection, at)| collection.as_str() == key.plural && at >= Some(written))
        };
        for (name, replica) in known.by_name.iter().filter(|(_, replica)| says(replica)) {
            // One that was started anew since it spoke isn't ready before it has listed everything.
            let pod = pods.get(&**name).filter(|pod| pod.ready_at.is_some());
            if pod.is_some_and(|pod| !serves(&pod.built.borrow(), object, generation)) {
                let key = (&key.plural, &key.namespace, &key.name, generation, written);
                broken.0.lock().push(format!("{name} doesn't serve {key:?}: {replica:?}"));
            }
        }
    });
    promises
}

/// The generation that is called served.
fn promised(patch: &Value) -> Option<i64> {
    // What an AnnotatedResource tells of has no generation to compare.
    let told = condition(patch, "Programmed").filter(|_| patch["kind"] != "AnnotatedResource")?;
    (told["status"] == "True").then(|| told["observedGeneration"].as_i64())?
}

impl Promises {
    pub(crate) fn must_be_none(&self) {
        let broken = self.0.lock();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

/// Whether a gateway has taken in that generation of this object, or a later one.
fn serves(built: &Built, object: &Value, generation: i64) -> bool {
    let metadata = &object["metadata"];
    let is_of = |key: &ObjectKey| {
        matches!(key.origin, Origin::Resource)
            && object["kind"] == key.kind.as_str()
            && metadata["namespace"] == *key.namespace
            && metadata["name"] == *key.name
    };
    match built.reports().iter().find(|report| is_of(&report.object.key)) {
        // It may know already that the object is gone, or another gateway's, by a later change.
        None => metadata["generation"] != generation,
        Some(report) => {
            report.object.uid.as_deref() == metadata["uid"].as_str()
                && report.object.generation >= Some(generation)
        }
    }
}

pub(crate) fn one_leads(replicas: &[Replica]) {
    let leaders: Vec<usize> = replicas
        .iter()
        .filter(|replica| replica.leader.borrow().is_held())
        .map(|replica| replica.number)
        .collect();
    assert_eq!(leaders.len(), 1, "these lead: {leaders:?}");
}

/// Each object says of its present generation what the oracle says of it, each document of an
/// annotation has its object, and nothing else has.
pub(crate) fn told(server: &ApiServer, oracle: &Served) {
    let (resources, documents): (Vec<_>, Vec<_>) = oracle
        .0
        .reports()
        .iter()
        .partition(|report| matches!(report.object.key.origin, Origin::Resource));
    let told = ready_by_kind(server);
    for report in &resources {
        let key = &report.object.key;
        let name = (key.kind.as_str().to_owned(), key.namespace.to_string(), key.name.to_string());
        let ready = told.get(&name).copied().flatten();
        assert_eq!(ready, Some(is_ready(report)), "{name:?}: {report:#?}");
    }
    let annotated = server.change(|storage| {
        let objects = storage.list("annotatedresources", None).into_iter();
        objects.map(|(key, object)| (key.name.clone(), ready(object))).collect::<Vec<_>>()
    });
    assert_eq!(annotated.len(), documents.len(), "{annotated:?}");
    let ready = annotated.iter().filter(|(_, ready)| *ready == Some(true)).count();
    let expected = documents.iter().filter(|report| is_ready(report)).count();
    assert_eq!(ready, expected, "{annotated:?}");
    assert!(annotated.iter().all(|(_, ready)| ready.is_some()), "{annotated:?}");
}

fn is_ready(report: &Report) -> bool {
    report.conditions().iter().all(|condition| condition.status)
}

/// What stands in the status of each object of ours, by kind, namespace and name.
fn ready_by_kind(server: &ApiServer) -> BTreeMap<(String, String, String), Option<bool>> {
    server.change(|storage| {
        let plural = |kind: &Kind| format!("{}s", kind.as_str().to_lowercase());
        let all = Kind::WRITTEN.iter().flat_map(|kind| {
            let objects = storage.list(&plural(kind), None).into_iter();
            objects.map(|(key, object)| {
                let name = (kind.as_str().to_owned(), key.namespace.clone(), key.name.clone());
                (name, ready(object))
            })
        });
        all.collect()
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// The condition `Ready`, if it speaks of the present generation.
fn ready(object: &Value) -> Option<bool> {
    let ready = condition(object, "Ready")?;
    let is_present = ready["observedGeneration"] == object["metadata"]["generation"];
    is_present.then(|| ready["status"] == "True")
}

/// What all seeds came to.
#[derive(Debug, Default)]
pub(crate) struct Total {
    seeds: usize,
    changes: usize,
    writes: usize,
    /// The most writes that a change cost in one seed.
    most: usize,
}

impl Total {
    /// Fails if writing was a storm.
    pub(crate) fn of(server: &ApiServer, changes: usize) -> Self {
        let writes = server.writes();
        let writes = writes.iter().filter(|write| write.key.plural != "leases").count();
        let most = writes.div_ceil(changes.max(1));
        assert!(most <= WRITES_PER_CHANGE, "{writes} writes for {changes} changes");
        Self { seeds: 1, changes, writes, most }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.changes += other.changes;
        self.writes += other.writes;
        self.most = self.most.max(other.most);
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, changes, writes, most } = self;
        write!(f, "{seeds} seeds: {changes} changes, {writes} writes, at most {most} for a change")
    }
}
