//! The fields of all kinds, from their definitions, and what the parser says of each.

use std::collections::BTreeMap;

use nuncio::model::object::Severity;
use nuncio::source::parse::{ParseSettings, parse_file};
use serde_json::{Map, Value, json};

/// A kind and its fields.
pub(crate) struct Definition {
    /// The kind.
    pub(crate) kind: String,
    /// The schemas of the fields of `spec`, by name.
    pub(crate) fields: BTreeMap<String, Value>,
    /// The fields that an object must have.
    pub(crate) required: Vec<String>,
}

/// All kinds of getambassador.io, by name.
pub(crate) fn definitions() -> Vec<Definition> {
    let ours = nuncio::crd::all().into_iter().filter(|crd| crd.spec.group == "getambassador.io");
    let mut found: Vec<Definition> = ours
        .map(|crd| {
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
            let required = spec["required"].as_array().into_iter().flatten();
            let fields = spec["properties"].as_object().cloned().unwrap_or_default();
            Definition {
                kind: crd.spec.names.kind,
                fields: fields.into_iter().collect(),
                required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
            }
        })
        .collect();
    found.sort_by(|a, b| a.kind.cmp(&b.kind));
    found
}

/// The kind and the fields that a document uses, in either form; of a Module the keys of `config`,
/// and those within them.
pub(crate) fn used(document: &Value) -> Vec<(String, String)> {
    let Some(kind) = document["kind"].as_str() else { return Vec::new() };
    let spec = document["spec"].as_object().into_iter().flatten();
    let flat = document.as_object().into_iter().flatten();
    let mut names: Vec<String> = spec.chain(flat).map(|(field, _)| field.clone()).collect();
    if kind == "Module" {
        let config = [&document["config"], &document["spec"]["config"]];
        for (key, value) in config.into_iter().filter_map(Value::as_object).flatten() {
            let inner = value.as_object().into_iter().flatten();
            names.extend(inner.map(|(inner, _)| format!("{key}.{inner}")));
            names.push(key.clone());
        }
    }
    names.into_iter().map(|name| (kind.to_owned(), name)).collect()
}

impl Definition {
    /// The worst that the parser says of a field: it is asked, with values of the field's type.
    pub(crate) fn worst(&self, name: &str, field: &Value) -> Option<Severity> {
        let problems = samples(field).into_iter().flat_map(|sample| {
            let mut spec = self.least();
            spec.insert(name.to_owned(), sample);
            let object = json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": self.kind,
                "metadata": { "name": "sample" },
                "spec": spec,
            });
            let text = object.to_string();
            let statement = parse_file("sample.json", &text, &ParseSettings::default());
            let problems = statement.objects[0].problems.iter();
            // What a sample lacks elsewhere says nothing of this field.
            let of_field = problems.filter(|problem| problem.field.as_deref() == Some(name));
            of_field.map(|problem| problem.severity).collect::<Vec<_>>()
        });
        problems.min()
    }

    /// The fields without which no object of the kind can be used.
    fn least(&self) -> Map<String, Value> {
        let fields = match self.kind.as_str() {
            "Mapping" => json!({ "hostname": "*", "prefix": "/", "service": "web" }),
            "TCPMapping" => json!({ "port": 6379, "service": "redis:6379" }),
            "Listener" => json!({
                "port": 8080, "protocol": "HTTP", "securityModel": "XFP",
                "hostBinding": { "namespace": { "from": "ALL" } },
            }),
            "Module" => json!({ "config": {} }),
            _ => json!({}),
        };
        fields.as_object().cloned().unwrap_or_default()
    }
}

/// The type of a field.
pub(crate) fn kind_of(field: &Value) -> &str {
    field["type"].as_str().unwrap_or("any")
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
