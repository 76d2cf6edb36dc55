use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::controller::lead;
use crate::controller::lead::Leadership;
use crate::controller::rebuild::Built;
use crate::controller::testing::{
    Call, Server, barrier, build, built, built_at, document, lease, other, report, server,
};
use crate::model::report::{Report, Verdict};
use crate::model::sorted::Sorted;

const LIST: &str = "/apis/nuncio.dev/v1alpha1/annotatedresources";

/// AnnotatedResources as an API server keeps them, with a watch that shows nothing.
#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// What was asked for, in order: `apply name`, `status name`, `delete name`.
    log: Vec<String>,
    /// Watches that stay open.
    open: Vec<Call>,
}

impl Kept {
    fn answer(&mut self, call: Call) {
        let path = call.path.clone();
        if path.starts_with(&format!("{LIST}?")) {
            if path.contains("watch=true") {
                return self.open.push(call);
            }
            assert!(path.contains("labelSelector="), "{path}");
            let items: Vec<&Value> = self.objects.values().collect();
            return call.ok(&json!({
                "apiVersion": "nuncio.dev/v1alpha1", "kind": "AnnotatedResourceList",
                "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
            }));
        }
        self.version += 1;
        let tail = path.split("/annotatedresources/").nth(1).expect("one object");
        let name = tail.split(['/', '?']).next().expect("a name").to_owned();
        if call.method == "DELETE" {
            self.log.push(format!("delete {name}"));
            self.objects.remove(&name);
            return call.ok(&json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        let fresh = json!({"metadata": {"uid": format!("uid-{name}"), "generation": 0}});
        let object = self.objects.entry(name.clone()).or_insert(fresh);
        object["apiVersion"] = call.body["apiVersion"].clone();
        object["kind"] = call.body["kind"].clone();
        if tail.contains("/status") {
            self.log.push(format!("status {name}"));
            object["status"] = call.body["status"].clone();
        } else {
            self.log.push(format!("apply {name}"));
            for (field, value) in call.body["metadata"].as_object().expect("metadata") {
                object["metadata"][field] = value.clone();
            }
            if object["spec"] != call.body["spec"] {
                let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
                object["metadata"]["generation"] = json!(generation + 1);
                object["spec"] = call.body["spec"].clone();
            }
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = object.clone();
        call.ok(&object);
    }

    async fn serve(&mut self, server: &mut Server) {
        let quiet = Duration::from_secs(30);
        while let Ok(call) = tokio::time::timeout(quiet, server.next()).await {
            self.answer(call);
        }
    }

    /// Of each object: generation, generation that its status speaks of, whether it is ready.
    fn statuses(&self) -> Vec<(i64, i64, &str)> {
        let of = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or(-1);
        let ready = |object: &'_ Value| object["status"]["conditions"][3].clone();
        self.objects
            .values()
            .map(|object| {
                let condition = ready(object);
                let status = if condition["status"] == "True" { "ready" } else { "not ready" };
                (of(object), condition["observedGeneration"].as_i64().unwrap_or(-1), status)
            })
            .collect()
    }
}

struct Scene {
    server: Server,
    kept: Kept,
    builds: watch::Sender<Arc<Built>>,
    leader: watch::Sender<Leadership>,
    replicas: watch::Sender<Arc<Replicas>>,
    _task: JoinSet<()>,
}

fn scene(first: Option<Arc<Build>>) -> Scene {
    let (client, server) = server();
    let (builds, reader) = watch::channel(built(first));
    let (leader, leads) = watch::channel(lease(true));
    let mut task = JoinSet::new();
    let (replicas, barrier) = barrier(Replicas::default());
    task.spawn(lead::run(AnnotatedWriter::new(client, None, "default", &barrier), reader, leads));
    Scene { server, kept: Kept::default(), builds, leader, replicas, _task: task }
}

impl Scene {
    async fn serve(&mut self) {
        self.kept.serve(&mut self.server).await;
    }

    fn publish(&self, reports: Vec<Report>) {
        self.builds.send_replace(built(Some(build(reports))));
    }
}

fn accepted(index: u32, name: &str) -> Report {
    report(document("svc", index, name), Verdict::Accepted)
}

#[tokio::test(start_paused = true)]
async fn each_document_gets_an_object_and_then_its_status() {
    let mut scene = scene(Some(build(vec![
        accepted(0, "a"),
        report(document("svc", 1, "b"), Verdict::Rejected),
    ])));
    scene.serve().await;
    assert_eq!(scene.kept.statuses(), [(1, 1, "ready"), (1, 1, "not ready")]);
    assert_eq!(scene.kept.log.len(), 4, "{:?}", scene.kept.log);

    // A document changes: first its spec, then the status of the new generation.
    scene.kept.log.clear();
    let mut changed = document("svc", 0, "a");
    changed.document =
        Some(json!({"kind": "Mapping", "name": "a", "prefix": "/x"}).to_string().into());
    let mut reports = scene.builds.borrow().build.reports.clone();
    reports.insert(Arc::new(report(changed, Verdict::Accepted)));
    scene.builds.send_replace(built(Some(Arc::new(Build { reports, ..Build::default() }))));
    scene.serve().await;
    assert_eq!(scene.kept.statuses(), [(2, 2, "ready"), (1, 1, "not ready")]);
    assert_eq!(scene.kept.log.len(), 2, "{:?}", scene.kept.log);
    assert!(scene.kept.log[0].starts_with("apply ") && scene.kept.log[1].starts_with("status "));

    // It goes, and its object with it; the other is left alone.
    scene.kept.log.clear();
    let reports = reports_without_first(&scene);
    scene.builds.send_replace(built(Some(Arc::new(Build { reports, ..Build::default() }))));
    scene.serve().await;
    assert_eq!(scene.kept.log.len(), 1);
    assert!(scene.kept.log[0].starts_with("delete service-svc-a-"), "{:?}", scene.kept.log);
}

fn reports_without_first(scene: &Scene) -> Sorted<Arc<Report>> {
    scene.builds.borrow().build.reports.iter().skip(1).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_before_something_is_published() {
    let mut scene = scene(None);
    let orphan = json!({
        "apiVersion": "nuncio.dev/v1alpha1", "kind": "AnnotatedResource", "spec": {},
        "metadata": {"name": "orphan", "namespace": "ns", "uid": "o", "resourceVersion": "1", "generation": 1},
    });
    scene.kept.objects.insert("orphan".to_owned(), orphan);
    scene.kept.version = 1;
    scene.serve().await;
    assert!(scene.kept.log.is_empty());
    scene.publish(vec![]);
    scene.serve().await;
    assert_eq!(scene.kept.log, ["delete orphan"]);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_documents_of_one_annotation_are_shown() {
    let reports = (0..2000).map(|n| accepted(n, &format!("d{n}"))).collect();
    let mut scene = scene(Some(build(reports)));
    scene.serve().await;
    assert_eq!(scene.kept.objects.len(), 2000);
    assert!(scene.kept.statuses().iter().all(|status| *status == (1, 1, "ready")));
    assert_eq!(scene.kept.log.len(), 4000, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_missing_definition_is_waited_for() {
    let mut scene = scene(Some(build(vec![accepted(0, "a")])));
    for _ in 0..3 {
        let call = scene.server.next().await;
        assert!(call.path.starts_with(LIST), "{}", call.path);
        call.refuse(404, "NotFound", "the server could not find the requested resource");
    }
    scene.serve().await;
    assert_eq!(scene.kept.statuses(), [(1, 1, "ready")]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_writing_and_a_new_one_begins_with_a_list() {
    let mut scene = scene(Some(build(vec![accepted(0, "a")])));
    scene.serve().await;
    scene.leader.send_replace(lease(false));
    scene.publish(vec![accepted(0, "b")]);
    scene.kept.log.clear();
    scene.serve().await;
    assert!(scene.kept.log.is_empty(), "{:?}", scene.kept.log);
    scene.leader.send_replace(lease(true));
    scene.serve().await;
    assert_eq!(scene.kept.log.len(), 3, "delete a, apply b, status b: {:?}", scene.kept.log);
}

#[tokio::test(start_paused = true)]
async fn a_document_is_ready_when_every_replica_serves_it() {
    let mut scene = scene(None);
    scene.serve().await;
    scene.replicas.send_replace(other(1));
    scene.builds.send_replace(built_at(2, vec![accepted(0, "a")]));
    let begun = Instant::now();
    scene.kept.answer(scene.server.next().await);
    assert_eq!(begun.elapsed(), Duration::ZERO, "the object itself needn't wait");
    scene.kept.answer(scene.server.next().await);
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    let programmed = |scene: &Scene| {
        let object = scene.kept.objects.values().next().unwrap();
        let condition = &object["status"]["conditions"][2];
        (condition["status"].clone(), condition["reason"].clone())
    };
    assert_eq!(programmed(&scene), (json!("False"), json!("Pending")));
    scene.replicas.send_replace(other(2));
    scene.kept.answer(scene.server.next().await);
    assert_eq!(programmed(&scene), (json!("True"), json!("Programmed")));
    scene.builds.send_replace(built_at(3, vec![]));
    scene.serve().await;
    assert!(scene.kept.objects.is_empty(), "what goes needn't wait either");
}
