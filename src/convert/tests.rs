//! Vectors for each rule, and properties over whole objects.

mod properties;
mod vectors;

use serde_json::{Value, json};

use super::*;

/// An object of a kind and version with that spec.
fn object(kind: &str, version: Version, spec: impl Into<Value>) -> Value {
    json!({
        "apiVersion": version.api_version(),
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop", "uid": "1"},
        "spec": spec.into(),
    })
}

fn converted(object: &Value, to: Version) -> Value {
    convert(object.clone(), to).unwrap_or_else(|error| panic!("{error}: {object}"))
}

#[test]
fn what_is_no_object_of_ours_is_told() {
    for (object, expected) in [
        (json!(7), ConvertError::NoObject),
        (json!({"kind": "Mapping"}), ConvertError::NoObject),
        (json!({"apiVersion": "getambassador.io/v2"}), ConvertError::NoObject),
        (json!({"apiVersion": "v2", "kind": "Mapping"}), ConvertError::UnknownVersion("v2".into())),
        (
            json!({"apiVersion": "getambassador.io/v4", "kind": "Mapping"}),
            ConvertError::UnknownVersion("getambassador.io/v4".into()),
        ),
        (
            json!({"apiVersion": "getambassador.io/v2", "kind": "Listener"}),
            ConvertError::UnknownKind("Listener".into()),
        ),
    ] {
        assert_eq!(convert(object, Version::V3Alpha1), Err(expected));
    }
}

#[test]
fn without_a_spec_only_the_version_changes() {
    for spec in [None, Some(json!(null)), Some(json!("nonsense")), Some(json!([1]))] {
        let mut before = object("Mapping", Version::V2, json!({}));
        match spec {
            Some(spec) => before["spec"] = spec,
            None => drop(before.as_object_mut().unwrap().remove("spec")),
        }
        let mut expected = before.clone();
        expected["apiVersion"] = json!("getambassador.io/v3alpha1");
        assert_eq!(converted(&before, Version::V3Alpha1), expected);
    }
}

#[test]
fn v1_is_written_as_v2() {
    let spec = json!({"prefix": "/a/", "service": "a", "tls": true, "headers": {"x": true}});
    let one = object("Mapping", Version::V1, spec.clone());
    let two = object("Mapping", Version::V2, spec);
    assert_eq!(converted(&one, Version::V2), two);
    assert_eq!(converted(&two, Version::V1), one);
    assert_eq!(converted(&one, Version::V3Alpha1), converted(&two, Version::V3Alpha1));
}

/// A way of writing that somebody changed in the other form comes back for all other fields.
#[test]
fn a_crumb_outlives_edits_of_other_fields() {
    let spec = json!({
        "prefix": "/a/", "service": "a", "remove_request_headers": "x-a", "ambassador_id": "edge",
    });
    let mut current = converted(&object("Mapping", Version::V2, spec), Version::V3Alpha1);
    assert_eq!(current["spec"]["remove_request_headers"], json!(["x-a"]));
    current["spec"]["timeout_ms"] = json!(7);
    current["spec"]["ambassador_id"] = json!(["other"]);
    let back = converted(&current, Version::V2);
    assert_eq!(
        back["spec"],
        json!({
            "prefix": "/a/", "service": "a", "timeout_ms": 7,
            "remove_request_headers": "x-a",
            "ambassador_id": ["--apiVersion-v3alpha1-only--other"],
        })
    );
    assert_eq!(converted(&back, Version::V3Alpha1)["spec"], current["spec"]);
}

#[test]
fn a_crumb_too_long_for_an_annotation_is_left_out() {
    let names = "x,".repeat(40_000);
    let spec = json!({"prefix": "/a/", "service": "a", "remove_request_headers": names});
    let current = converted(&object("Mapping", Version::V2, spec), Version::V3Alpha1);
    assert_eq!(current["metadata"].get("annotations"), None);
    assert_eq!(current["spec"]["remove_request_headers"], json!([names]));
}

/// The API server takes 256 KiB of annotations, and refuses the list that holds an object with more.
#[test]
fn a_crumb_leaves_room_to_the_annotations_of_others() {
    let total = 256 * 1024;
    let mut before = object("Module", Version::V2, json!({"config": {}}));
    let crumb = LEGACY_FORM.len() + r#"{"unset":["ambassador_id"]}"#.len();
    for (length, fits) in [(total - crumb - 1, true), (total - crumb, false)] {
        before["metadata"]["annotations"] = json!({"a": "x".repeat(length)});
        let current = converted(&before, Version::V3Alpha1);
        let annotations = current["metadata"]["annotations"].as_object().unwrap();
        assert_eq!(annotations.contains_key(LEGACY_FORM), fits);
        assert!(annotations.contains_key("a"));
    }
}

/// Each field of a crumb that is tried costs a conversion: an annotation full of names must not
/// keep the webhook busy.
#[test]
fn a_crumb_of_many_fields_is_nobodys() {
    let mut before = object("Mapping", Version::V3Alpha1, json!({"prefix": "/a/", "service": "a"}));
    let names: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    before["metadata"]["annotations"] = json!({LEGACY_FORM: json!({"unset": names}).to_string()});
    let plain = object("Mapping", Version::V3Alpha1, before["spec"].clone());
    assert_eq!(converted(&before, Version::V2), converted(&plain, Version::V2));
}

#[test]
fn annotations_of_others_stay() {
    let mut before = object("Module", Version::V2, json!({"config": {}}));
    before["metadata"]["annotations"] = json!({"a": "b"});
    let current = converted(&before, Version::V3Alpha1);
    let expected = json!({"a": "b", LEGACY_FORM: r#"{"unset":["ambassador_id"]}"#});
    assert_eq!(current["metadata"]["annotations"], expected);
    assert_eq!(converted(&current, Version::V2), before);
}

#[test]
fn definitions_have_the_names_that_the_api_server_knows() {
    let names: Vec<String> = ConvertedKind::ALL.iter().map(ConvertedKind::definition).collect();
    assert_eq!(names.len(), 13);
    assert!(names.contains(&"tcpmappings.getambassador.io".to_owned()));
    for kind in ConvertedKind::ALL {
        assert_eq!(kind.plural, format!("{}s", kind.name.to_lowercase()));
    }
}
