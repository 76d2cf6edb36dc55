//! JSON of a bounded depth. Some fields take what anybody likes to write, and the API server stores
//! it up to ten thousand levels deep. A reader that gave up there would lose the list that the
//! object is in, and with it the objects of everybody else.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Levels of an object that are read. Ours have a dozen; what an object is wrapped in has to fit
/// with it into the 128 of `serde_json`.
pub(crate) const LEVELS: usize = 100;

/// Reads a value; what lies deeper than [`LEVELS`] is null. Says too whether there was any.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Value, bool), D::Error> {
    read_place(deserializer, Place::Any)
}

/// The same of an object, without the `managedFields` of its metadata: they are most of what the
/// API server sends of an object with a status, and nobody reads them.
///
/// # Errors
/// If it is no JSON.
pub(super) fn read_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Value, bool), D::Error> {
    read_place(deserializer, Place::Object)
}

fn read_place<'de, D: Deserializer<'de>>(
    deserializer: D,
    place: Place,
) -> Result<(Value, bool), D::Error> {
    let is_cut = Cell::new(false);
    let value = Level { left: LEVELS, is_cut: &is_cut, place }.deserialize(deserializer)?;
    Ok((value, is_cut.get()))
}

/// Whether a value has something at that level: 1 is what stands in it.
pub(super) fn reaches(value: &Value, level: usize) -> bool {
    let deeper = |value: &Value| level <= 1 || reaches(value, level - 1);
    match value {
        Value::Array(items) => items.iter().any(deeper),
        Value::Object(fields) => fields.values().any(deeper),
        _ => false,
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is an object of Kubernetes'.
    Object,
    /// It is the metadata of one.
    Metadata,
    /// Anywhere else.
    Any,
}

/// A value with so many levels below it.
#[derive(Clone, Copy)]
struct Level<'a> {
    left: usize,
    is_cut: &'a Cell<bool>,
    place: Place,
}

impl Level<'_> {
    fn below(self, place: Place) -> Self {
        Self { left: self.left.saturating_sub(1), place, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.left > 0 {
            return deserializer.deserialize_any(self);
        }
        // Skipping takes no stack, however deep it goes.
        deserializer.deserialize_ignored_any(IgnoredAny)?;
        self.is_cut.set(true);
        Ok(Value::Null)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below(Place::Any))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let place = match (self.place, &*name) {
                (Place::Object, "metadata") => Place::Metadata,
                (Place::Metadata, "managedFields") => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => Place::Any,
            };
            map.insert(name, fields.next_value_seed(self.below(place))?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}7{}", "[".repeat(levels), "]".repeat(levels))
    }

    fn read_text(text: &str) -> (Value, bool) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = read(&mut deserializer).unwrap();
        deserializer.end().unwrap();
        read
    }

    #[test]
    fn what_is_not_too_deep_is_read_as_it_is() {
        let value = json!({
            "a": [1, -1, 1.5, u64::MAX, true, null, "text \u{1f600} \n"], "b": {}, "c": [[], {"d": 1}],
        });
        assert_eq!(read_text(&value.to_string()), (value, false));
        let deepest = nested(LEVELS - 1);
        assert_eq!(read_text(&deepest), (serde_json::from_str(&deepest).unwrap(), false));
    }

    #[test]
    fn what_is_deeper_is_skipped_and_told() {
        for levels in [LEVELS, 129, 10_000] {
            let (value, is_cut) = read_text(&nested(levels));
            assert!(is_cut && reaches(&value, LEVELS) && !reaches(&value, LEVELS + 1), "{levels}");
        }
        let text = format!("{{\"a\": {}, \"b\": 1}}", nested(10_000));
        assert_eq!(read_text(&text).0["b"], 1, "what stands beside it is read");
    }

    #[test]
    fn only_the_metadata_of_an_object_is_pruned() {
        let text = json!({
            "metadata": {"name": "a", "managedFields": [{"manager": "b"}], "labels": {"c": "d"}},
            "spec": {"managedFields": 1, "metadata": {"managedFields": 2}},
        });
        let text = text.to_string();
        let (value, _) = read_object(&mut serde_json::Deserializer::from_str(&text)).unwrap();
        let pruned = json!({
            "metadata": {"name": "a", "labels": {"c": "d"}},
            "spec": {"managedFields": 1, "metadata": {"managedFields": 2}},
        });
        assert_eq!(value, pruned);
        assert_ne!(read_text(&text).0, pruned, "and only where that is asked for");
    }

    #[test]
    fn levels_are_counted() {
        let value = json!({"a": [{"b": 1}]});
        assert!(reaches(&value, 3) && !reaches(&value, 4));
        assert!(!reaches(&json!(1), 1) && !reaches(&json!({}), 1));
    }
}
