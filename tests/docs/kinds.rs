//! docs/reference/<kind>.md: the fields of a kind, from its schema, and whether the parser gives
//! them any effect.

use std::fmt::Write as _;

use nuncio::model::object::Severity;
use serde_json::Value;

use crate::assert_generated;
use crate::fields::{Definition, definitions, kind_of};

/// Each kind with the file of its types.
const KINDS: &[(&str, &str)] = &[
    ("Mapping", "mapping"),
    ("TCPMapping", "tcp_mapping"),
    ("Listener", "listener"),
    ("Host", "host"),
    ("TLSContext", "tls_context"),
];

fn head(kind: &str, file: &str) -> String {
    let lower = kind.to_lowercase();
    format!(
        "\
# {kind}

<!-- Generated from src/crd/{file}.rs by `make docs`. -->

The fields of `spec`, as `kubectl explain {lower}.spec` shows them. \"No effect yet\" marks what this
version reads, reports in the object's status (`NotSupported`) and passes over.

In annotations and files the older API versions are read too; see
[differences](../differences.md#api-versions).
"
    )
}

#[test]
fn the_references_are_the_schemas() {
    let definitions = definitions();
    for (kind, file) in KINDS {
        let definition = definitions.iter().find(|one| one.kind == *kind).unwrap();
        let text = head(kind, file) + &reference(definition);
        assert_generated(&format!("docs/reference/{file}.md"), &text);
    }
}

/// The fields of a spec, each with its type, its effect and its description.
fn reference(definition: &Definition) -> String {
    let mut text = String::new();
    for (name, field) in &definition.fields {
        let mut notes = vec![kind(field)];
        if definition.required.contains(name) {
            notes.push("required".to_owned());
        }
        if definition.worst(name, field) == Some(Severity::NoEffect) {
            notes.push("**no effect yet**".to_owned());
        }
        let _ = write!(text, "\n## `{name}`\n\n{}\n\n{}\n", notes.join(", "), description(field));
        nested(field, "", &mut text);
    }
    text
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
