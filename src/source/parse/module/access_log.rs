//! `envoy_log_type`, `envoy_log_format` and `envoy_log_path`: the access log.

use std::sync::Arc;

use crate::model::object::Severity;
use crate::model::policy::AccessLog;
use crate::model::template::Template;

use crate::source::parse::fields::{Field, Problems};
use crate::source::parse::read::read_choice;

/// What Emissary writes to: standard output, under its various names.
const STDOUT: &[&str] = &["", "/dev/fd/1", "/dev/stdout", "/proc/self/fd/1"];

/// The form of the log, where anything is said of it.
pub(super) fn parse_access_log(config: &Field<'_>, problems: &mut Problems) -> Option<AccessLog> {
    if let Some(path) = config.child("envoy_log_path") {
        match path.text(Severity::Warning, problems) {
            Some("/dev/null") => return Some(AccessLog::Off),
            Some(text) if !STDOUT.contains(&text) => {
                let message = format!(
                    "{text} is not written to; the access log goes to standard output, and \
                     /dev/null turns it off"
                );
                problems.add(Severity::Warning, &path, message);
            }
            _ => {}
        }
    }
    let kind = config.child("envoy_log_type");
    let choices = [("text", false), ("json", true), ("typed_json", true)];
    let kind = kind.and_then(|field| read_choice(&field, &choices, problems));
    let format = config.child("envoy_log_format");
    match (kind, format) {
        (None, None) => None,
        (Some(true), format) => {
            Some(AccessLog::Json(format.and_then(|field| parse_keys(&field, problems))))
        }
        (_, format) => Some(AccessLog::Text(format.and_then(|field| parse_line(&field, problems)))),
    }
}

fn parse_line(field: &Field<'_>, problems: &mut Problems) -> Option<Template> {
    if field.node.as_map().is_some() {
        let message = "a map of keys needs envoy_log_type: json; the gateway's own line is written";
        problems.add(Severity::Warning, field, message);
        return None;
    }
    let text = field.text(Severity::Warning, problems)?;
    // Envoy writes what it is told, so that people end their format with a line end; here every
    // record is a line of its own.
    parse_template(field, text.strip_suffix('\n').unwrap_or(text), problems)
}

fn parse_keys(field: &Field<'_>, problems: &mut Problems) -> Option<Vec<(Arc<str>, Template)>> {
    if field.node.as_map().is_none() {
        let message = format!(
            "JSON needs a map of keys, found {}; the gateway's own keys are written",
            field.node.describe()
        );
        problems.add(Severity::Warning, field, message);
        return None;
    }
    let mut keys = Vec::new();
    for (key, entry) in field.entries(Severity::Warning, problems) {
        if let Some(text) = entry.text(Severity::Warning, problems)
            && let Some(template) = parse_template(&entry, text, problems)
        {
            keys.push((key.into(), template));
        }
    }
    Some(keys)
}

fn parse_template(field: &Field<'_>, text: &str, problems: &mut Problems) -> Option<Template> {
    Template::parse_lines(text)
        .map_err(|error| {
            problems.add(Severity::Warning, field, format!("is left out: {error}"));
        })
        .ok()
}
