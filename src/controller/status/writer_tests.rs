use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::controller::lead;
use crate::controller::lead::Leadership;
use crate::controller::rebuild::Built;
use crate::controller::testing::{
    Call, Server, barrier, build, built, built_at, document, lease, mapping, other, report, server,
};
use crate::model::object::Object;
use crate::model::report::{Report, Verdict};
use crate::source::ObservedStatus;

struct Scene {
    server: Server,
    builds: watch::Sender<Arc<Built>>,
    leader: watch::Sender<Leadership>,
    replicas: watch::Sender<Arc<Replicas>>,
    observed: ObservedStatuses,
    _task: JoinSet<()>,
}

/// A leading writer of these reports, each object without a status, in a gateway that runs alone.
fn scene(reports: Vec<Report>) -> Scene {
    scene_among(reports, Replicas::default())
}

/// The same beside other replicas.
fn scene_among(reports: Vec<Report>, replicas: Replicas) -> Scene {
    let (client, server) = server();
    let observed = ObservedStatuses::default();
    let kind = reports.first().map_or(Kind::Mapping, |report| report.object.key.kind);
    for report in &reports {
        observed.put(report.object.key.clone(), Arc::default());
    }
    let (builds, build_reader) = watch::channel(built(Some(build(reports))));
    let (leader, leads) = watch::channel(lease(true));
    let mut task = JoinSet::new();
    let (replicas, barrier) = barrier(replicas);
    let writer = StatusWriter::new(client, kind, observed.clone(), &barrier);
    task.spawn(lead::run(writer, build_reader, leads));
    Scene { server, builds, leader, replicas, observed, _task: task }
}

fn accepted(name: &str) -> Report {
    report(mapping("ns", name), Verdict::Accepted)
}

/// The object that a status patch leaves.
fn patched(call: &Call) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": call.body["metadata"]["name"], "namespace": "ns"},
        "status": call.body["status"],
    })
}

impl Scene {
    async fn answer_next(&mut self) -> Asked {
        let call = self.server.next().await;
        let seen = Asked {
            name: call.body["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            status: call.body["status"].clone(),
        };
        let object = patched(&call);
        call.ok(&object);
        seen
    }
}

/// What a call asked for.
#[derive(Debug)]
struct Asked {
    name: String,
    status: Value,
}

#[tokio::test(start_paused = true)]
async fn a_status_is_applied_to_the_subresource_and_then_left_alone() {
    let mut scene = scene(vec![accepted("a"), report(document("svc", 0, "b"), Verdict::Accepted)]);
    let call = scene.server.next().await;
    assert_eq!(call.method, "PATCH");
    assert_eq!(
        call.path,
        "/apis/getambassador.io/v3alpha1/namespaces/ns/mappings/a/status?&force=true&fieldManager=nuncio"
    );
    assert_eq!(call.content_type, "application/apply-patch+yaml");
    assert_eq!(call.body["kind"], "Mapping");
    assert_eq!(call.body["status"]["state"], "Running");
    assert_eq!(call.body["status"]["conditions"].as_array().unwrap().len(), 4);
    assert!(call.body.get("spec").is_none());
    let object = patched(&call);
    call.ok(&object);
    assert!(scene.server.is_idle_for(600).await);

    // The watch shows what was written: still nothing to do.
    let key = mapping("ns", "a").key;
    let status = scene.observed.get(&key).unwrap();
    assert_eq!(status.state.as_deref(), Some("Running"));
    scene.observed.put(key.clone(), status);
    assert!(scene.server.is_idle_for(600).await);

    // Somebody takes it away: it is written again.
    scene.observed.put(key, Arc::new(ObservedStatus::default()));
    assert_eq!(scene.answer_next().await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_written_and_it_goes_first() {
    let mut scene = scene((0..100).map(|n| accepted(&format!("m{n:03}"))).collect());
    let mut names = HashSet::new();
    for _ in 0..100 {
        names.insert(scene.answer_next().await.name);
    }
    assert_eq!(names.len(), 100);
    assert!(scene.server.is_idle_for(60).await);

    let before = Arc::clone(&scene.builds.borrow().build);
    let mut reports = before.reports.clone();
    reports.insert(Arc::new(report(mapping("ns", "m070"), Verdict::Rejected)));
    scene.builds.send_replace(built(Some(Arc::new(Build { reports, ..Build::default() }))));
    let call = scene.answer_next().await;
    assert_eq!((call.name.as_str(), call.status["state"].as_str()), ("m070", Some("Inactive")));
    assert!(scene.server.is_idle_for(60).await);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_first_statuses_take_less_than_a_minute_eight_at_a_time() {
    let mut scene = scene((0..10_000).map(|n| accepted(&format!("m{n:05}"))).collect());
    let begun = tokio::time::Instant::now();
    let mut calls = Vec::new();
    for written in 0..10_000 {
        while calls.len() < 8 && written + calls.len() < 10_000 {
            calls.push(scene.server.next().await);
        }
        let call = calls.remove(0);
        let object = patched(&call);
        call.ok(&object);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(20), "paced: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_writing_at_once() {
    let mut scene = scene((0..100).map(|n| accepted(&format!("m{n:03}"))).collect());
    let under_way = scene.server.next().await;
    scene.leader.send_replace(lease(false));
    tokio::task::yield_now().await;
    // Requests that were under way may still sit in the connection; no new ones come.
    let mut late = 0;
    while let Ok(call) = tokio::time::timeout(Duration::from_secs(60), scene.server.next()).await {
        late += 1;
        drop(call);
    }
    assert!(late < 8, "{late}");
    drop(under_way);

    scene.leader.send_replace(lease(true));
    let mut names = HashSet::new();
    for _ in 0..100 {
        names.insert(scene.answer_next().await.name);
    }
    assert_eq!(names.len(), 100, "and begins anew when it leads again");
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_what_is_then_true() {
    let mut scene = scene(vec![accepted("a")]);
    scene.server.next().await.refuse(503, "ServiceUnavailable", "starting");
    // The client itself tries a 503 again.
    while let Ok(call) = tokio::time::timeout(Duration::from_millis(1), scene.server.next()).await {
        call.refuse(500, "InternalError", "etcd is away");
    }
    let rejected = build(vec![report(mapping("ns", "a"), Verdict::Rejected)]);
    scene.builds.send_replace(built(Some(rejected)));
    let call = scene.answer_next().await;
    assert_eq!(call.status["state"], "Inactive");
    assert!(scene.server.is_idle_for(600).await);
}

/// What discovery says of our group.
fn discovered(names: &[&str]) -> Value {
    let resource = |name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "Mapping", "verbs": ["patch"]});
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": "getambassador.io/v3alpha1",
        "resources": names.iter().map(|name| resource(*name)).collect::<Vec<_>>(),
    })
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_left_alone() {
    let mut scene = scene(vec![accepted("a"), accepted("b")]);
    scene.observed.changed(Kind::Mapping).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let call = scene.server.next().await;
        if call.path == "/apis/getambassador.io/v3alpha1" {
            call.ok(&discovered(&["mappings", "mappings/status"]));
            continue;
        }
        match call.path.contains("/mappings/a") {
            true => call.refuse(404, "NotFound", "mappings \"a\" not found"),
            false => {
                names.push(call.body["metadata"]["name"].clone());
                let object = patched(&call);
                call.ok(&object);
            }
        }
    }
    assert_eq!(names, ["b"]);
    assert!(scene.server.is_idle_for(600).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_status_subresource_the_kind_is_left_alone() {
    let mut scene = scene((0..50).map(|n| accepted(&format!("m{n:03}"))).collect());
    let mut calls = 0;
    let end = tokio::time::Instant::now() + Duration::from_secs(50);
    while let Ok(call) = tokio::time::timeout_at(end, scene.server.next()).await {
        calls += 1;
        match call.method.as_str() {
            "PATCH" => call.refuse(404, "NotFound", "mappings \"m\" not found"),
            _ => call.ok(&discovered(&["mappings"])),
        }
    }
    assert!(calls <= 8 * 3, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn emissarys_definition_gets_emissarys_status() {
    let mut scene = scene(vec![accepted("a")]);
    scene.server.next().await.refuse(
        500,
        "",
        "failed to create typed patch object (ns/a; getambassador.io/v3alpha1, Kind=Mapping): .status.conditions: field not declared in schema",
    );
    let call = scene.answer_next().await;
    assert_eq!(call.status, json!({"state": "Running"}));
    assert!(scene.server.is_idle_for(600).await);
}

/// Status, reason and message of `Programmed`.
fn programmed(asked: &Asked) -> (String, String, String) {
    let conditions = asked.status["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == "Programmed").unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("status"), text("reason"), text("message"))
}

#[tokio::test(start_paused = true)]
async fn with_replicas_that_follow_at_once_there_is_one_write() {
    let mut scene = scene_among(vec![accepted("a")], (*other(0)).clone());
    assert_eq!(scene.answer_next().await.name, "a");
    for number in 2..20 {
        scene.builds.send_replace(built_at(number, vec![accepted("a")]));
        tokio::time::sleep(Duration::from_millis(20)).await;
        scene.observed.put(mapping("ns", "a").key, Arc::default());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let quiet = tokio::time::timeout(Duration::from_millis(20), scene.server.next()).await;
        assert!(quiet.is_err(), "nothing is said before it is so");
        scene.replicas.send_replace(other(number));
        let told = programmed(&scene.answer_next().await);
        assert_eq!((&*told.0, &*told.1), ("True", "Programmed"));
        assert!(scene.server.is_idle_for(5).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stays_behind_is_pending_then_excepted_then_forgotten() {
    let mut scene = scene_among(vec![accepted("a")], (*other(0)).clone());
    assert_eq!(programmed(&scene.answer_next().await).0, "True");
    let changed = tokio::time::Instant::now();
    let rejected = report(mapping("ns", "bad"), Verdict::Rejected);
    scene.observed.put(rejected.object.key.clone(), Arc::default());
    scene.builds.send_replace(built_at(2, vec![accepted("a"), rejected]));
    scene.observed.put(mapping("ns", "a").key, Arc::default());
    let first = scene.answer_next().await;
    assert_eq!((&*first.name, changed.elapsed()), ("bad", Duration::ZERO), "it needn't wait");
    let told = programmed(&scene.answer_next().await);
    assert_eq!(changed.elapsed(), Duration::from_secs(1));
    let pending = "Waiting until every replica serves this generation; not yet confirmed by b";
    assert_eq!(told, ("False".into(), "Pending".into(), pending.into()));

    let told = programmed(&scene.answer_next().await);
    assert_eq!(changed.elapsed(), Duration::from_secs(30));
    let excepted = "The gateway serves this generation, except that replica b has not confirmed it for more than 30 s: it is behind";
    assert_eq!(told, ("True".into(), "Programmed".into(), excepted.into()));
    assert!(scene.server.is_idle_for(600).await);

    // It goes, or catches up.
    scene.replicas.send_replace(Arc::default());
    let told = programmed(&scene.answer_next().await);
    assert_eq!(told.2, "The gateway serves this generation");
    assert!(scene.server.is_idle_for(600).await);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_believes_what_stands_and_asks_for_the_rest() {
    let mut scene = scene((0..50).map(|n| accepted(&format!("m{n:02}"))).collect());
    for _ in 0..50 {
        scene.answer_next().await;
    }
    assert!(scene.server.is_idle_for(1).await);
    scene.leader.send_replace(lease(false));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Meanwhile one has changed, and a replica is far behind.
    let mut reports: Vec<Report> = (0..50).map(|n| accepted(&format!("m{n:02}"))).collect();
    reports[7].object = Arc::new(Object { generation: Some(2), ..(*reports[7].object).clone() });
    scene.builds.send_replace(built_at(9, reports));
    scene.replicas.send_replace(other(1));
    scene.leader.send_replace(lease(true));
    let asked = scene.answer_next().await;
    assert_eq!((&*asked.name, &*programmed(&asked).1), ("m07", "Pending"));
    scene.replicas.send_replace(other(9));
    let asked = scene.answer_next().await;
    assert_eq!((&*asked.name, &*programmed(&asked).0), ("m07", "True"));
    assert!(scene.server.is_idle_for(600).await);
}

#[test]
fn changed_reports_are_found_by_their_pointers() {
    let of = |names: &[&str]| build(names.iter().map(|name| accepted(name)).collect());
    let old = of(&["a", "b", "c"]);
    let with = |gone: &[&str], come: &[&str]| {
        let mut reports = old.reports.clone();
        for name in gone {
            reports.remove(&accepted(name).object.key);
        }
        reports.extend(come.iter().map(|name| Arc::new(accepted(name))));
        Build { reports, ..Build::default() }
    };
    let cases: [(&str, Build, &[&str]); 6] = [
        ("nothing", with(&[], &[]), &[]),
        ("replaced", with(&[], &["b"]), &["b"]),
        ("added in front", with(&[], &["0"]), &["0"]),
        ("added at the end", with(&[], &["d"]), &["d"]),
        ("removed", with(&["a"], &[]), &[]),
        ("removed and replaced", with(&["a", "b"], &["c"]), &["c"]),
    ];
    for (name, new, expected) in cases {
        let changed = changed_reports(Kind::Mapping, &old, &new);
        let names: Vec<_> = changed.iter().map(|report| &*report.object.key.name).collect();
        assert_eq!(names, expected, "{name}");
    }
    assert_eq!(changed_reports(Kind::Mapping, &Build::default(), &old).len(), 3);
    assert_eq!(changed_reports(Kind::Host, &Build::default(), &old).len(), 0);
    assert_eq!(changed_reports(Kind::Mapping, &old, &Build::default()).len(), 0);
}

/// A Host, which has conditions alone.
fn host(name: &str) -> Report {
    let mut object = mapping("ns", name);
    Arc::make_mut(&mut object.key).kind = Kind::Host;
    report(object, Verdict::Accepted)
}

#[tokio::test(start_paused = true)]
async fn other_kinds_have_conditions_at_their_own_resource() {
    let mut scene = scene(vec![host("h")]);
    let call = scene.server.next().await;
    let path = "/apis/getambassador.io/v3alpha1/namespaces/ns/hosts/h/status?";
    assert!(call.path.starts_with(path), "{}", call.path);
    assert_eq!(call.body["kind"], "Host");
    assert_eq!(call.body["status"]["conditions"].as_array().unwrap().len(), 4);
    assert!(call.body["status"].get("state").is_none(), "Emissary's words are others there");
    let object = patched(&call);
    call.ok(&object);
    assert!(scene.server.is_idle_for(600).await);
    // What another kind's writer has to do is none of its business.
    scene.observed.put(mapping("ns", "m").key, Arc::default());
    assert!(scene.server.is_idle_for(600).await);
}

#[tokio::test(start_paused = true)]
async fn emissarys_definition_of_host_gets_no_status() {
    let mut scene = scene(vec![host("h")]);
    scene.server.next().await.refuse(
        500,
        "",
        "failed to create typed patch object (ns/h; getambassador.io/v3alpha1, Kind=Host): .status.conditions: field not declared in schema",
    );
    assert!(scene.server.is_idle_for(600).await);
}
