use serde_json::Value;
use tokio::task::JoinSet;

use super::*;
use crate::convert::of_kind;
use crate::source::kubernetes::testing::{Server, server};

fn definition(storage: &str, versions: &[&str]) -> Value {
    let version = |name: &str| {
        let schema = json!({"openAPIV3Schema": {"type": "object"}});
        json!({"name": name, "served": true, "storage": name == storage, "schema": schema})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "modules.getambassador.io", "resourceVersion": "7"},
        "spec": {
            "group": "getambassador.io", "scope": "Namespaced",
            "names": {"kind": "Module", "plural": "modules"},
            "versions": [version("v3alpha1"), version("v2")],
        },
        "status": {"storedVersions": versions},
    })
}

/// The same, written by Helm and by us.
fn owned_definition() -> Value {
    let mut definition = definition("v3alpha1", &["v3alpha1"]);
    let entry = |manager: &str, operation: &str| {
        let fields = json!({"f:spec": {"f:versions": {}}});
        json!({
            "manager": manager, "operation": operation, "apiVersion": "apiextensions.k8s.io/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    };
    definition["metadata"]["managedFields"] =
        json!([entry("helm", "Apply"), entry("nuncio-migrate-storage", "Update")]);
    definition
}

/// Waits for the write that gives up what is ours, and takes it.
async fn expect_disowned(server: &mut Server) {
    let patch = server.next().await;
    assert_eq!(patch.method, "PATCH");
    assert_eq!(patch.body["metadata"]["resourceVersion"], "7");
    let left = patch.body["metadata"]["managedFields"].as_array().unwrap().clone();
    assert_eq!(left, [owned_definition()["metadata"]["managedFields"][0].clone()]);
    assert_eq!(patch.body.get("spec"), None);
    patch.ok(&definition("v3alpha1", &["v3alpha1"]));
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Module",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "3"},
        "spec": {"config": {"x": 1}}, "status": {"y": 2},
    })
}

fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    let mut task = JoinSet::new();
    task.spawn(work);
    task
}

fn start(dry_run: bool) -> (Server, JoinSet<Result<Outcome, MigrateError>>) {
    let (client, server) = server();
    let kind = of_kind("Module").unwrap();
    (server, spawn(async move { migrate(&client, kind, dry_run).await }))
}

fn list(names: &[&str], next: Option<&str>) -> Value {
    let items: Vec<Value> = names.iter().map(|name| object(name)).collect();
    json!({"metadata": {"continue": next}, "items": items})
}

#[tokio::test]
async fn every_object_is_written_back_before_the_list_is_cut() {
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v3alpha1", &["v2", "v3alpha1"]));
    let first = server.next().await;
    assert!(first.path.starts_with("/apis/getambassador.io/v3alpha1/modules?"), "{}", first.path);
    first.ok(&list(&["a", "b"], Some("more")));
    let put = server.next().await;
    assert_eq!(put.method, "PUT");
    assert!(put.path.starts_with("/apis/getambassador.io/v3alpha1/namespaces/shop/modules/a?"));
    assert_eq!(put.body, object("a"), "as it was read, its version included");
    put.ok(&object("a"));
    // Whoever was first wrote it in the stored version.
    server.next().await.refuse(409, "Conflict", "changed");
    let second = server.next().await;
    assert!(second.path.contains("continue=more"), "{}", second.path);
    second.ok(&list(&["c"], None));
    server.next().await.refuse(404, "NotFound", "gone");
    server.next().await.ok(&definition("v3alpha1", &["v2", "v3alpha1"]));
    let patch = server.next().await;
    assert!(patch.path.starts_with(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modules.getambassador.io/status?"
    ));
    let expected = json!({
        "metadata": {"resourceVersion": "7"}, "status": {"storedVersions": ["v3alpha1"]},
    });
    assert_eq!(patch.body, expected);
    patch.ok(&owned_definition());
    expect_disowned(&mut server).await;
    let dropped = vec!["v2".to_owned()];
    assert_eq!(
        task.join_next().await.unwrap().unwrap().unwrap(),
        Outcome::Moved { objects: 3, dropped }
    );
}

#[tokio::test]
async fn a_failure_leaves_the_list() {
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.ok(&list(&["a", "b"], None));
    server.next().await.refuse(422, "Invalid", "config is missing");
    server.next().await.ok(&object("b"));
    let Outcome::Failed { objects: 1, failures, count: 1 } =
        task.join_next().await.unwrap().unwrap().unwrap()
    else {
        panic!("one object failed");
    };
    assert!(failures[0].starts_with("shop/a: "), "{failures:?}");
    assert!(failures[0].contains("config is missing"), "{failures:?}");
}

#[tokio::test]
async fn a_definition_that_changes_meanwhile_is_not_touched() {
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.ok(&list(&[], None));
    server.next().await.ok(&definition("v2", &["v2", "v3alpha1"]));
    assert!(matches!(task.join_next().await.unwrap().unwrap(), Err(MigrateError::Changed)));
}

#[tokio::test]
async fn a_dry_run_only_reads() {
    let (mut server, mut task) = start(true);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.ok(&list(&["a", "b"], None));
    let versions = vec!["v2".to_owned()];
    assert_eq!(
        task.join_next().await.unwrap().unwrap().unwrap(),
        Outcome::Planned { objects: 2, versions }
    );
}

#[tokio::test]
async fn what_is_done_or_absent_is_left_alone() {
    let (mut server, mut task) = start(false);
    server.next().await.refuse(404, "NotFound", "no such definition");
    assert_eq!(task.join_next().await.unwrap().unwrap().unwrap(), Outcome::NoDefinition);
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v3alpha1", &["v3alpha1"]));
    assert_eq!(task.join_next().await.unwrap().unwrap().unwrap(), Outcome::Done);
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v2", &["v2"]));
    assert_eq!(
        task.join_next().await.unwrap().unwrap().unwrap(),
        Outcome::StoresOther("v2".into())
    );
}

#[tokio::test]
async fn older_versions_go_together_with_their_conversion() {
    let (client, mut server) = server();
    let kind = of_kind("Module").unwrap();
    let mut task = spawn(async move { drop_older(&client, kind).await });
    server.next().await.ok(&definition("v3alpha1", &["v3alpha1"]));
    let patch = server.next().await;
    assert_eq!(patch.method, "PATCH");
    assert_eq!(patch.body["metadata"]["resourceVersion"], "7");
    assert_eq!(patch.body["spec"]["conversion"], json!({"strategy": "None", "webhook": null}));
    let versions = patch.body["spec"]["versions"].as_array().unwrap().clone();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["name"], "v3alpha1");
    patch.ok(&owned_definition());
    expect_disowned(&mut server).await;
    assert_eq!(task.join_next().await.unwrap().unwrap().unwrap(), ["v2"]);
}

#[tokio::test]
async fn a_version_that_is_stored_is_not_dropped() {
    let (client, mut server) = server();
    let kind = of_kind("Module").unwrap();
    let mut task = spawn(async move { drop_older(&client, kind).await });
    server.next().await.ok(&definition("v3alpha1", &["v2", "v3alpha1"]));
    assert!(matches!(task.join_next().await.unwrap().unwrap(), Err(MigrateError::Changed)));
}

/// It was ended between the two writes.
#[tokio::test]
async fn what_is_left_of_an_earlier_run_is_given_up() {
    let (client, mut server) = server();
    let kind = of_kind("Module").unwrap();
    let mut task = spawn(async move { drop_older(&client, kind).await });
    let mut only = owned_definition();
    only["spec"]["versions"].as_array_mut().unwrap().truncate(1);
    server.next().await.ok(&only);
    expect_disowned(&mut server).await;
    assert!(task.join_next().await.unwrap().unwrap().unwrap().is_empty());
}

/// Written back as it was read, whatever it says.
#[tokio::test]
async fn an_object_nested_without_end_is_moved_too() {
    let (mut server, mut task) = start(false);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    let mut page = list(&["a"], None).to_string();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    page = page.replace("{\"x\":1}", &deep);
    assert!(page.contains(&deep));
    server.next().await.text(200, page);
    let put = server.next().await;
    assert!(put.path.contains("/shop/modules/a?"), "{}", put.path);
    put.ok(&json!({}));
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.ok(&definition("v3alpha1", &["v3alpha1"]));
    let outcome = task.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Moved { objects: 1, .. }), "{outcome:?}");
}

/// The API server keeps a list for five minutes, and writing thousands back takes longer.
#[tokio::test]
async fn a_list_that_has_expired_goes_on() {
    let (mut server, mut task) = start(true);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.ok(&list(&["a"], Some("old")));
    let expired = |token: Value| {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
               "code": 410, "message": "too old", "metadata": {"continue": token}})
    };
    server.next().await.text(410, expired(json!("inconsistent")).to_string());
    let next = server.next().await;
    assert!(next.path.contains("continue=inconsistent"), "{}", next.path);
    next.ok(&list(&["b"], None));
    let outcome = task.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Planned { objects: 2, .. }), "{outcome:?}");

    let (mut server, mut task) = start(true);
    server.next().await.ok(&definition("v3alpha1", &["v2"]));
    server.next().await.text(410, expired(Value::Null).to_string());
    assert!(matches!(task.join_next().await.unwrap().unwrap(), Err(MigrateError::Api(_))));
}
