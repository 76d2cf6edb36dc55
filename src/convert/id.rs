//! `ambassador_id`: a text or a list in v2, a list in v3alpha1.

use serde_json::{Value, json};

use super::Fields;

/// Begins each id in the v2 form of what was written as v3alpha1, so that an Ambassador that knows
/// v2 only takes none of it for its own: it would not understand all of it. Emissary's.
pub const GUARD: &str = "--apiVersion-v3alpha1-only--";

const ID: &str = "ambassador_id";
/// Host's other spelling of it.
const CAMEL_ID: &str = "ambassadorId";
/// The id of objects that name none.
const DEFAULT: &str = "default";

pub(super) fn up(kind: &str, spec: &mut Fields) {
    let own = spec.remove(ID);
    let camel = if kind == "Host" { spec.remove(CAMEL_ID) } else { None };
    let ids = match (own, camel) {
        (Some(own), None) | (None, Some(own)) => as_list(own),
        (Some(own), Some(camel)) => match (as_list(own), as_list(camel)) {
            (Some(Value::Array(mut own)), Some(Value::Array(camel))) => {
                own.extend(camel);
                Some(Value::Array(own))
            }
            (own, camel) => own.or(camel),
        },
        (None, None) => None,
    };
    if let Some(mut ids) = ids {
        each_text(&mut ids, |id| id.strip_prefix(GUARD).unwrap_or(id).to_owned());
        spec.insert(ID.into(), ids);
    }
}

pub(super) fn down(spec: &mut Fields) {
    let written = spec.remove(ID).and_then(as_list);
    let mut ids = match written {
        Some(Value::Array(ids)) if ids.is_empty() => json!([DEFAULT]),
        Some(ids) => ids,
        None => json!([DEFAULT]),
    };
    each_text(&mut ids, |id| format!("{GUARD}{}", id.strip_prefix(GUARD).unwrap_or(id)));
    spec.insert(ID.into(), ids);
}

/// A list of the one; `None` for what names nobody.
fn as_list(ids: Value) -> Option<Value> {
    match ids {
        Value::Null => None,
        Value::String(id) if id.is_empty() => None,
        Value::String(id) => Some(json!([id])),
        other => Some(other),
    }
}

fn each_text(ids: &mut Value, change: impl Fn(&str) -> String) {
    for id in ids.as_array_mut().into_iter().flatten() {
        if let Value::String(text) = id {
            *text = change(text);
        }
    }
}
