//! From v1 and v2 to v3alpha1.

use serde_json::{Value, json};

use super::kinds::ConvertedKind;
use super::{Fields, headers, host, id, labels, tls};

/// The spec in v3alpha1's words.
pub(super) fn spec(kind: &ConvertedKind, mut spec: Fields) -> Fields {
    id::up(kind.name, &mut spec);
    for (legacy, current) in kind.renamed {
        rename(&mut spec, legacy, current);
    }
    for path in kind.lists {
        at(&mut spec, path, |parent, name| {
            if let Some(text @ Value::String(_)) = parent.get(name) {
                let list = json!([text]);
                parent.insert(name.to_owned(), list);
            }
        });
    }
    if let Some(field) = kind.tls {
        tls::up(field, &mut spec);
    }
    match kind.name {
        "Mapping" => {
            host::up(&mut spec);
            headers::up(&mut spec);
            labels::up(&mut spec);
            origins(&mut spec);
        }
        "TracingService" => tags(&mut spec),
        _ => {}
    }
    spec
}

/// Moves a field to another name beside it, unless that is taken.
pub(super) fn rename(spec: &mut Fields, from: &str, to: &str) {
    let to = to.rsplit('.').next().unwrap_or(to);
    at(spec, from, |parent, from| {
        if !parent.contains_key(to)
            && let Some(value) = parent.remove(from)
        {
            parent.insert(to.to_owned(), value);
        }
    });
}

/// Calls with the map that holds the last part of a path, if there is one.
fn at(spec: &mut Fields, path: &str, change: impl FnOnce(&mut Fields, &str)) {
    match path.split_once('.') {
        None => change(spec, path),
        Some((first, rest)) => {
            if let Some(Value::Object(inner)) = spec.get_mut(first) {
                at(inner, rest, change);
            }
        }
    }
}

/// `a, b` is a list of two.
fn origins(spec: &mut Fields) {
    let Some(Value::Object(cors)) = spec.get_mut("cors") else { return };
    let Some(Value::String(text)) = cors.get("origins") else { return };
    let list: Vec<&str> = text.split(',').map(str::trim).collect();
    let list = json!(list);
    cors.insert("origins".into(), list);
    cors.insert("v2CommaSeparatedOrigins".into(), json!(true));
}

/// `tag_headers` counts for nothing beside the tags that have a form of their own.
fn tags(spec: &mut Fields) {
    let Some(Value::Array(_)) = spec.get("tag_headers") else { return };
    let Some(Value::Array(headers)) = spec.remove("tag_headers") else { return };
    if !spec.contains_key("custom_tags") {
        let tag = |name: &Value| json!({"tag": name, "request_header": {"name": name}});
        spec.insert("custom_tags".into(), headers.iter().map(tag).collect());
    }
}
