//! Definitions that are missing, or others' than ours.

use serde_json::{Value, json};

use super::{Place, wait_for_route};
use crate::support::kubectl::{kubectl, with_input};
use crate::support::{PATIENCE, carrier, mapping, wait_until};

const NAMES: [&str; 2] = ["mappings.getambassador.io", "annotatedresources.nuncio.dev"];

/// The definitions of the cluster, which are put back at the end as they were.
struct Definitions(Value);

impl Definitions {
    fn remove() -> Self {
        let save = |name: &str| {
            let crd = kubectl(&["get", "crd", name, "-o", "json"]).json().expect("it is installed");
            let of = |field: &str| crd["metadata"][field].clone();
            json!({
                "apiVersion": crd["apiVersion"], "kind": crd["kind"], "spec": crd["spec"],
                "metadata": {
                    "name": name, "labels": of("labels"), "annotations": of("annotations"),
                },
            })
        };
        let saved = Self(json!({
            "apiVersion": "v1", "kind": "List", "items": NAMES.map(save),
        }));
        remove_all();
        saved
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        remove_all();
        install(&self.0);
    }
}

fn remove_all() {
    let arguments = ["delete", "crd", "--ignore-not-found", "--timeout=60s"];
    kubectl(&[&arguments[..], &NAMES].concat()).succeed();
}

fn install(definitions: &Value) {
    with_input(&["create", "-f", "-"], &definitions.to_string()).succeed();
    let arguments = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    kubectl(&arguments).succeed();
}

#[test]
fn without_definitions_it_serves_annotations_and_waits() {
    let Some(place) = Place::create("no-definitions") else { return };
    let definitions = Definitions::remove();
    let process = place.run();
    let told =
        process.wait_told(200, &["mappings: its definition is not installed; install Nuncio's"]);
    println!("{told}");
    process.wait_logged(&["annotatedresources.nuncio.dev", "served, but not shown as objects"]);
    let document = "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: a\n\
        ambassador_id: [bad-install]\nhostname: '*'\nprefix: /annotated/\n\
        service: http://127.0.0.1:1\n";
    place.namespace.apply(&[carrier("carrier", document)]);
    wait_for_route(&process, "/annotated/");

    // One of another version is told from none.
    install(&definition("v2", &json!({})));
    let told = process.wait_told(200, &["its definition serves v2 but not v3alpha1"]);
    println!("{told}");
    remove_all();

    drop(definitions);
    place.apply(mapping("late", "/late/", "http://127.0.0.1:1"));
    place.namespace.wait_ready("mapping/late");
    wait_for_route(&process, "/late/");
    let annotated = place.namespace.annotated_name("carrier", 0);
    place.namespace.wait_ready(&annotated);
    process.wait_told(200, &["Ambassador is ready and waiting\n"]);
}

#[test]
fn emissarys_definition_is_served_with_the_status_that_it_has() {
    let Some(place) = Place::create("emissarys-definition") else { return };
    let definitions = Definitions::remove();
    let emissarys = json!({
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "state": {"type": "string", "enum": ["", "Inactive", "Running"]},
        },
    });
    install(&definition("v3alpha1", &emissarys));
    let process = place.run();
    process.wait_ready();
    place.apply(mapping("route", "/route/", "http://127.0.0.1:1"));
    wait_until("the state is told", PATIENCE, || {
        let status = place.namespace.get("mapping/route")?["status"].clone();
        if status == json!({"state": "Running"}) { Ok(()) } else { Err(status.to_string()) }
    });
    process.wait_logged(&["declares no conditions"]);
    wait_for_route(&process, "/route/");
    drop(definitions);
}

#[test]
fn a_definition_without_status_is_told() {
    let Some(place) = Place::create("no-status") else { return };
    let definitions = Definitions::remove();
    let mut bare = definition("v3alpha1", &json!({}));
    bare["spec"]["versions"][0]["subresources"] = json!({});
    install(&bare);
    let process = place.run();
    process.wait_ready();
    place.apply(mapping("route", "/route/", "http://127.0.0.1:1"));
    process.wait_logged(&["can't be written", "no status subresource"]);
    wait_for_route(&process, "/route/");
    drop(definitions);
}

/// A definition of Mapping as others have it, cut to what matters.
fn definition(version: &str, status: &Value) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut schema = json!({"type": "object", "properties": {"spec": open}});
    if status["type"] == "object" {
        schema["properties"]["status"] = status.clone();
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "mappings.getambassador.io"},
        "spec": {
            "group": "getambassador.io", "scope": "Namespaced",
            "names": {"kind": "Mapping", "plural": "mappings", "singular": "mapping"},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}
