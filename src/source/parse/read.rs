//! Reading of fields within fields. What is wrong costs the one field, and is told there.

use std::ops::RangeInclusive;

use crate::model::object::Severity;

use super::effect::{Effect, Key};
use super::fields::{Field, Problems};
use super::suggest::closest;
use crate::model::object::Problem;

/// After this many unknown fields the rest are left unmentioned.
const MAX_UNKNOWN: usize = 20;

/// True or false.
pub(super) fn read_flag(field: &Field<'_>, problems: &mut Problems) -> Option<bool> {
    let flag = field.node.as_bool();
    if flag.is_none() {
        let found = field.node.as_text().unwrap_or(field.node.describe());
        let message = format!("expected true or false, found {found}; it is ignored");
        problems.add(Severity::Warning, field, message);
    }
    flag
}

/// A whole number in a range; `unit` says what it counts.
pub(super) fn read_int(
    field: &Field<'_>,
    range: RangeInclusive<u32>,
    unit: &str,
    problems: &mut Problems,
) -> Option<u32> {
    let number = field.node.as_int().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| range.contains(number));
    if number.is_none() {
        let found = field.node.as_text().unwrap_or(field.node.describe());
        let (least, most) = range.into_inner();
        let bounds = match most {
            u32::MAX => format!("of at least {least}"),
            _ => format!("from {least} to {most}"),
        };
        let message = format!("{found} is ignored; write a whole number of {unit} {bounds}");
        problems.add(Severity::Warning, field, message);
    }
    number
}

/// One of a few words, compared as they are written.
pub(super) fn read_choice<T: Copy>(
    field: &Field<'_>,
    choices: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = field.node.as_text();
    let found = choices.iter().find(|(word, _)| Some(*word) == text);
    if found.is_none() {
        let shown = text.unwrap_or(field.node.describe());
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let message = format!("{shown} is ignored; write one of {}", words.join(", "));
        problems.add(Severity::Warning, field, message);
    }
    found.map(|(_, value)| *value)
}

/// The texts of a list, or of one text with commas between them, as older versions allow.
pub(super) fn read_words<'a>(
    field: &Field<'a>,
    problems: &mut Problems,
) -> Vec<(&'a str, Field<'a>)> {
    let mut words = Vec::new();
    for item in field.texts(Severity::Warning, problems) {
        let text = item.node.as_text().unwrap_or_default();
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        words.extend(pieces.map(|piece| (piece, item.clone())));
    }
    words
}

/// Tells which fields within `field` have no effect, and which aren't known at all.
pub(super) fn tell_keys(field: &Field<'_>, keys: &[Key], problems: &mut Problems) {
    let mut unknown = 0;
    for (name, entry) in field.entries(Severity::Warning, problems) {
        let known = keys.iter().find(|key| key.name == name);
        match known.map(|key| key.effect) {
            Some(Effect::None(why)) if !entry.node.is_neutral() => {
                let location = entry.location;
                let problem = Problem::no_effect_because(entry.path, why);
                problems.push(Problem { location, ..problem });
            }
            Some(_) => {}
            None if unknown < MAX_UNKNOWN => {
                unknown += 1;
                let names = keys.iter().map(|key| key.name);
                let message = match closest(name, names) {
                    Some(other) => format!("is not known here; did you mean {other}?"),
                    None => "is not known here and is ignored".to_owned(),
                };
                problems.add(Severity::Warning, &entry, message);
            }
            None => {}
        }
    }
}
