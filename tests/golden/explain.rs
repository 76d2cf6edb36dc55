//! What `nuncio explain` says: questions written by hand in a case's `explain.yaml`, where it has
//! one, and their answers, generated: each value that isn't a default with who wrote it.

use std::fs;

use nuncio::admin::explain::{Effect, Question, explain};
use nuncio::admin::values::{Effective, Source};
use serde::{Deserialize, Serialize};

use crate::case::Case;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// `METHOD URL`.
    ask: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    listener: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tls: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gateway: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    object: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copies: Vec<String>,
}

/// The text of `explain.yaml` with answers as they are now; empty where there is none.
pub(crate) fn answer(case: &Case) -> String {
    let path = case.folder.join("explain.yaml");
    let Ok(text) = fs::read_to_string(&path) else { return String::new() };
    let mut entries: Vec<Entry> =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for entry in &mut entries {
        ask(case, entry);
    }
    serde_saphyr::to_string(&entries).unwrap()
}

fn ask(case: &Case, entry: &mut Entry) {
    let (method, url) = entry.ask.split_once(' ').expect("METHOD URL");
    let question = Question::parse(method, url, &entry.headers).expect("a question");
    let explanation = explain(&case.served(), &question);
    let parts = explanation.listener.iter();
    entry.listener = parts.flat_map(|part| told(&part.told, &part.values)).collect();
    entry.hosts =
        explanation.hosts.iter().flat_map(|part| told(&part.told, &part.values)).collect();
    entry.tls = explanation
        .tls
        .iter()
        .flat_map(|tls| {
            let shown = tls.certificate.as_ref();
            let shown = shown.map(|it| format!("shows {}: {}", it.source, it.names.join(", ")));
            let mut lines = told(&format!("{} ({})", tls.taken_by, tls.why), &tls.values);
            lines.extend(shown);
            lines
        })
        .collect();
    entry.gateway = written(&explanation.gateway);
    let answer = |answer: &nuncio::admin::explain::Answer| Answer {
        object: format!("{}% {}{}", answer.percent, answer.object, goes(&answer.action)),
        values: written(&answer.values),
        copies: answer
            .copies
            .iter()
            .flat_map(|copies| {
                told(&format!("{}% {}", copies.percent, copies.object), &copies.values)
            })
            .collect(),
    };
    entry.answers = explanation.answers.iter().map(answer).collect();
}

fn goes(action: &Effect) -> String {
    match action {
        Effect::Forward { cluster, .. } | Effect::Connect { cluster, .. } => {
            format!(" to {cluster}")
        }
        Effect::Redirect { location, .. } => format!(" redirects to {location}"),
        Effect::Probe { .. } => String::new(),
    }
}

fn told(what: &str, values: &[Effective]) -> Vec<String> {
    std::iter::once(what.to_owned()).chain(written(values)).collect()
}

/// Values that aren't defaults.
fn written(values: &[Effective]) -> Vec<String> {
    let line = |value: &Effective| {
        let from = match &value.from {
            Source::Default => return None,
            Source::Object { object, field } => format!("{object} ({field})"),
            Source::Process { variable } => variable.clone(),
        };
        Some(format!("{} = {} by {from}", value.name, value.value))
    };
    values.iter().filter_map(line).collect()
}
