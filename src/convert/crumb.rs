//! What one form has no words for, kept in an annotation: the fields of the spec that must be put
//! or left out for the object to be what it was.
//!
//! A crumb is believed only as far as the object with it still says the same. So it may grow stale
//! when somebody edits the other form, and be forged, without changing what an object means.

use serde_json::{Map, Value, json};

use super::Fields;

/// On v3alpha1 objects: how v1 and v2 say it.
pub const LEGACY_FORM: &str = "nuncio.dev/v2-form";
/// On v1 and v2 objects: how v3alpha1 says it.
pub const V3ALPHA1_FORM: &str = "nuncio.dev/v3alpha1-form";

/// Annotations of an object have 256 KiB together, and users have theirs.
const LIMIT: usize = 64 * 1024;
/// The API server refuses an object whose annotations have more, names and texts counted, and with
/// it the list that it is in.
const ALL_ANNOTATIONS: usize = 256 * 1024;
/// Specs have fewer fields. Whoever writes more wants to keep us busy.
const FIELDS: usize = 128;
/// So many fields are tried one by one, where they don't count together.
const TRIED: usize = 24;

/// Fields to change in a spec: a value to put, or `None` to leave the field out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crumb(Vec<(String, Option<Value>)>);

impl Crumb {
    /// What leads from one spec to the other.
    fn between(from: &Fields, to: &Fields) -> Self {
        let put = to.iter().filter(|(name, value)| from.get(*name) != Some(value));
        let put = put.map(|(name, value)| (name.clone(), Some(value.clone())));
        let left_out = from.keys().filter(|name| !to.contains_key(*name));
        Self(put.chain(left_out.map(|name| (name.clone(), None))).collect())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut crumb: Map<String, Value> = serde_json::from_str(text).ok()?;
        let mut fields = Vec::new();
        if let Some(Value::Object(put)) = crumb.remove("set") {
            fields.extend(put.into_iter().map(|(name, value)| (name, Some(value))));
        }
        if let Some(Value::Array(names)) = crumb.remove("unset") {
            let names =
                names.into_iter().filter_map(|name| Some((name.as_str()?.to_owned(), None)));
            fields.extend(names);
        }
        (fields.len() <= FIELDS).then_some(Self(fields))
    }

    fn text(&self) -> String {
        let put = self.0.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let put: Map<String, Value> =
            put.map(|(name, value)| (name.clone(), value.clone())).collect();
        let unset: Vec<&String> =
            self.0.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        let mut crumb = Map::new();
        if !put.is_empty() {
            crumb.insert("set".into(), Value::Object(put));
        }
        if !unset.is_empty() {
            crumb.insert("unset".into(), json!(unset));
        }
        Value::Object(crumb).to_string()
    }

    /// The spec with all of it, where that still says the same; else with each field for which
    /// that holds.
    pub(super) fn apply(self, plain: Fields, says_the_same: impl Fn(&Fields) -> bool) -> Fields {
        let with = |mut spec: Fields, fields: &[(String, Option<Value>)]| {
            for (name, value) in fields {
                match value {
                    Some(value) => spec.insert(name.clone(), value.clone()),
                    None => spec.remove(name),
                };
            }
            spec
        };
        let whole = with(plain.clone(), &self.0);
        if says_the_same(&whole) {
            return whole;
        }
        let changes = |(name, value): &&(String, Option<Value>)| plain.get(name) != value.as_ref();
        let tried: Vec<_> = self.0.iter().filter(changes).take(TRIED).cloned().collect();
        tried.chunks(1).fold(plain, |spec, field| {
            let candidate = with(spec.clone(), field);
            if says_the_same(&candidate) { candidate } else { spec }
        })
    }
}

/// Takes an object's crumb of that name off it.
pub(super) fn take(object: &mut Fields, name: &str) -> Option<Crumb> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let text = annotations.remove(name)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    // An annotation that is longer than what we write isn't ours.
    Crumb::parse(text.as_str().filter(|text| text.len() <= LIMIT)?)
}

/// Leaves a crumb on an object: what leads from what conversion gives back to what it was. One
/// that is too long for an annotation, or for all of them together, is left out, and with it
/// nothing but the way it was written.
pub(super) fn leave(object: &mut Fields, name: &str, returned: &Fields, was: &Fields) {
    let text = Crumb::between(returned, was).text();
    if text.len() > LIMIT {
        return;
    }
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        let others = annotations.iter().map(|(name, text)| name.len() + length(text));
        if others.sum::<usize>() + name.len() + text.len() <= ALL_ANNOTATIONS {
            annotations.insert(name.to_owned(), Value::String(text));
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

fn length(text: &Value) -> usize {
    text.as_str().map_or(0, str::len)
}
