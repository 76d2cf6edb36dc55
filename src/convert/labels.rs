//! Labels for rate limits: v2 tells them apart by their shape, v3alpha1 by name.

use serde_json::{Value, json};

use super::Fields;

/// Labels that v2 writes as a word.
const WORDS: [&str; 3] = ["source_cluster", "destination_cluster", "remote_address"];
const GENERIC: &str = "generic_key";
const HEADERS: &str = "request_headers";

pub(super) fn up(spec: &mut Fields) {
    each(spec, |label| {
        if let Some(turned) = label_up(label) {
            *label = turned;
        }
    });
}

pub(super) fn down(spec: &mut Fields) {
    each(spec, |label| {
        if let Some(turned) = label_down(label) {
            *label = turned;
        }
    });
}

/// `None` for what isn't one of v2's shapes.
fn label_up(label: &Value) -> Option<Value> {
    let fields = match label {
        Value::String(word) if WORDS.contains(&word.as_str()) => {
            return Some(json!({word: {"key": word}}));
        }
        Value::String(word) => {
            return Some(json!({GENERIC: {"value": word, "v2Shorthand": true}}));
        }
        Value::Object(fields) => fields,
        _ => return None,
    };
    if let Some(value @ Value::String(_)) = fields.get(GENERIC) {
        let mut turned = Fields::from_iter([("value".to_owned(), value.clone())]);
        if let Some(key) = fields.get("v3Key") {
            turned.insert("key".into(), key.clone());
        }
        return is_only(fields, &[GENERIC, "v3Key"]).then(|| json!({GENERIC: turned}));
    }
    let (key, header) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let header = header.as_object().filter(|it| is_only(it, &["header", "omit_if_not_present"]))?;
    let mut turned = Fields::from_iter([("key".to_owned(), json!(key))]);
    turned.insert("header_name".into(), header.get("header")?.clone());
    if let Some(omit) = header.get("omit_if_not_present") {
        turned.insert("omit_if_not_present".into(), omit.clone());
    }
    Some(json!({HEADERS: turned}))
}

/// `None` for what v2 has no shape for.
fn label_down(label: &Value) -> Option<Value> {
    let fields = label.as_object().filter(|fields| fields.len() == 1)?;
    let (name, inner) = fields.iter().next()?;
    let inner = inner.as_object()?;
    match name.as_str() {
        word if WORDS.contains(&word) => {
            let is_plain = inner.len() == 1 && inner.get("key")? == word;
            is_plain.then(|| json!(word))
        }
        HEADERS if is_only(inner, &["key", "header_name", "omit_if_not_present"]) => {
            let mut header =
                Fields::from_iter([("header".to_owned(), inner.get("header_name")?.clone())]);
            if let Some(omit) = inner.get("omit_if_not_present") {
                header.insert("omit_if_not_present".into(), omit.clone());
            }
            Some(json!({inner.get("key")?.as_str()?: header}))
        }
        GENERIC if is_only(inner, &["key", "value", "v2Shorthand"]) => {
            let value = inner.get("value")?.as_str()?;
            let is_short = inner.get("v2Shorthand") == Some(&Value::Bool(true));
            Some(match inner.get("key") {
                None if is_short && !WORDS.contains(&value) => json!(value),
                None => json!({GENERIC: value}),
                Some(key) => json!({GENERIC: value, "v3Key": key}),
            })
        }
        _ => None,
    }
}

fn is_only(fields: &Fields, names: &[&str]) -> bool {
    fields.keys().all(|name| names.contains(&name.as_str()))
}

/// Every label: by domain a list of groups, each a map of lists.
fn each(spec: &mut Fields, change: impl Fn(&mut Value)) {
    let Some(Value::Object(domains)) = spec.get_mut("labels") else { return };
    let groups = domains.values_mut().filter_map(Value::as_array_mut).flatten();
    let lists = groups.filter_map(Value::as_object_mut).flat_map(|group| group.values_mut());
    lists.filter_map(Value::as_array_mut).flatten().for_each(change);
}
