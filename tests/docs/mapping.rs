//! docs/reference/mapping.md: the fields of Mapping, from its schema, and whether the parser
//! gives them any effect.

use std::fmt::Write as _;

use nuncio::model::object::Severity;
use nuncio::source::parse::{ParseSettings, parse_file};
use serde_json::{Map, Value, json};

use crate::assert_generated;

const PATH: &str = "docs/reference/mapping.md";

/// Fields that make a Mapping unusable, because to ignore them would do harm.
const REFUSED: &[&str] = &["shadow", "tls"];

const HEAD: &str = "\
# Mapping

<!-- Generated from src/crd/mapping.rs by `make docs`. -->

The fields of `spec`, as `kubectl explain mapping.spec` shows them. \"No effect yet\" marks what this
version reads, reports in the object's status (`NotSupported`) and passes over; a Mapping with a
field that is \"refused in this version\" is not served.

In annotations and files the older API versions are read too; see
[differences](../differences.md#api-versions).
";

#[test]
fn the_reference_is_the_schema() {
    let definitions = nuncio::crd::all();
    let mapping = definitions.iter().find(|crd| crd.spec.names.kind == "Mapping").unwrap();
    let schema = serde_json::to_value(&mapping.spec.versions[0].schema).unwrap();
    let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
    let required: Vec<&str> =
        spec["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = HEAD.to_owned();
    for (name, field) in spec["properties"].as_object().unwrap() {
        let mut notes = vec![kind(field)];
        if required.contains(&name.as_str()) {
            notes.push("required".to_owned());
        }
        match worst(name, field) {
            Some(Severity::NoEffect) => notes.push("**no effect yet**".to_owned()),
            Some(Severity::Unsupported) if REFUSED.contains(&name.as_str()) => {
                notes.push("**refused in this version**".to_owned());
            }
            other => assert!(!REFUSED.contains(&name.as_str()), "{name}: {other:?}"),
        }
        let _ = write!(text, "\n## `{name}`\n\n{}\n\n{}\n", notes.join(", "), description(field));
        nested(field, "", &mut text);
    }
    assert_generated(PATH, &text);
}

/// The fields within a field, as a list.
fn nested(field: &Value, prefix: &str, text: &mut String) {
    let inner = match kind_of(field) {
        "array" => &field["items"],
        "object" if field["additionalProperties"].is_object() => &field["additionalProperties"],
        _ => field,
    };
    let Some(properties) = inner["properties"].as_object() else { return };
    if prefix.is_empty() {
        text.push('\n');
    }
    for (name, field) in properties {
        let path = format!("{prefix}{name}");
        let about = description(field).replace('\n', " ");
        let _ = writeln!(text, "- `{path}` ({}): {about}", kind(field));
        nested(field, &format!("{path}."), text);
    }
}

fn kind_of(field: &Value) -> &str {
    field["type"].as_str().unwrap_or("any")
}

/// The type in words.
fn kind(field: &Value) -> String {
    let kind = match kind_of(field) {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}", kind(&field["additionalProperties"]))
        }
        "any" => "anything".to_owned(),
        other => other.to_owned(),
    };
    match field["enum"].as_array() {
        Some(values) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("{kind}: {}", values.join(", "))
        }
        None => kind,
    }
}

fn description(field: &Value) -> String {
    let text = field["description"].as_str().unwrap_or_default().replace('\n', " ");
    text.replace('<', "\\<").trim().to_owned()
}

/// The worst that the parser says of a field: it is asked, with values of the field's type.
fn worst(name: &str, field: &Value) -> Option<Severity> {
    let problems = samples(field).into_iter().flat_map(|sample| {
        let mut spec = Map::new();
        for (key, value) in [("hostname", "*"), ("prefix", "/"), ("service", "web")] {
            spec.insert(key.to_owned(), value.into());
        }
        spec.insert(name.to_owned(), sample);
        let object = json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "Mapping",
            "metadata": { "name": "sample" },
            "spec": spec,
        });
        let statement = parse_file("sample.json", &object.to_string(), &ParseSettings::default());
        statement.objects[0].problems.iter().map(|problem| problem.severity).collect::<Vec<_>>()
    });
    problems.min()
}

fn samples(field: &Value) -> Vec<Value> {
    match kind_of(field) {
        "boolean" => vec![true.into(), false.into()],
        "integer" | "number" => vec![1.into()],
        "array" => vec![json!([samples(&field["items"])[0]])],
        "object" => vec![json!({ "sample": "sample" })],
        _ => vec!["sample".into()],
    }
}
