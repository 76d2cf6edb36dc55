//! Texts that several kinds have in common: one of a few words, ports, labels, hosts.

use std::collections::BTreeMap;

use crate::model::object::Severity;
use crate::model::route::HostMatch;

use super::fields::{Field, Fields, Problems};
use super::known::Known;
use super::suggest::closest;

const SELECTOR: Known<'_> = Known {
    of: "a selector",
    // `matchExpressions` is told below.
    effective: &["matchLabels"],
    elsewhere: &[],
    silent: &["matchExpressions"],
    no_effect: &[],
    defaults: &[],
};

/// Longest DNS name (RFC 1035, §2.3.4).
const MAX_HOST: usize = 253;

/// The meaning of one of a few words; anything else is an error.
pub(super) fn parse_word<T: Copy>(
    field: &Field<'_>,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = field.text(Severity::Error, problems)?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("\"{text}\" is unknown; write {}", list(&known));
        problems.add(Severity::Error, field, message);
    }
    found.map(|(_, meaning)| *meaning)
}

/// `A, B or C`.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The port of `port`, which has to be there.
pub(super) fn parse_port(fields: &Fields<'_>, problems: &mut Problems) -> Option<u16> {
    let Some(field) = fields.get("port") else {
        let message = "is missing; write the port to listen on, such as 8443";
        problems.add_at(Severity::Error, "port", fields.location, message);
        return None;
    };
    let number = field.int(Severity::Error, problems)?;
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    if port.is_none() {
        let message = format!("{number} is not a port; write a number from 1 to 65535");
        problems.add(Severity::Error, &field, message);
    }
    port
}

/// `matchLabels` of a selector. Of what else may stand in one, nothing has a meaning here.
///
/// Empty where there is none, and where it can't be read; that is told as an error then, because
/// an empty selector takes everything.
pub(super) fn parse_selector(
    field: &Field<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    if !field.is_map(Severity::Error, problems) {
        return BTreeMap::new();
    }
    SELECTOR.tell_within(field, problems);
    if let Some(other) = field.child("matchExpressions").filter(|it| !it.node.is_neutral()) {
        let message = "counts for nothing, as in Emissary; write matchLabels";
        problems.add(Severity::Warning, &other, message);
    }
    let Some(labels) = field.child("matchLabels") else { return BTreeMap::new() };
    let mut selector = BTreeMap::new();
    for (name, label) in labels.entries(Severity::Error, problems) {
        // Labels are text, but YAML reads `true` as a boolean and people mean the word.
        let Some(value) = label.node.as_text() else {
            let message = format!("expected text, found {}", label.node.describe());
            problems.add(Severity::Error, &label, message);
            continue;
        };
        selector.insert(name.to_owned(), value.to_owned());
    }
    selector
}

/// A host name, or one with a star at its start or its end, in lower case.
pub(super) fn parse_host_glob(
    field: &Field<'_>,
    text: &str,
    problems: &mut Problems,
) -> Option<HostMatch> {
    let lower = text.to_lowercase();
    let (host, literal) = if lower == "*" {
        return Some(HostMatch::Any);
    } else if let Some(suffix) = lower.strip_prefix('*') {
        (HostMatch::Suffix(suffix.into()), suffix)
    } else if let Some(prefix) = lower.strip_suffix('*') {
        (HostMatch::Prefix(prefix.into()), prefix)
    } else {
        (HostMatch::Exact(lower.as_str().into()), lower.as_str())
    };
    if let Some(message) = why_no_host(literal) {
        problems.add(Severity::Error, field, format!("\"{text}\" {message}"));
        return None;
    }
    Some(host)
}

/// What is wrong with the part of a host that is not a star.
fn why_no_host(literal: &str) -> Option<&'static str> {
    if literal.contains('*') {
        return Some("has a star in it; only one, at the start or the end, stands for anything");
    }
    if literal.contains("://") || literal.contains('/') {
        return Some("is an address; write the host alone, such as www.example.com");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if literal.is_empty() || literal.len() > MAX_HOST || !literal.bytes().all(allowed) {
        return Some(
            "is not a host name; write letters, digits, hyphens and dots, and other alphabets in \
             their xn-- form",
        );
    }
    None
}

/// What to write instead of a word that is none of these.
pub(super) fn instead_of(text: &str, known: &[&str]) -> String {
    match closest(text, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("write one of {}", known.join(", ")),
    }
}
