//! One object of each kind that has older versions, written in them, and what became of each.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::kubectl::{run, with_input};
use crate::support::{Namespace, mapping_of};

/// Kinds that have older versions: plural, kind, and whether there is a v1.
pub(super) const KINDS: [(&str, &str, bool); 7] = [
    ("hosts", "Host", false),
    ("kubernetesendpointresolvers", "KubernetesEndpointResolver", true),
    ("kubernetesserviceresolvers", "KubernetesServiceResolver", true),
    ("mappings", "Mapping", true),
    ("modules", "Module", true),
    ("tcpmappings", "TCPMapping", true),
    ("tlscontexts", "TLSContext", true),
];

/// Applies objects of all kinds, each in the version that its users wrote, with the ways of
/// writing that only that version has.
pub(super) fn apply_all(namespace: &Namespace) {
    let id = &*namespace.name;
    let object = |kind: &str, version: &str, name: &str, mut spec: Value| {
        let field = if kind == "Host" { "ambassadorId" } else { "ambassador_id" };
        spec[field] = if version == "v3alpha1" { json!([id]) } else { json!(id) };
        json!({
            "apiVersion": format!("getambassador.io/{version}"), "kind": kind,
            "metadata": {"name": name, "labels": {"app": "old"}}, "spec": spec,
        })
    };
    let mapping =
        |name: &str| json!({"prefix": format!("/{name}/"), "service": "echo-v1.backends"});
    let mut first = mapping("v1");
    first["tls"] = json!(false);
    let mut second = mapping("v2");
    second["remove_request_headers"] = json!("x-a");
    second["add_response_headers"] = json!({"x-b": "text", "x-c": {"value": "map"}});
    second["v3StatsName"] = json!("two");
    let mut third = mapping("v3");
    third["hostname"] = json!("*");
    // To be edited in other versions than they were written in.
    let [mut by_v1, mut by_v2, mut by_v3] = ["by-v1", "by-v2", "by-v3"].map(mapping);
    by_v1["hostname"] = json!("*");
    by_v2["hostname"] = json!("*");
    by_v3["remove_request_headers"] = json!("x-a");
    let module = json!({"config": {"server_name": "edge"}});
    let tls = json!({"alpn_protocols": "h2", "ca_secret": "authority", "v3CRLSecret": "revoked"});
    let tcp =
        json!({"port": 6789, "service": "echo-v1.backends", "tls": false, "v3StatsName": "tcp"});
    let host = json!({"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}});
    apply(
        namespace,
        &[
            object("Mapping", "v1", "v1", first),
            object("Mapping", "v3alpha1", "by-v1", by_v1),
            object("Mapping", "v3alpha1", "by-v2", by_v2),
            object("Mapping", "v2", "by-v3", by_v3),
            object("Mapping", "v2", "v2", second),
            object("Mapping", "v3alpha1", "v3", third),
            object("Module", "v2", "ambassador", module),
            object("TLSContext", "v1", "context", tls),
            object("TCPMapping", "v2", "tcp", tcp),
            object("Host", "v2", "host", host),
            object("KubernetesServiceResolver", "v1", "service", json!({})),
            object("KubernetesEndpointResolver", "v2", "endpoint", json!({})),
        ],
    );
}

/// One more, of somebody who writes v3alpha1; its name for kubectl.
pub(super) fn apply_later(namespace: &Namespace) -> String {
    let spec = json!({
        "ambassador_id": [namespace.name], "hostname": "*", "prefix": "/later/",
        "service": "echo-v1.backends",
    });
    namespace.apply(&[mapping_of("later", &spec)]);
    "mappings.v3alpha1.getambassador.io/later".to_owned()
}

/// As kubectl's own apply would ask for each object in its preferred version first.
fn apply(namespace: &Namespace, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    with_input(&["-n", &namespace.name, "create", "-f", "-"], &list).succeed();
}

/// In which version etcd holds each of our objects: `mappings/v2` is `v2`.
pub(super) fn versions_in_etcd(namespace: &Namespace) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (plural, ..) in KINDS {
        let prefix = format!("/registry/getambassador.io/{plural}/{}/", namespace.name);
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let question =
            json!({"key": base64(&["-w0"], &prefix), "range_end": base64(&["-w0"], &end)});
        let url = "http://127.0.0.1:2379/v3/kv/range";
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", url, "-d", &question.to_string()]);
        let answer: Value = serde_json::from_str(&run(&mut curl, "").succeed()).expect("JSON");
        for pair in answer["kvs"].as_array().into_iter().flatten() {
            let text = |field: &str| base64(&["-d"], pair[field].as_str().unwrap_or_default());
            let object: Value = serde_json::from_str(&text("value")).expect("JSON");
            let version = object["apiVersion"].as_str().unwrap_or_default();
            let name = format!("{plural}/{}", text("key").trim_start_matches(&prefix));
            found.insert(name, version.rsplit('/').next().unwrap_or_default().to_owned());
        }
    }
    assert!(found.len() >= 10, "all of them: {found:?}");
    found
}

fn base64(arguments: &[&str], text: &str) -> String {
    run(Command::new("base64").args(arguments), text).succeed()
}

/// Every object in every version, without what changes by itself.
#[derive(Debug, PartialEq)]
pub(super) struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    pub(super) fn take(namespace: &Namespace) -> Self {
        let mut all = BTreeMap::new();
        for (plural, _, has_v1) in KINDS {
            for version in ["v3alpha1", "v2", "v1"] {
                if version == "v1" && !has_v1 {
                    continue;
                }
                let listed = namespace.get(&format!("{plural}.{version}.getambassador.io"));
                let items = match &listed {
                    Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
                    // Once it isn't served any more.
                    Err(_) => continue,
                };
                for mut object in items {
                    object.as_object_mut().expect("an object").remove("status");
                    let metadata = object["metadata"].as_object_mut().expect("metadata");
                    metadata
                        .retain(|field, _| field != "resourceVersion" && field != "managedFields");
                    let name = format!("{plural}.{version}/{}", metadata["name"]);
                    all.insert(name, object);
                }
            }
        }
        assert!(all.len() >= 11, "{all:?}");
        Self(all)
    }

    /// The same objects in the same versions, each as it was.
    pub(super) fn assert_is(&self, now: &Self) {
        for (name, object) in &self.0 {
            assert_eq!(now.0.get(name), Some(object), "{name}");
        }
        assert_eq!(self.0.len(), now.0.len());
        assert!(self.0.len() >= 31, "in three versions: {:?}", self.0.keys());
    }

    /// The same objects in v3alpha1, and no other version.
    pub(super) fn assert_current(&self, now: &Self) {
        let current = |name: &String| name.contains(".v3alpha1/");
        assert!(now.0.keys().all(current), "{:?}", now.0.keys());
        for (name, object) in self.0.iter().filter(|(name, _)| current(name)) {
            assert_eq!(now.0.get(name), Some(object), "{name}");
        }
    }
}
