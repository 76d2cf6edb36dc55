//! docs/compatibility.md: every field that Emissary has, and what it means here. Nobody can forget
//! one: the fields are those of the definitions, whether one has an effect is asked of the parser,
//! and one that has needs a golden case that uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use nuncio::model::object::Severity;
use nuncio::source::parse::{Effect, module_keys};
use serde::Deserialize;
use serde_json::Value;

use crate::fields::{self, Definition};
use crate::{assert_generated, project};

const PATH: &str = "docs/compatibility.md";

const HEAD: &str = "\
# Compatibility, field by field

<!-- Generated from the definitions, the parser, tests/golden and tests/docs/compatibility.yaml by
`make docs`. -->

Every field of Emissary's kinds that Nuncio reads. **same**: it means what it means in Emissary 4.
**better**: it does, and what is different is said beside it. **no effect**: it is read, named in the
object's status and passed over, for the reason beside it. Where Nuncio as a whole differs is told in
[differences](differences.md). The last column names the golden cases (tests/golden) that use the
field.
";

const TABLE: &str = "| field | | | cases |\n| --- | --- | --- | --- |\n";

/// What is to be said of a field beside what the code knows.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Notes {
    /// What is better, by kind and field.
    better: BTreeMap<String, BTreeMap<String, String>>,
    /// Why a field has no effect, by kind and field.
    no_effect: BTreeMap<String, BTreeMap<String, String>>,
}

#[test]
fn every_field_has_its_row() {
    let notes = fs::read_to_string(project("tests/docs/compatibility.yaml")).unwrap();
    let notes: Notes = serde_saphyr::from_str(&notes).unwrap();
    let cases = used_fields();
    let mut text = HEAD.to_owned();
    let mut complaints = Vec::new();
    for definition in fields::definitions() {
        let kind = &definition.kind;
        if kind == "Module" {
            let _ = write!(
                text,
                "\n## Module `ambassador`\n\n{TABLE}{}",
                module_rows(&cases, &mut complaints)
            );
            continue;
        }
        let rows = rows(&definition, &notes, &cases, &mut complaints);
        let _ = write!(text, "\n## {kind}\n\n{TABLE}{rows}");
    }
    complaints.extend(notes.unknown());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert_generated(PATH, &text);
}

fn rows(
    definition: &Definition,
    notes: &Notes,
    cases: &Cases,
    complaints: &mut Vec<String>,
) -> String {
    let mut rows = String::new();
    for (field, schema) in &definition.fields {
        let place = format!("{}.{field}", definition.kind);
        let of = |table: &BTreeMap<String, BTreeMap<String, String>>| {
            table.get(&definition.kind).and_then(|fields| fields.get(field)).cloned()
        };
        let (better, why) = (of(&notes.better), of(&notes.no_effect));
        let used = cases.get(&place).cloned().unwrap_or_default();
        let idle = definition.worst(field, schema) == Some(Severity::NoEffect);
        let (verdict, text) = match (idle, better, why) {
            (true, None, Some(why)) => ("no effect", why),
            (false, Some(better), None) => ("better", better),
            (false, None, None) => ("same", String::new()),
            (true, ..) => {
                complaints.push(format!("{place} has no effect: say why under no_effect"));
                continue;
            }
            (false, _, Some(_)) => {
                complaints.push(format!("{place} has an effect: take it out of no_effect"));
                continue;
            }
        };
        if used.is_empty() {
            complaints.push(format!("{place} is in no golden case"));
        }
        let used = used.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(rows, "| `{field}` | {verdict} | {text} | {used} |");
    }
    rows
}

/// The keys of Module `ambassador`, as the parser's own table has them.
fn module_rows(cases: &Cases, complaints: &mut Vec<String>) -> String {
    let mut rows = String::new();
    for (prefix, key) in module_keys() {
        let name = format!("{prefix}{}", key.name);
        let used = cases.get(&format!("Module.{name}")).cloned().unwrap_or_default();
        let (verdict, text) = match key.effect {
            Effect::Same(_) => ("same", ""),
            Effect::Better(_, how) => ("better", how),
            Effect::None(why) => ("no effect", why),
        };
        if used.is_empty() {
            complaints.push(format!("Module's {name} is in no golden case"));
        }
        let used = used.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(rows, "| `{name}` | {verdict} | {text} | {used} |");
    }
    rows
}

impl Notes {
    /// Complaints about notes on fields that don't exist.
    fn unknown(&self) -> Vec<String> {
        let known: BTreeSet<String> = fields::definitions()
            .iter()
            .flat_map(|one| one.fields.keys().map(|field| format!("{}.{field}", one.kind)))
            .collect();
        let noted = [&self.better, &self.no_effect].into_iter().flatten();
        noted
            .flat_map(|(kind, fields)| fields.keys().map(move |field| format!("{kind}.{field}")))
            .filter(|place| !known.contains(place))
            .map(|place| format!("{place} is noted, and isn't a field"))
            .collect()
    }
}

/// The names of the golden cases that use a field, by kind and field.
type Cases = BTreeMap<String, BTreeSet<String>>;

fn used_fields() -> Cases {
    let mut cases = Cases::new();
    for entry in fs::read_dir(project("tests/golden")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("in.yaml")) else { continue };
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        for (kind, field) in documents(&text).iter().flat_map(fields::used) {
            cases.entry(format!("{kind}.{field}")).or_default().insert(case.clone());
        }
    }
    cases
}

/// The documents of a text and of the annotations in it; those that can't be read are other
/// tests' matter.
fn documents(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for document in text.split("\n---") {
        let Ok(value) = serde_saphyr::from_str::<Value>(document.trim_start_matches("---")) else {
            continue;
        };
        if let Some(inner) = value["metadata"]["annotations"]["getambassador.io/config"].as_str() {
            found.extend(documents(inner));
        }
        found.push(value);
    }
    found
}
