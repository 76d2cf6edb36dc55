//! A tree of values with locations, the same for YAML and JSON.
//!
//! Scalars keep the text that was written: what it means (a boolean, a number, text) is decided
//! by the field that reads it, as YAML 1.1 readers with a schema do.

use crate::model::object::Location;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct Node {
    /// The value.
    pub(in crate::source) value: Value,
    /// Where it begins, for values that were read from text.
    pub(in crate::source) location: Option<Location>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) enum Value {
    /// A scalar as it was written, escapes resolved.
    Scalar { text: String, style: Style },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; of entries with the same key the last counts.
    Map(Vec<Entry>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Style {
    /// Without quotes: it may be null, a boolean or a number. JSON's are of this style.
    Plain,
    /// In quotes or folded: it is text.
    Text,
    /// A literal block (`|`), whose lines are lines of the text around it.
    Literal,
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct Entry {
    /// The key.
    pub(in crate::source) key: String,
    /// Where the key begins.
    pub(in crate::source) location: Option<Location>,
    /// The value.
    pub(in crate::source) value: Node,
}

impl Node {
    /// A tree without locations.
    pub(in crate::source) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let plain = |text: String| Value::Scalar { text, style: Style::Plain };
        let value = match json {
            Json::Null => plain("null".into()),
            Json::Bool(flag) => plain(flag.to_string()),
            Json::Number(number) => plain(number.to_string()),
            Json::String(text) => Value::Scalar { text: text.clone(), style: Style::Text },
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        location: None,
                        value: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self { value, location: None }
    }

    /// The tree as JSON, with YAML 1.1's booleans and plain decimal numbers.
    pub(in crate::source) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
            Value::Scalar { .. } if self.is_null() => Json::Null,
            Value::Scalar { text, .. } => {
                if let Some(flag) = self.as_bool() {
                    Json::Bool(flag)
                } else if let Some(number) = self.as_int() {
                    Json::from(number)
                } else if let Some(number) = self.as_number() {
                    Json::from(number)
                } else {
                    Json::String(text.clone())
                }
            }
        }
    }

    /// Whether it is YAML's null.
    pub(in crate::source) fn is_null(&self) -> bool {
        self.plain().is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it says nothing: null, false, or empty.
    pub(in crate::source) fn is_neutral(&self) -> bool {
        match &self.value {
            Value::Scalar { text, .. } => {
                text.is_empty() || self.is_null() || self.as_bool() == Some(false)
            }
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// A boolean as YAML 1.1's readers (PyYAML, Go) know it: a bare `y` or `n` isn't one.
    pub(in crate::source) fn as_bool(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    /// A whole number in decimal notation. A leading zero would be octal in YAML 1.1 and decimal
    /// in 1.2, so it is neither here.
    pub(in crate::source) fn as_int(&self) -> Option<i64> {
        let text = self.plain()?;
        let digits = text.trim_start_matches(['+', '-']);
        if digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e', 'E']) {
            return None;
        }
        text.parse().ok().or_else(|| {
            let number = self.as_number()?;
            // 2^53: beyond it a float no longer tells neighbours apart.
            let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range, see above")]
            exact.then_some(number as i64)
        })
    }

    /// The text of a scalar, whatever its style.
    pub(in crate::source) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a mapping.
    pub(in crate::source) fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// The value of a key that isn't null.
    pub(in crate::source) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.as_map()?.iter().rev().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// What it is, for messages.
    pub(in crate::source) fn describe(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } if self.as_bool().is_some() => "a boolean",
            Value::Scalar { .. } if self.as_number().is_some() => "a number",
            Value::Scalar { .. } => "text",
        }
    }

    fn as_number(&self) -> Option<f64> {
        let text = self.plain()?;
        // Rust also reads `inf` and `nan`, which are words in YAML.
        let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && !text.contains(|c: char| c.is_ascii_alphabetic() && !"eE".contains(c));
        numeric.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
    }

    fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, style: Style::Plain } => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Node {
        let value = Value::Scalar { text: text.into(), style: Style::Plain };
        Node { value, location: None }
    }

    #[test]
    fn booleans_are_yaml_1_1() {
        // What PyYAML and Go's yaml.v2 agree on.
        for (text, expected) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("TRUE", Some(true)),
            ("tRue", None),
            ("yes", Some(true)),
            ("Yes", Some(true)),
            ("YES", Some(true)),
            ("on", Some(true)),
            ("On", Some(true)),
            ("ON", Some(true)),
            ("false", Some(false)),
            ("no", Some(false)),
            ("No", Some(false)),
            ("off", Some(false)),
            ("OFF", Some(false)),
            ("y", None),
            ("n", None),
            ("Y", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(plain(text).as_bool(), expected, "{text}");
            let quoted = Value::Scalar { text: text.into(), style: Style::Text };
            assert_eq!(Node { value: quoted, location: None }.as_bool(), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for (text, expected) in [
            ("3000", Some(3000)),
            ("-1", Some(-1)),
            ("0", Some(0)),
            ("1e3", Some(1000)),
            ("10.0", Some(10)),
            ("10.5", None),
            ("010", None),
            ("0x10", None),
            ("1_000", None),
            ("inf", None),
            ("ten", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(plain(text).as_int(), expected, "{text}");
        }
    }

    #[test]
    fn json_goes_there_and_back() {
        let json = serde_json::json!({
            "a": null, "b": true, "c": 7, "d": 1.5, "e": "yes", "f": "7", "g": [1, "x"], "h": {}
        });
        assert_eq!(Node::from_json(&json).to_json(), json);
        assert_eq!(plain("yes").to_json(), serde_json::json!(true));
        assert_eq!(plain(".inf").to_json(), serde_json::json!(".inf"));
    }
}
