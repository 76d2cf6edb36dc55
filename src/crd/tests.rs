//! The definitions on disk are those of the types, and any API server takes them.

use serde_json::Value as Json;

use super::*;

/// `UPDATE_CRDS=1 cargo test crd` writes the files anew.
#[test]
fn files_are_up_to_date() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for crd in all() {
        let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        let path = directory.join(name);
        let expected = document(&crd);
        if std::env::var_os("UPDATE_CRDS").is_some() {
            std::fs::write(&path, &expected).expect("crds/ can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} is stale: UPDATE_CRDS=1 cargo test crd", path.display());
    }
}

#[test]
fn the_text_is_the_files_in_order() {
    assert_eq!(yaml(), all().iter().map(document).collect::<String>());
    assert_eq!(yaml().matches("kind: CustomResourceDefinition").count(), 9);
}

/// Every place in a schema that holds a value.
fn walk(path: &str, schema: &Json, visit: &mut impl FnMut(&str, &Json)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], visit);
        }
    }
}

#[test]
fn schemas_are_structural() {
    for crd in all() {
        let json = serde_json::to_value(&crd).expect("JSON");
        let version = &json["spec"]["versions"][0];
        assert_eq!(version["subresources"]["status"], serde_json::json!({}));
        let mut seen = 0;
        walk("", &version["schema"]["openAPIV3Schema"], &mut |path, schema| {
            seen += 1;
            // Text in Emissary's definition, an object in ours: both have to pass.
            let either = path.ends_with(".outlier_detection");
            assert!(either || schema["type"].is_string(), "{path} has no type: {schema}");
            assert!(schema["nullable"].is_null(), "{path} is nullable");
            // What users write stays as they wrote it: defaults are the gateway's business.
            assert!(schema["default"].is_null() || path == ".status", "{path} has a default");
            let format = schema["format"].as_str();
            assert!(matches!(format, None | Some("int64" | "date-time")), "{path}: {format:?}");
            for keyword in ["$ref", "oneOf", "anyOf", "allOf"] {
                assert!(schema[keyword].is_null(), "{path} has {keyword}");
            }
        });
        assert!(seen > 10, "the walk found only {seen} fields");
    }
}

#[test]
fn every_field_is_described() {
    for crd in all() {
        let json = serde_json::to_value(&crd).expect("JSON");
        let schema = &json["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(part, &schema["properties"][part], &mut |path, schema| {
                let is_element = path.ends_with("[]");
                assert!(
                    is_element || schema["description"].is_string(),
                    "{path} lacks a description"
                );
            });
        }
    }
}

#[test]
fn a_spec_that_needs_nothing_may_be_left_out() {
    let needing: Vec<_> = all()
        .iter()
        .map(|crd| (serde_json::to_value(crd).expect("JSON"), crd.spec.names.kind.clone()))
        .filter(|(json, _)| {
            !json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["required"].is_null()
        })
        .map(|(_, kind)| kind)
        .collect();
    assert_eq!(needing, ["Mapping", "Listener", "TCPMapping", "Module", "AnnotatedResource"]);
}

#[test]
fn names_are_what_users_type() {
    let names: Vec<_> = all()
        .into_iter()
        .map(|crd| (crd.metadata.name.unwrap_or_default(), crd.spec.names.short_names))
        .collect();
    assert_eq!(names[0], ("mappings.getambassador.io".to_owned(), None));
    let short = Some(vec!["anres".to_owned()]);
    assert_eq!(names[8], ("annotatedresources.nuncio.dev".to_owned(), short));
    let category = Some(vec!["ambassador-crds".to_owned()]);
    assert!(all()[..8].iter().all(|crd| crd.spec.names.categories == category));
}
