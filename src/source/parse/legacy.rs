//! Older versions of the API, as far as they only write the same thing otherwise: their fields get
//! v3alpha1's names and values here, so that the parsers know one form. Every entry keeps its
//! place in the text.
//!
//! `convert` does the same between objects of the API. It is not asked here, because problems
//! have to name the line that the author wrote; a property test holds the two together. What
//! means something else in v2 (a missing host, a boolean header) stands where it is read.

use super::node::{Entry, Node, Style, Value};
use crate::convert::{ConvertedKind, GUARD, TlsField, of_kind};

const HTTPS: &str = "https://";
const HTTP: &str = "http://";

/// Rewrites the spec of a v0, v1 or v2 object of a kind.
pub(super) fn lift(kind: &str, spec: &mut Vec<Entry>) {
    let Some(kind) = of_kind(kind) else { return };
    lift_ids(kind, spec);
    for (legacy, current) in kind.renamed {
        let current = current.rsplit('.').next().unwrap_or(current);
        rename(spec, legacy, current);
    }
    match kind.tls {
        Some(TlsField::Http(service)) => lift_tls(service, spec),
        Some(TlsField::Tcp(service)) => {
            strip_scheme(service, spec);
            lift_tls(service, spec);
        }
        None => {}
    }
}

/// What conversion from v3alpha1 put before each id says nothing to us; Host has two spellings,
/// which count together.
fn lift_ids(kind: &ConvertedKind, spec: &mut Vec<Entry>) {
    if kind.name == "Host" {
        join_ids(spec);
    }
    for entry in spec.iter_mut().filter(|entry| entry.key == "ambassador_id") {
        unguard(&mut entry.value);
    }
}

fn join_ids(spec: &mut Vec<Entry>) {
    let Some(index) = spec.iter().rposition(|entry| entry.key == "ambassadorId") else { return };
    let Some(own) = spec.iter().rposition(|entry| entry.key == "ambassador_id") else {
        "ambassador_id".clone_into(&mut spec[index].key);
        return;
    };
    let other = spec[index].value.clone();
    let own = &mut spec[own].value;
    let mut ids = as_list(std::mem::replace(&mut own.value, Value::List(Vec::new())));
    ids.extend(as_list(other.value));
    own.value = Value::List(ids);
    spec.retain(|entry| entry.key != "ambassadorId");
}

/// The items of a list, or a list of the one; nothing where it says nothing.
fn as_list(value: Value) -> Vec<Node> {
    match value {
        Value::List(items) => items,
        other => {
            let node = Node { value: other, location: None };
            let is_empty = node.is_null() || node.as_text() == Some("");
            if is_empty { Vec::new() } else { vec![node] }
        }
    }
}

fn unguard(node: &mut Node) {
    match &mut node.value {
        Value::Scalar { text, .. } => {
            if let Some(id) = text.strip_prefix(GUARD) {
                *text = id.to_owned();
            }
        }
        Value::List(items) => items.iter_mut().for_each(unguard),
        Value::Map(_) => {}
    }
}

fn rename(entries: &mut [Entry], path: &str, to: &str) {
    match path.split_once('.') {
        Some((first, rest)) => {
            for entry in entries.iter_mut().filter(|entry| entry.key == first) {
                if let Value::Map(inner) = &mut entry.value.value {
                    rename(inner, rest, to);
                }
            }
        }
        None if entries.iter().any(|entry| entry.key == to) => {}
        None => {
            for entry in entries.iter_mut().filter(|entry| entry.key == path) {
                to.clone_into(&mut entry.key);
            }
        }
    }
}

/// Takes a scheme off, which has no meaning for TCP in older versions.
fn strip_scheme(service: &str, spec: &mut [Entry]) {
    for entry in spec.iter_mut().filter(|entry| entry.key == service) {
        let Value::Scalar { text, .. } = &mut entry.value.value else { continue };
        for scheme in [HTTPS, HTTP] {
            if text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
                *text = text.split_off(scheme.len());
            }
        }
    }
}

/// `tls: true` is a scheme, and `false` is nothing; a name stays.
fn lift_tls(service: &str, spec: &mut Vec<Entry>) {
    let last = |spec: &[Entry], name: &str| spec.iter().rposition(|entry| entry.key == name);
    let Some(tls) = last(spec, "tls").map(|index| &spec[index].value) else { return };
    let wants_tls = tls.as_bool();
    let is_empty = matches!(&tls.value, Value::Scalar { text, style } if text.is_empty() && *style != Style::Plain);
    if wants_tls.is_none() && !is_empty && !tls.is_null() {
        return;
    }
    spec.retain(|entry| entry.key != "tls");
    let Some(index) = last(spec, service).filter(|_| wants_tls == Some(true)) else { return };
    let Value::Scalar { text, .. } = &mut spec[index].value.value else { return };
    let begins = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if !begins(HTTPS) {
        let rest = if begins(HTTP) { &text[HTTP.len()..] } else { text.as_str() };
        *text = format!("{HTTPS}{rest}");
    }
}
