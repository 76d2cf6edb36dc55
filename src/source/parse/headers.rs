//! Header edits: `add_…_headers` and `remove_…_headers`.
//!
//! What is wrong here costs the one header only.

use http::HeaderName;

use crate::model::object::Severity;
use crate::model::route::{HeaderAdd, HeaderEdits};
use crate::model::template::Template;

use super::fields::{Field, Fields, Problems};

/// The edits of one direction (`request` or `response`).
pub(super) fn parse_edits(
    direction: &str,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    if let Some(field) = fields.get(&format!("remove_{direction}_headers")) {
        for item in field.texts(Severity::Warning, problems) {
            let name = item.node.as_text().unwrap_or_default();
            if let Some(name) = parse_name(name, &item, problems)
                && !edits.remove.contains(&name)
            {
                edits.remove.push(name);
            }
        }
    }
    if let Some(field) = fields.get(&format!("add_{direction}_headers")) {
        for (name, entry) in field.entries(Severity::Warning, problems) {
            edits.add.extend(parse_add(name, &entry, problems));
        }
    }
    edits
}

/// `name: value` or `name: {value, append}`.
fn parse_add(name: &str, field: &Field<'_>, problems: &mut Problems) -> Option<HeaderAdd> {
    let name = parse_name(name, field, problems)?;
    let (value, append) = if field.node.as_map().is_some() {
        let Some(value) = field.child("value") else {
            problems.add(Severity::Warning, field, "needs a value");
            return None;
        };
        (value, field.child("append"))
    } else {
        (field.clone(), None)
    };
    let append = match append {
        None => true,
        Some(flag) => flag.node.as_bool().unwrap_or_else(|| {
            problems.add(Severity::Warning, &flag, "expected true or false; taken as true");
            true
        }),
    };
    let text = value.text(Severity::Warning, problems)?;
    match Template::parse(text) {
        Ok(template) => Some(HeaderAdd { name, value: template, append }),
        Err(error) => {
            problems.add(Severity::Warning, &value, format!("is left out: {error}"));
            None
        }
    }
}

fn parse_name(name: &str, field: &Field<'_>, problems: &mut Problems) -> Option<HeaderName> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        let message = format!("{name} can't be edited as a header; see host_rewrite and rewrite");
        problems.add(Severity::Warning, field, message);
        return None;
    }
    HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes())
        .map_err(|_| {
            let message = format!("\"{name}\" is not the name of a header");
            problems.add(Severity::Warning, field, message);
        })
        .ok()
}
