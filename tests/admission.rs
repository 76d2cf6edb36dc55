//! What is said at `kubectl apply`: a folder of `tests/admission/` is a case.
//!
//! - `object.yaml`: what is applied; its first line may set how: `# settings: {annotations: Deny}`
//! - `before.yaml`: what was there; without it the object is new
//! - `expected.yaml`: the answer, generated: `UPDATE_GOLDEN=1 cargo test --test admission`
//!
//! And every golden case is applied: what `nuncio check` calls an error is refused, in its words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionResponse, AdmissionReview};
use nuncio::admission::review::{Policy, Request, ReviewSettings, review};
use nuncio::model::key::Origin;
use nuncio::model::object::{Object, Severity};
use nuncio::source::parse::{ParseSettings, parse_file};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    annotations: String,
    single_namespace: Option<String>,
    ambassador_id: Option<String>,
    namespace: Option<String>,
    environment: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Answer {
    allowed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[test]
fn cases_are_answered() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    for folder in folders("tests/admission") {
        let text = fs::read_to_string(folder.join("object.yaml")).unwrap();
        let object = serde_saphyr::from_str(&text).unwrap();
        let before = fs::read_to_string(folder.join("before.yaml")).ok();
        let before: Option<Value> = before.map(|before| serde_saphyr::from_str(&before).unwrap());
        let answer = ask(&object, before.as_ref(), &settings(&text));
        assert!(answer.allowed || answer.result.code == 400, "{}", folder.display());
        let actual = serde_saphyr::to_string(&Answer {
            allowed: answer.allowed,
            message: answer.result.message,
            warnings: answer.warnings.unwrap_or_default(),
        });
        let (actual, path) = (actual.unwrap(), folder.join("expected.yaml"));
        let expected = fs::read_to_string(&path).unwrap_or_default();
        match (expected == actual, update) {
            (true, _) => {}
            (false, true) => fs::write(&path, actual).unwrap(),
            (false, false) => {
                wrong.push_str(&format!("{}:\n{expected}---\n{actual}\n", path.display()));
            }
        }
        assert_complete(&folder);
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 accepts what is below the line:\n{wrong}");
}

fn assert_complete(folder: &Path) {
    let names: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let known = ["before.yaml", "expected.yaml", "object.yaml"];
    let strange: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{}: {strange:?}", folder.display());
}

fn folders(below: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "there are cases");
    folders
}

fn settings(text: &str) -> ReviewSettings {
    let written = text.lines().next().and_then(|line| line.strip_prefix("# settings: "));
    let settings: Settings =
        written.map(|text| serde_saphyr::from_str(text).unwrap()).unwrap_or_default();
    let policy = if settings.annotations == "Deny" { Policy::Deny } else { Policy::Warn };
    ReviewSettings {
        parse: ParseSettings {
            namespace: settings.namespace.unwrap_or_else(|| "default".to_owned()),
            environment: settings.environment,
            ..ParseSettings::default()
        },
        ambassador_id: settings.ambassador_id.unwrap_or_else(|| "default".to_owned()),
        single_namespace: settings.single_namespace,
        resources: Policy::Deny,
        annotations: policy,
    }
}

/// As the API server asks.
fn ask(object: &Value, before: Option<&Value>, settings: &ReviewSettings) -> AdmissionResponse {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let operation = if before.is_some() { "UPDATE" } else { "CREATE" };
    let kind = json!({"group": group, "version": version, "kind": object["kind"]});
    let resource = json!({"group": group, "version": version, "resource": "things"});
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let review_ = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": kind, "resource": resource, "operation": operation,
            "name": text(&object["metadata"]["name"]), "namespace": namespace,
            "userInfo": {}, "object": object, "oldObject": before,
        },
    });
    let question: AdmissionReview<DynamicObject> = serde_json::from_value(review_).unwrap();
    let request: Request = question.try_into().unwrap();
    review(&request, settings)
}

#[test]
fn what_check_calls_an_error_is_refused_in_its_words() {
    let (mut refused, mut allowed) = (0, 0);
    for folder in folders("tests/golden") {
        let text = fs::read_to_string(folder.join("in.yaml")).unwrap();
        let settings = ReviewSettings { annotations: Policy::Deny, ..settings(&text) };
        let statement = parse_file("in.yaml", &text, &settings.parse);
        for document in documents(&text) {
            let checked: Vec<&Object> = statement
                .objects
                .iter()
                .map(AsRef::as_ref)
                .filter(|object| object.selects(&settings.ambassador_id))
                .filter(|object| is_of(object, &document))
                .collect();
            let answer = ask(&document.value, None, &settings);
            let errors = errors(&checked);
            let context = format!("{}, document {}", folder.display(), document.index + 1);
            assert_eq!(answer.allowed, errors.is_empty(), "{context}: {errors:?}");
            let said: Vec<String> = answer.result.message.lines().map(without_place).collect();
            assert_eq!(sorted(said), sorted(errors.clone()), "{context}");
            if answer.allowed { allowed += 1 } else { refused += 1 }
        }
    }
    println!("{refused} objects refused, {allowed} allowed");
    assert!(refused > 20 && allowed > 50, "{refused} refused, {allowed} allowed");
}

/// A document that the API server would send.
struct Document {
    index: u32,
    value: Value,
}

/// The Mappings and carriers of a file; what isn't YAML never reaches the API server.
fn documents(text: &str) -> Vec<Document> {
    let ours = [
        ("getambassador.io/v3alpha1", "Mapping"),
        ("v1", "Service"),
        ("networking.k8s.io/v1", "Ingress"),
    ];
    let parts = text.split("\n---\n").filter(|part| {
        let mut lines = part.lines().map(str::trim);
        lines.any(|line| !line.is_empty() && !line.starts_with('#') && line != "---")
    });
    let read = (0..).zip(parts).filter_map(|(index, part)| {
        let value: Value = serde_saphyr::from_str(part).ok()?;
        let is = |api_version: &str, kind: &str| {
            value["apiVersion"] == api_version && value["kind"] == kind
        };
        let nested = value["metadata"]["name"].is_string();
        let wanted = nested && ours.iter().any(|(api_version, kind)| is(api_version, kind));
        wanted.then_some(Document { index, value })
    });
    read.collect()
}

/// Whether an object was written in this document, or in its annotation.
fn is_of(object: &Object, document: &Document) -> bool {
    let metadata = &document.value["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    match &object.key.origin {
        Origin::File { index, .. } => *index == document.index,
        Origin::Annotation { carrier, .. } => {
            carrier.kind.as_str() == document.value["kind"]
                && metadata["name"] == *carrier.name
                && namespace == &*carrier.namespace
        }
        Origin::BuiltIn | Origin::Resource => false,
    }
}

fn errors(objects: &[&Object]) -> Vec<String> {
    let problems = objects.iter().flat_map(|object| &object.problems);
    let errors = problems.filter(|problem| problem.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

/// A line of a refusal without where in the annotation it stands.
fn without_place(line: &str) -> String {
    match line.strip_prefix("getambassador.io/config line ").and_then(|rest| rest.split_once(": "))
    {
        Some((_, text)) => text.to_owned(),
        None => line.to_owned(),
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}
