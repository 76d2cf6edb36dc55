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
    if let Some(field) = kind.tls {
        lift_tls(field, spec);
    }
}

/// What conversion from v3alpha1 put before each id says nothing to us; Host has two spellings.
fn lift_ids(kind: &ConvertedKind, spec: &mut [Entry]) {
    let has_id = spec.iter().any(|entry| entry.key == "ambassador_id");
    for entry in spec {
        if kind.name == "Host" && entry.key == "ambassadorId" && !has_id {
            "ambassador_id".clone_into(&mut entry.key);
        }
        if entry.key == "ambassador_id" {
            unguard(&mut entry.value);
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

/// `tls: true` is a scheme, and `false` is nothing; a name stays.
fn lift_tls(field: TlsField, spec: &mut Vec<Entry>) {
    let last = |spec: &[Entry], name: &str| spec.iter().rposition(|entry| entry.key == name);
    let tls = last(spec, "tls").map(|index| &spec[index].value);
    let wants_tls = tls.and_then(Node::as_bool);
    let says_nothing = tls.is_none_or(|node| {
        let is_empty = matches!(&node.value, Value::Scalar { text, style } if text.is_empty() && *style != Style::Plain);
        is_empty || node.is_null() || wants_tls.is_some()
    });
    if !says_nothing {
        return;
    }
    spec.retain(|entry| entry.key != "tls");
    let Some(index) = last(spec, field.name()) else { return };
    let Value::Scalar { text, .. } = &mut spec[index].value.value else { return };
    let begins = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let (https, http) = (begins(HTTPS), begins(HTTP));
    let scheme = [(https, HTTPS), (http, HTTP)].iter().find(|(has, _)| *has).map_or("", |it| it.1);
    let is_tcp = matches!(field, TlsField::Tcp(_));
    if wants_tls == Some(true) && (is_tcp || !https) {
        *text = format!("{HTTPS}{}", &text[scheme.len()..]);
    } else if is_tcp {
        text.drain(..scheme.len());
    }
}
