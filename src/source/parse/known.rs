//! Which fields of a kind do something, and what is told of all others.

use crate::model::object::{Problem, Severity};

use super::fields::{Field, Fields, Problems, last_of_each_key};
use super::node::Entry;
use super::suggest::closest;

/// After this many unknown fields the rest are left unmentioned: it isn't a spec of that kind.
const MAX_UNKNOWN: usize = 20;

/// The fields of a kind, or of a map within it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// What has these fields, as in "is not a field of a Mapping".
    pub(super) of: &'a str,
    /// Fields with an effect.
    pub(super) effective: &'a [&'a str],
    /// Fields with an effect that several kinds share.
    pub(super) elsewhere: &'a [&'a str],
    /// Fields that are for others to read, and crumbs of conversions between versions.
    pub(super) silent: &'a [&'a str],
    /// Fields that have no effect, each with what is told of it.
    pub(super) no_effect: &'a [(&'a str, &'a str)],
    /// Values of those that ask for what happens anyway.
    pub(super) defaults: &'a [(&'a str, &'a str)],
}

impl Known<'_> {
    /// Tells which fields of a spec have no effect, aren't known, or are written twice.
    pub(super) fn tell(&self, fields: &Fields<'_>, problems: &mut Problems) {
        let last = last_of_each_key(fields.entries);
        if last.len() < fields.entries.len() {
            let message = "a field is written twice; the last one counts";
            problems.add_at(Severity::Warning, "", fields.location, message);
        }
        self.tell_each("", &last, problems);
    }

    /// The same of a map within a spec.
    pub(super) fn tell_within(&self, field: &Field<'_>, problems: &mut Problems) {
        let entries = last_of_each_key(field.node.as_map().unwrap_or_default());
        self.tell_each(&format!("{}.", field.path), &entries, problems);
    }

    fn tell_each(&self, path: &str, entries: &[&Entry], problems: &mut Problems) {
        let mut unknown = 0;
        for entry in entries {
            let name = entry.key.as_str();
            let quiet = [self.effective, self.elsewhere, self.silent];
            if quiet.iter().any(|fields| fields.contains(&name)) {
                continue;
            }
            if let Some((_, why)) = self.no_effect.iter().find(|(field, _)| *field == name) {
                let value = entry.value.as_text().unwrap_or_default();
                if !entry.value.is_neutral() && !self.defaults.contains(&(name, value)) {
                    let problem = Problem::no_effect_because(format!("{path}{name}"), *why);
                    problems.push(Problem { location: entry.location, ..problem });
                }
                continue;
            }
            // The API server prunes what it doesn't know; only text can hold typing errors.
            if entry.location.is_some() && unknown < MAX_UNKNOWN {
                unknown += 1;
                let path = format!("{path}{name}");
                problems.add_at(Severity::Warning, &path, entry.location, self.unknown(name));
            }
        }
    }

    fn unknown(&self, name: &str) -> String {
        let idle = self.no_effect.iter().map(|(field, _)| *field);
        let known = [self.effective, self.elsewhere, self.silent].into_iter().flatten().copied();
        match closest(name, known.chain(idle)) {
            Some(other) => format!("is not a field of {}; did you mean {other}?", self.of),
            None => format!("is not a field of {} and is ignored", self.of),
        }
    }
}
