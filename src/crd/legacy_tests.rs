use super::super::all;
use super::*;

fn mapping(v1: bool) -> Value {
    let legacy = Legacy { namespace: "edge".into(), service: "nuncio-admission".into(), v1 };
    serde_json::to_value(with_legacy_versions(&all()[0], &legacy)).unwrap()
}

fn spec_of(definition: &Value, version: usize) -> &Value {
    &definition["spec"]["versions"][version]["schema"]["openAPIV3Schema"]["properties"]["spec"]
}

#[test]
fn v3alpha1_is_stored_and_others_are_served() {
    let told = |definition: &Value| -> Vec<String> {
        let versions = definition["spec"]["versions"].as_array().unwrap().iter();
        versions
            .map(|it| {
                format!("{} {} {}", it["name"].as_str().unwrap(), it["served"], it["storage"])
            })
            .collect()
    };
    assert_eq!(told(&mapping(false)), ["v3alpha1 true true", "v2 true false"]);
    assert_eq!(told(&mapping(true)), ["v3alpha1 true true", "v2 true false", "v1 true false"]);
    let webhook = &mapping(true)["spec"]["conversion"]["webhook"];
    assert_eq!(webhook["clientConfig"]["service"]["path"], "/webhooks/crd-convert");
    assert_eq!(webhook["clientConfig"]["service"]["namespace"], "edge");
}

#[test]
fn kinds_without_older_versions_stay_as_they_are() {
    let legacy = Legacy { namespace: "a".into(), service: "b".into(), v1: true };
    for definition in all().iter().filter(|it| of_kind(&it.spec.names.kind).is_none()) {
        assert_eq!(&with_legacy_versions(definition, &legacy), definition);
    }
}

#[test]
fn what_v2_writes_otherwise_is_open() {
    let definition = mapping(false);
    let fields = &spec_of(&definition, 1)["properties"];
    for path in [
        "/ambassador_id",
        "/tls",
        "/headers/additionalProperties",
        "/add_request_headers/additionalProperties",
        "/remove_request_headers",
        "/cors/properties/origins",
        "/cors/properties/methods",
        "/labels/additionalProperties/items/additionalProperties/items",
    ] {
        let schema = fields.pointer(path).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{path}");
        assert_eq!(schema.get("type"), None, "{path}");
    }
    for name in ["host", "host_regex", "v3StatsName", "v3health_checks", "timeout_ms"] {
        assert!(fields[name]["type"].is_string(), "{name}");
    }
    for name in ["hostname", "stats_name", "health_checks", "v2ExplicitTLS", "v2BoolHeaders"] {
        assert!(fields.get(name).is_none(), "{name}");
    }
    assert_eq!(spec_of(&definition, 1)["required"], json!(["prefix", "service"]));
    assert!(!definition["spec"]["versions"][1].to_string().contains("x-kubernetes-validations"));
    assert!(spec_of(&definition, 0).to_string().contains("x-kubernetes-validations"));
}

/// A field that only one of two versions knows would be pruned on its way through the other.
#[test]
fn no_field_is_lost_between_the_schemas() {
    let crumbs = ["hostname", "v2ExplicitTLS", "v2BoolHeaders", "v2BoolQueryParameters"];
    for definition in all() {
        let Some(kind) = of_kind(&definition.spec.names.kind) else { continue };
        let json = serde_json::to_value(&definition).unwrap();
        for version in legacy_versions(&definition) {
            let older = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for name in spec_of(&json, 0)["properties"].as_object().unwrap().keys() {
                let renamed = kind.renamed.iter().find(|(_, current)| current == name);
                let expected = renamed.map_or(name.as_str(), |(legacy, _)| legacy);
                let known = older.get(expected).is_some() || crumbs.contains(&expected);
                assert!(known, "{expected} of {} is not in v2", kind.name);
            }
        }
    }
}

#[test]
fn older_schemas_are_structural() {
    for definition in all() {
        for version in legacy_versions(&definition) {
            walk(&version["schema"]["openAPIV3Schema"], "");
        }
    }
}

fn walk(schema: &Value, path: &str) {
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    assert!(open || schema["type"].is_string(), "{path} has no type");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"));
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], &format!("{path}[]"));
        }
    }
}
