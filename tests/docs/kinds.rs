//! docs/reference/<kind>.md: the fields of a kind, from its schema, and whether the parser gives
//! them any effect.

use std::fmt::Write as _;

use nuncio::model::object::Severity;
use nuncio::source::parse::{ParseSettings, parse_file};
use serde_json::{Map, Value, json};

use crate::assert_generated;

/// Fields that make a Mapping unusable, because to ignore them would do harm.
const REFUSED: &[&str] = &[];

/// Each kind with the file of its types, and what an object of it needs.
const KINDS: &[(&str, &str, &str)] = &[
    ("Mapping", "mapping", r#"{"hostname": "*", "prefix": "/", "service": "web"}"#),
    ("TCPMapping", "tcp_mapping", r#"{"port": 6789, "service": "web"}"#),
    (
        "Listener",
        "listener",
        r#"{"port": 8443, "protocol": "HTTPS", "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "ALL"}}}"#,
    ),
    ("Host", "host", "{}"),
    ("TLSContext", "tls_context", "{}"),
];

fn head(kind: &str, file: &str) -> String {
    let lower = kind.to_lowercase();
    format!(
        "\
# {kind}

<!-- Generated from src/crd/{file}.rs by `make docs`. -->

The fields of `spec`, as `kubectl explain {lower}.spec` shows them. \"No effect yet\" marks what this
version reads, reports in the object's status (`NotSupported`) and passes over; a {kind} with a
field that is \"refused in this version\" is not served.

In annotations and files the older API versions are read too; see
[differences](../differences.md#api-versions).
"
    )
}

#[test]
fn the_references_are_the_schemas() {
    let definitions = nuncio::crd::all();
    for (kind, file, needed) in KINDS {
        let definition = definitions.iter().find(|crd| crd.spec.names.kind == *kind).unwrap();
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let sample = Sample { kind, needed: serde_json::from_str(needed).unwrap() };
        let text = head(kind, file) + &reference(spec, &sample);
        assert_generated(&format!("docs/reference/{file}.md"), &text);
    }
}

/// The fields of a spec, each with its type, its effect and its description.
fn reference(spec: &Value, sample: &Sample<'_>) -> String {
    let required: Vec<&str> =
        spec["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::new();
    for (name, field) in spec["properties"].as_object().unwrap() {
        let mut notes = vec![kind(field)];
        if required.contains(&name.as_str()) {
            notes.push("required".to_owned());
        }
        let is_refused = sample.kind == "Mapping" && REFUSED.contains(&name.as_str());
        match sample.worst(name, field) {
            Some(Severity::NoEffect) => notes.push("**no effect yet**".to_owned()),
            Some(Severity::Unsupported) if is_refused => {
                notes.push("**refused in this version**".to_owned());
            }
            other => assert!(!is_refused, "{name}: {other:?}"),
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

/// An object of a kind to ask the parser about.
struct Sample<'a> {
    kind: &'a str,
    needed: Map<String, Value>,
}

impl Sample<'_> {
    /// The worst that the parser says of a field: it is asked, with values of the field's type.
    fn worst(&self, name: &str, field: &Value) -> Option<Severity> {
        let problems = samples(field).into_iter().flat_map(|sample| {
            let mut spec = self.needed.clone();
            spec.insert(name.to_owned(), sample);
            let object = json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": self.kind,
                "metadata": { "name": "sample" },
                "spec": spec,
            });
            let settings = ParseSettings::default();
            let statement = parse_file("sample.json", &object.to_string(), &settings);
            let problems = statement.objects[0].problems.iter();
            problems.map(|problem| problem.severity).collect::<Vec<_>>()
        });
        problems.min()
    }
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
