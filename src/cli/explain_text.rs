//! Explanations as people read them: what somebody wrote, and with `--all` the defaults as well.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::admin::explain::{
    Answer, CandidateVerdict, Copies, Effect, Explanation, Part, TlsAnswer,
};
use crate::admin::values::{Effective, Source};

/// Longer names and values push the rest of their line to the right.
const MAX_NAME: usize = 36;
const MAX_VALUE: usize = 32;

/// The whole answer.
pub(super) fn format(explanation: &Explanation, all: bool) -> String {
    let mut lines = vec![explanation.request.clone()];
    if let Some(listener) = &explanation.listener {
        lines.extend(part("by", listener, all));
    }
    if let Some(tls) = &explanation.tls {
        lines.extend(tls_lines(tls, all));
    }
    for host in &explanation.hosts {
        lines.extend(part("host", host, all));
    }
    if explanation.answers.is_empty() {
        lines.push(String::new());
        let refused = explanation.refused.as_deref();
        lines.push(refused.unwrap_or_else(|| nothing(explanation)).to_owned());
    }
    for answer in &explanation.answers {
        lines.push(String::new());
        lines.extend(answer_lines(answer, all));
    }
    let gateway = table(&explanation.gateway, all);
    if !gateway.is_empty() {
        lines.push("\nAll requests:".to_owned());
        lines.extend(gateway);
    }
    if !explanation.considered.is_empty() {
        lines.push("\nRoutes for this host and path, best first:".to_owned());
    }
    for candidate in &explanation.considered {
        let mark = match candidate.verdict {
            CandidateVerdict::Wins => "wins    ",
            CandidateVerdict::Beaten => "beaten  ",
            CandidateVerdict::NoShare => "no share",
            CandidateVerdict::Fails => "fails   ",
        };
        lines.push(format!("  {mark}  {}", candidate.objects.join(", ")));
        lines.push(format!("            {}", candidate.matches));
        if candidate.verdict != CandidateVerdict::Wins {
            lines.push(format!("            {}", candidate.why));
        }
    }
    let mut out = String::new();
    for line in lines {
        writeln!(out, "{line}").expect("writing to a String can't fail");
    }
    out
}

/// Why nobody answers.
fn nothing(explanation: &Explanation) -> &'static str {
    let is_connection = explanation.gateway.is_empty();
    let tls_ends = explanation.tls.as_ref().is_some_and(|tls| tls.certificate.is_some());
    match (&explanation.listener, is_connection) {
        (None, _) => "nothing: no Listener and no TCPMapping has this port",
        (Some(_), true) if tls_ends => "HTTP: the Host answers it, ask for https://…",
        (Some(_), true) => "nothing: no TCPMapping takes this connection",
        (Some(_), false) if explanation.hosts.is_empty() => "404: no Host takes this name here",
        (Some(_), false) => "404: no route answers",
    }
}

fn part(name: &str, part: &Part, all: bool) -> Vec<String> {
    let mut lines = vec![format!("  {name:<8}  {}", part.told)];
    lines.extend(table(&part.values, all));
    lines
}

fn tls_lines(tls: &TlsAnswer, all: bool) -> Vec<String> {
    if tls.taken_by.is_empty() {
        return vec![format!("  tls       refused: {}", tls.why)];
    }
    let mut lines = vec![format!("  tls       {} ({})", tls.taken_by, tls.why)];
    if let Some(certificate) = &tls.certificate {
        let source = match certificate.source.as_str() {
            "" => "of unknown origin",
            source => source,
        };
        lines.push(format!("  shows     {source}: {}", certificate.names.join(", ")));
        lines.push(format!(
            "            {}, from {} to {}",
            certificate.validity.text(),
            certificate.not_before,
            certificate.not_after
        ));
        lines.push(format!(
            "            serial {}, signed by {}",
            or_unknown(&certificate.serial),
            or_unknown(&certificate.issuer)
        ));
    }
    lines.extend(table(&tls.values, all));
    lines
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn answer_lines(answer: &Answer, all: bool) -> Vec<String> {
    let (share, what) = match (answer.percent, &answer.action) {
        (100, _) => (String::new(), ""),
        (percent, Effect::Connect { .. }) => (format!("{percent}% of "), "connections: "),
        (percent, _) => (format!("{percent}% of "), "requests: "),
    };
    let mut lines = vec![format!("{share}{what}{} ({})", answer.object, answer.origin)];
    match &answer.action {
        Effect::Forward { service, cluster, upstream, request_line, host, .. } => {
            lines.push(format!("  to        {service} ({cluster}: {upstream})"));
            lines.push(format!("  sends     {request_line}"));
            lines.push(format!("  host      {host}"));
        }
        Effect::Redirect { status, location } => {
            lines.push(format!("  redirect  {status} to {location}"));
        }
        Effect::Probe { of } => lines.push(format!("  answers   whether the gateway is {of}")),
        Effect::Connect { service, cluster, upstream } => {
            lines.push(format!("  to        {service} ({cluster}: {upstream})"));
        }
    }
    lines.extend(table(&answer.values, all));
    lines.extend(answer.copies.iter().flat_map(|copies| copies_lines(copies, all)));
    lines
}

fn copies_lines(copies: &Copies, all: bool) -> Vec<String> {
    let Copies { percent, service, cluster, upstream, object, origin, .. } = copies;
    let mut lines = vec![
        format!("  copies    {percent}% to {service} ({cluster}: {upstream})"),
        format!("            {object} ({origin})"),
    ];
    lines.extend(table(&copies.values, all));
    lines
}

/// Aligned: the name, the value, and who wrote it.
fn table(values: &[Effective], all: bool) -> Vec<String> {
    let rows: Vec<(&str, String, String)> = values
        .iter()
        .filter(|value| all || !value.is_default())
        .map(|value| (value.name.as_str(), flow(&value.value), source(value)))
        .collect();
    let longest = |lengths: &mut dyn Iterator<Item = usize>, limit: usize| {
        lengths.filter(|length| *length <= limit).max().unwrap_or(0)
    };
    let name_width = longest(&mut rows.iter().map(|row| row.0.chars().count()), MAX_NAME);
    let value_width = longest(&mut rows.iter().map(|row| row.1.chars().count()), MAX_VALUE);
    rows.iter()
        .map(|(name, value, from)| {
            format!("    {name:<name_width$}  {value:<value_width$}  {from}")
        })
        .collect()
}

/// Who wrote a value; the field where it has another name there.
fn source(value: &Effective) -> String {
    match &value.from {
        Source::Default => "default".to_owned(),
        Source::Object { object, field } if *field == value.name => object.clone(),
        Source::Object { object, field } => format!("{object} ({field})"),
        Source::Process { variable } => format!("environment ({variable})"),
    }
}

/// JSON as YAML's flow style has it, which is how people write it.
fn flow(value: &Json) -> String {
    match value {
        Json::Null => "none".to_owned(),
        Json::String(text) if text.is_empty() => "\"\"".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "explain_text_tests.rs"]
mod tests;
