//! Headers and query parameters that are there or not, and headers to add.
//!
//! v2 asks with `true` for presence, and v3alpha1 with the expression `.*`; `v2BoolHeaders` is
//! Emissary's crumb. v2 may write a header to add as its value alone.

use serde_json::{Value, json};

use super::Fields;

/// Matches every value.
const ANY: &str = ".*";

/// A map of conditions: its field, the field of its expressions, and the crumb.
struct Conditions {
    exact: &'static str,
    regex: &'static str,
    bools: &'static str,
}

const CONDITIONS: [Conditions; 2] = [
    Conditions { exact: "headers", regex: "regex_headers", bools: "v2BoolHeaders" },
    Conditions {
        exact: "query_parameters",
        regex: "regex_query_parameters",
        bools: "v2BoolQueryParameters",
    },
];

const ADDED: [&str; 2] = ["add_request_headers", "add_response_headers"];
const REPRESENTATION: &str = "v2Representation";

pub(super) fn up(spec: &mut Fields) {
    for conditions in &CONDITIONS {
        conditions.up(spec);
    }
    each_added(spec, |header| match header {
        Value::String(_) => *header = json!({"value": header, REPRESENTATION: "string"}),
        Value::Null => *header = json!({REPRESENTATION: "null"}),
        _ => {}
    });
}

pub(super) fn down(spec: &mut Fields) {
    for conditions in &CONDITIONS {
        conditions.down(spec);
    }
    each_added(spec, |header| {
        let Value::Object(fields) = header else { return };
        let representation = fields.remove(REPRESENTATION);
        let only_value = fields.keys().all(|name| name == "value");
        match representation.as_ref().and_then(Value::as_str) {
            Some("string") if only_value && fields.get("value").is_some_and(Value::is_string) => {
                *header = fields.remove("value").unwrap_or_default();
            }
            Some("null") if fields.is_empty() => *header = Value::Null,
            _ => {}
        }
    });
}

impl Conditions {
    fn up(&self, spec: &mut Fields) {
        let Some(Value::Object(exact)) = spec.get_mut(self.exact) else { return };
        let bools: Vec<(String, bool)> = exact
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_bool()?)))
            .collect();
        if bools.is_empty() {
            return;
        }
        exact.retain(|_, value| !value.is_boolean());
        if exact.is_empty() {
            spec.remove(self.exact);
        }
        // `false` is no condition.
        let present: Vec<String> =
            bools.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
        if present.is_empty() {
            return;
        }
        let regexes = spec.entry(self.regex).or_insert_with(|| json!({}));
        if let Some(regexes) = regexes.as_object_mut() {
            for name in &present {
                // An expression asks for presence too.
                regexes.entry(name.clone()).or_insert_with(|| json!(ANY));
            }
        }
        spec.insert(self.bools.into(), json!(present));
    }

    fn down(&self, spec: &mut Fields) {
        let Some(Value::Array(names)) = spec.remove(self.bools) else { return };
        for name in names.iter().filter_map(Value::as_str) {
            let regex = spec.get(self.regex).and_then(|regexes| regexes.get(name)).cloned();
            let Some(regex) = regex else { continue };
            let exact = spec.entry(self.exact).or_insert_with(|| json!({}));
            let Some(exact) = exact.as_object_mut() else { continue };
            if exact.contains_key(name) {
                continue;
            }
            exact.insert(name.to_owned(), json!(true));
            let regexes = spec.get_mut(self.regex).and_then(Value::as_object_mut);
            if let (Some(regexes), true) = (regexes, regex == ANY) {
                regexes.remove(name);
                if regexes.is_empty() {
                    spec.remove(self.regex);
                }
            }
        }
    }
}

fn each_added(spec: &mut Fields, change: impl Fn(&mut Value)) {
    for name in ADDED {
        if let Some(Value::Object(headers)) = spec.get_mut(name) {
            headers.values_mut().for_each(&change);
        }
    }
}
