//! What people have today and must go on working: Services whose annotations, written for
//! Ambassador, say where requests go.

use std::path::Path;

use crate::support::client::{Answer, Client};
use crate::support::kubectl::kubectl;
use crate::support::status::is_ready;
use crate::support::{Namespace, PATIENCE, scenario, wait_until};

/// The first manifest has no namespace of its own, the second says `kubeflow`.
const HTTPBIN: &str = "examples/demo/httpbin.yaml";
const TFSERVING: &str = "examples/demo/tfserving.yaml";

#[test]
fn two_services_with_annotations() {
    scenario("main-job", |namespace| {
        let second = AppliedFile::apply(TFSERVING);
        namespace.kubectl(&["apply", "-f", &example(HTTPBIN)]);
        let first = namespace.annotated_name("httpbin", 0);
        namespace.wait_ready(&first);
        let kubeflow = "--namespace=kubeflow";
        let ready = "--for=condition=Ready";
        wait_until("the second is Ready too", PATIENCE, || {
            let waited = kubectl(&[kubeflow, "wait", ready, "anres", "--all", "--timeout=5s"]);
            if waited.ok { Ok(()) } else { Err(waited.text()) }
        });
        assert_served(&mut Client::new());
        assert_shown(namespace);

        namespace.kubectl(&["delete", "service", "httpbin"]);
        drop(second);
        assert_gone(namespace, &first);
    });
}

/// The path of an example, in the repository.
fn example(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// A manifest that is applied unchanged, where it says so itself.
struct AppliedFile {
    path: String,
}

impl AppliedFile {
    fn apply(path: &str) -> Self {
        let path = example(path);
        kubectl(&["apply", "-f", &path]).succeed();
        Self { path }
    }
}

impl Drop for AppliedFile {
    fn drop(&mut self) {
        kubectl(&["delete", "-f", &self.path, "--ignore-not-found"]);
    }
}

/// Requests get where both manifests say. Also used for the same as Mappings.
pub(crate) fn assert_served(client: &mut Client) {
    let host = wait_until("httpbin answers", PATIENCE, || {
        let answer = client.get("/httpbin/headers");
        seen_host(&answer).ok_or(answer.shown())
    });
    assert_eq!(host, "httpbin.org");
    assert_eq!(client.get("/httpbin/status/418").status, 418, "the path is kept");

    // The Service is new, and kube-proxy takes a second or two to know its address: until then
    // the gateway can't reach it either.
    let predicted = wait_until("the model answers", PATIENCE, || {
        let answer = client.post("/models/test/", "{\"instances\": [1, 2]}");
        if answer.status == 200 { Ok(answer) } else { Err(answer.shown()) }
    });
    assert_eq!(predicted.json()["predictions"], serde_json::json!([0, 1]));
    // The stand-in would say what it got; that this doesn't is the gateway's own answer.
    let refused = client.get("/models/test/");
    assert_eq!(refused.status, 404);
    assert!(refused.json()["error"].is_null(), "{}", refused.shown());
}

/// The Host that httpbin has seen. Some httpbins give each header as a list.
fn seen_host(answer: &Answer) -> Option<String> {
    let host = &answer.json()["headers"]["Host"];
    Some(host.as_str().or_else(|| host[0].as_str())?.to_owned())
}

/// `kubectl get anres -A -o wide` shows what came of both, with a column that says True.
fn assert_shown(namespace: &Namespace) {
    let shown = kubectl(&["get", "anres", "-A", "-o", "wide"]).succeed();
    println!("{shown}");
    for (namespace, name) in
        [(&*namespace.name, "httpbin_mapping"), ("kubeflow", "tfserving-mapping-test-post")]
    {
        let found = shown.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&namespace) && words.contains(&name) && words.contains(&"True")
        });
        assert!(found, "{name} of {namespace} is not shown as Ready:\n{shown}");
    }
    let objects = namespace.annotated("httpbin");
    assert!(objects.iter().all(is_ready), "{objects:?}");
}

fn assert_gone(namespace: &Namespace, first: &str) {
    let mut client = Client::new();
    wait_until("both routes are gone", PATIENCE, || {
        let left = [client.get("/httpbin/headers"), client.post("/models/test/", "{}")];
        match left.iter().find(|answer| answer.status != 404) {
            None => Ok(()),
            Some(answer) => Err(answer.shown()),
        }
    });
    wait_until("the object is gone with its Service", PATIENCE, || {
        let found = namespace.try_kubectl(&["get", first]);
        if found.text().contains("NotFound") { Ok(()) } else { Err(found.text()) }
    });
}
