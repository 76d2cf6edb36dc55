//! Every field of every kind, wrong in each way that its schema names, and what is told of it.
//!
//! `tests/mistakes/<Kind>.yaml` holds the mistakes with what is told. Most are made from the
//! definition: another type, a word that isn't in the list, a number out of range, a field that
//! doesn't exist. Those that no schema can name (`written.yaml`: missing references, fields that
//! exclude each other, numbers that mean nothing) are written by hand. A mistake of which nothing is
//! told fails, unless `silent.yaml` says why it may be.
//!
//! `UPDATE_GOLDEN=1 cargo test --test mistakes` accepts what comes out; read it as its author would:
//! which field, what is wrong, what to write instead.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use nuncio::model::Build;
use nuncio::model::report::Report;
use nuncio::model::snapshot::Defaults;
use nuncio::source::parse::{ParseSettings, module_keys, parse_file};
use nuncio::source::store::Store;
use nuncio::source::{Collection, Event, settle};
use serde::Serialize;
use serde_json::{Value, json};

/// A kind and a mistake in its spec.
#[derive(Debug, Clone, Serialize)]
struct Mistake {
    /// The field, as a path from the spec, and how it is wrong.
    what: String,
    /// What is written beside the least that an object of the kind needs, as JSON.
    write: String,
    /// What is told of it.
    told: Vec<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_mistake_is_told() {
    let written: BTreeMap<String, Vec<Value>> = read("written.yaml");
    let silent: BTreeMap<String, BTreeMap<String, String>> = read("silent.yaml");
    let none = BTreeMap::new();
    let mut wrong = String::new();
    for (kind, schema) in definitions() {
        let mut mistakes = of_schema(&schema);
        if kind == "Module" {
            mistakes.extend(of_module());
        }
        let by_hand = written.get(&kind).into_iter().flatten();
        mistakes.extend(by_hand.map(|spec| (format!("by hand: {spec}"), spec.clone())));
        let silent = silent.get(&kind).unwrap_or(&none);
        let mut unused: BTreeSet<&String> = silent.keys().collect();
        let mut all = Vec::new();
        for (what, change) in mistakes {
            let told = told(&kind, &change);
            if told.is_empty() && !unused.remove(&what) {
                let _ = writeln!(wrong, "{kind}: nothing is told of {what}: {change}");
            }
            all.push(Mistake { what, write: change.to_string(), told });
        }
        for what in unused {
            let _ = writeln!(wrong, "{kind}: silent.yaml names {what}, which isn't so");
        }
        compare(&kind, &all, &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 accepts differences of texts:\n{wrong}");
}

fn compare(kind: &str, all: &[Mistake], wrong: &mut String) {
    let path = folder().join(format!("{kind}.yaml"));
    let actual = serde_saphyr::to_string(&all).unwrap();
    if fs::read_to_string(&path).unwrap_or_default() == actual {
        return;
    }
    match std::env::var_os("UPDATE_GOLDEN").is_some() {
        true => fs::write(&path, actual).unwrap(),
        false => {
            let _ = writeln!(wrong, "{} is out of date", path.display());
        }
    }
}

/// The kinds with the schemas of their specs.
fn definitions() -> Vec<(String, Value)> {
    let ours = nuncio::crd::all().into_iter().filter(|crd| crd.spec.group == "getambassador.io");
    ours.map(|crd| {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let spec = schema["openAPIV3Schema"]["properties"]["spec"].clone();
        (crd.spec.names.kind, spec)
    })
    .collect()
}

/// All mistakes that a schema names, each with where it is and as a change of the spec.
fn of_schema(spec: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    within(spec, "", &mut |what, change| found.push((what, change)));
    found
}

/// A value of another type for each key of the Module, whose schema takes anything.
fn of_module() -> impl Iterator<Item = (String, Value)> {
    module_keys().map(|(prefix, key)| {
        let path: Vec<&str> =
            prefix.split('.').chain([key.name]).filter(|it| !it.is_empty()).collect();
        let config =
            path.iter().rev().fold(json!([{ "wrong": 1 }]), |inner, name| json!({ *name: inner }));
        (format!("config.{}: type", path.join(".")), json!({ "config": config }))
    })
}

/// Takes a mistake: what it is, and the spec that makes it.
type Take<'a> = &'a mut dyn FnMut(String, Value);

/// The mistakes in the fields of a map, and one in its names.
fn within(schema: &Value, path: &str, take: Take<'_>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, field) in properties {
        let own = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        mistakes(field, &own, &mut |what, value| take(what, json!({ name: value })));
    }
    if schema["properties"].is_object() {
        let own = if path.is_empty() { "(spec)" } else { path };
        take(format!("{own}: unknown field"), json!({ "nonsence": "x" }));
    }
}

/// The mistakes in one value.
fn mistakes(schema: &Value, path: &str, take: Take<'_>) {
    let kind = schema["type"].as_str().unwrap_or("any");
    let other = match kind {
        "boolean" => json!("perhaps"),
        "integer" | "number" => json!("many"),
        "object" => json!("text"),
        "any" => json!([[1]]),
        _ => json!({ "wrong": 1 }),
    };
    take(format!("{path}: type"), other);
    if schema["enum"].is_array() {
        take(format!("{path}: unknown word"), json!("Nonsense"));
    }
    if let Some(least) = schema["minimum"].as_i64() {
        take(format!("{path}: too small"), json!(least - 1));
    }
    if let Some(most) = schema["maximum"].as_i64() {
        take(format!("{path}: too large"), json!(most + 1));
    }
    if schema["items"].is_object() {
        mistakes(&schema["items"], &format!("{path}[]"), &mut |what, value| {
            take(what, json!([value]));
        });
    }
    if schema["additionalProperties"].is_object() {
        let inner = &schema["additionalProperties"];
        mistakes(inner, &format!("{path}.*"), &mut |what, value| take(what, json!({ "k": value })));
    }
    within(schema, path, take);
}

/// The least that an object of a kind needs.
fn least(kind: &str) -> Value {
    match kind {
        "Mapping" => json!({ "hostname": "*", "prefix": "/", "service": "web" }),
        "TCPMapping" => json!({ "port": 6379, "service": "redis:6379" }),
        "Listener" => json!({
            "port": 8080, "protocol": "HTTPS", "securityModel": "XFP",
            "hostBinding": { "namespace": { "from": "ALL" } },
        }),
        "Host" => json!({ "hostname": "web.example.com" }),
        "Module" => json!({ "config": {} }),
        _ => json!({}),
    }
}

/// What is told of an object with this change.
fn told(kind: &str, change: &Value) -> Vec<String> {
    let mut spec = least(kind);
    for (name, value) in change.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let object = json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": kind,
        "metadata": { "name": if kind == "Module" { "ambassador" } else { "sample" } },
        "spec": spec,
    });
    let defaults = Defaults { services_known: false, ..Defaults::default() };
    let mut store = Store::new(defaults, [Collection::Files]);
    let settings = ParseSettings { namespace: "default".to_owned(), ..ParseSettings::default() };
    store.apply(Event::Init(Collection::Files));
    store.apply(Event::Put(parse_file("sample.json", &object.to_string(), &settings)));
    store.apply(Event::Listed(Collection::Files));
    let build = settle::build(&mut store, &Build::default());
    build.reports.iter().flat_map(|report| texts(report)).collect()
}

fn texts(report: &Report) -> Vec<String> {
    let mut texts: Vec<String> = report.object.problems.iter().map(ToString::to_string).collect();
    if texts.is_empty() {
        let bad = report.conditions().into_iter().find(|condition| !condition.status);
        texts.extend(bad.map(|condition| format!("{}: {}", condition.reason, condition.message)));
    }
    texts
}
