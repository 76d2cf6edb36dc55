//! Typed reading of fields, with a complaint for each that doesn't fit.

use crate::model::object::{Location, Problem, Severity};

use super::node::{Entry, Node, Value};

/// Complaints about one document.
#[derive(Debug, Default)]
pub(in crate::source) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Adds a complaint about a field.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        field: &Field<'_>,
        message: impl Into<String>,
    ) {
        self.add_at(severity, &field.path, field.location, message);
    }

    /// Adds a complaint about a field that may not be there.
    pub(super) fn add_at(
        &mut self,
        severity: Severity,
        path: &str,
        location: Option<Location>,
        message: impl Into<String>,
    ) {
        let problem = match severity {
            Severity::Error => Problem::error(path, message),
            Severity::Unsupported => Problem::unsupported(path, message),
            Severity::Warning => Problem::warning(path, message),
            Severity::NoEffect => Problem::no_effect(path),
        };
        self.list.push(Problem { location, ..problem });
    }

    /// Adds a complaint as it is.
    pub(super) fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Adds the complaints of something that stands under `path`.
    pub(super) fn add_under(&mut self, path: &str, others: Self) {
        self.list.extend(others.list.into_iter().map(|problem| {
            let field = problem.field.map(|field| format!("{path}.{field}").into());
            Problem { field: field.or_else(|| Some(path.into())), ..problem }
        }));
    }

    /// Whether something was said of this very field, and not only of a part of it.
    pub(super) fn is_told(&self, path: &str) -> bool {
        self.list.iter().any(|problem| problem.field.as_deref() == Some(path))
    }

    /// Whether the object can't be used.
    pub(super) fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity.is_fatal())
    }

    /// All of them in the order of the text; those without a place first.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.location);
        self.list
    }
}

/// The fields of a spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Where the document begins.
    pub(super) location: Option<Location>,
    /// All entries; of those with the same key the last counts.
    pub(super) entries: &'a [Entry],
}

/// One field that is set.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// Its path from the spec.
    pub(super) path: String,
    /// Where its name stands.
    pub(super) location: Option<Location>,
    /// Its value.
    pub(super) node: &'a Node,
}

impl<'a> Fields<'a> {
    /// The field of a name, unless it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().rev().find(|entry| entry.key == name)?;
        (!entry.value.is_null()).then(|| Field {
            path: name.to_owned(),
            location: entry.location,
            node: &entry.value,
        })
    }

    /// The text of a field.
    pub(super) fn text(
        &self,
        name: &str,
        severity: Severity,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        self.get(name)?.text(severity, problems)
    }

    /// The boolean of a field.
    pub(super) fn flag(
        &self,
        name: &str,
        default: bool,
        severity: Severity,
        problems: &mut Problems,
    ) -> bool {
        self.get(name).and_then(|field| field.flag(severity, problems)).unwrap_or(default)
    }

    /// The whole number of a field.
    pub(super) fn int(
        &self,
        name: &str,
        severity: Severity,
        problems: &mut Problems,
    ) -> Option<i64> {
        self.get(name)?.int(severity, problems)
    }
}

impl<'a> Field<'a> {
    /// Its text. Numbers are taken as they are written; a boolean would be ambiguous.
    pub(super) fn text(&self, severity: Severity, problems: &mut Problems) -> Option<&'a str> {
        match self.node.as_text() {
            Some(text) if self.node.as_bool().is_none() => Some(text),
            Some(text) => {
                let message = format!("expected text, found a boolean; write \"{text}\" in quotes");
                problems.add(severity, self, message);
                None
            }
            None => {
                let message = format!("expected text, found {}", self.node.describe());
                problems.add(severity, self, message);
                None
            }
        }
    }

    /// Its boolean.
    pub(super) fn flag(&self, severity: Severity, problems: &mut Problems) -> Option<bool> {
        let flag = self.node.as_bool();
        if flag.is_none() {
            let message = format!("expected true or false, found {}", self.node.describe());
            problems.add(severity, self, message);
        }
        flag
    }

    /// Its whole number.
    pub(super) fn int(&self, severity: Severity, problems: &mut Problems) -> Option<i64> {
        let number = self.node.as_int();
        if number.is_none() {
            let found = self.node.as_text().unwrap_or(self.node.describe());
            problems.add(severity, self, format!("expected a whole number, found {found}"));
        }
        number
    }

    /// Whether it is a map; tells where it isn't.
    pub(super) fn is_map(&self, severity: Severity, problems: &mut Problems) -> bool {
        let is_map = self.node.as_map().is_some();
        if !is_map {
            let message = format!("expected a map, found {}", self.node.describe());
            problems.add(severity, self, message);
        }
        is_map
    }

    /// A field within it.
    pub(super) fn child(&self, name: &str) -> Option<Field<'a>> {
        self.node.as_map()?.iter().rev().find(|entry| entry.key == name).and_then(|entry| {
            (!entry.value.is_null()).then(|| Field {
                path: format!("{}.{name}", self.path),
                location: entry.location.or(self.location),
                node: &entry.value,
            })
        })
    }

    /// The entries of a map with their keys, in the order of the text; doubles are left out.
    pub(super) fn entries(
        &self,
        severity: Severity,
        problems: &mut Problems,
    ) -> Vec<(&'a str, Field<'a>)> {
        let Some(entries) = self.node.as_map() else {
            let message = format!("expected a map, found {}", self.node.describe());
            problems.add(severity, self, message);
            return Vec::new();
        };
        let last = last_of_each_key(entries);
        last.into_iter()
            .map(|entry| {
                let path = format!("{}.{}", self.path, entry.key);
                let location = entry.location.or(self.location);
                (entry.key.as_str(), Field { path, location, node: &entry.value })
            })
            .collect()
    }

    /// The texts of a list, or a single text, as older API versions allow.
    pub(super) fn texts(&self, severity: Severity, problems: &mut Problems) -> Vec<Field<'a>> {
        let item = |node: &'a Node, path: String| Field {
            path,
            location: node.location.or(self.location),
            node,
        };
        let fields = match &self.node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| item(node, format!("{}[{index}]", self.path)))
                .collect(),
            _ => vec![self.clone()],
        };
        fields.into_iter().filter(|field| field.text(severity, problems).is_some()).collect()
    }
}

/// The entries without those that a later one of the same key replaces.
pub(super) fn last_of_each_key(entries: &[Entry]) -> Vec<&Entry> {
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    let mut last: Vec<&Entry> =
        entries.iter().rev().filter(|entry| seen.insert(entry.key.as_str())).collect();
    last.reverse();
    last
}
