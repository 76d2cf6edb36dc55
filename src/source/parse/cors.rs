//! `cors`: which other sites' scripts may ask.
//!
//! What can't be read is left out, which allows less, never more.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use crate::model::object::Severity;
use crate::model::policy::Cors;

use super::effect::{Key, better, same};
use super::fields::{Field, Problems};
use super::read::{read_flag, read_words, tell_keys};

/// The fields of `cors`.
pub(super) const KEYS: &[Key] = &[
    better(
        "origins",
        "the origins that may ask, exact; `*` is any",
        "answers carry `Vary: Origin`, so that no cache mixes them up",
    ),
    same("methods", "`access-control-allow-methods`"),
    same("headers", "`access-control-allow-headers`"),
    better(
        "credentials",
        "`access-control-allow-credentials`",
        "not together with the origin `*`, where any site could act as the user",
    ),
    same("exposed_headers", "`access-control-expose-headers`"),
    same("max_age", "`access-control-max-age` in seconds"),
    same("v2CommaSeparatedOrigins", "a crumb of Emissary's conversion between versions"),
];

/// The policy that `cors` asks for; `None` where it isn't a map.
pub(super) fn parse_cors(field: &Field<'_>, problems: &mut Problems) -> Option<Cors> {
    if field.node.as_map().is_none() {
        let message = format!("expected a map with origins, found {}", field.node.describe());
        problems.add(Severity::Warning, field, message);
        return None;
    }
    tell_keys(field, KEYS, problems);
    let words = |name: &str, problems: &mut Problems| {
        field.child(name).map(|child| read_words(&child, problems)).unwrap_or_default()
    };
    let mut cors = Cors::default();
    for (origin, item) in words("origins", problems) {
        if is_origin(origin) {
            cors.origins.push(origin.into());
        } else {
            let message = format!(
                "\"{origin}\" is no origin and never matches; write scheme and host without a \
                 path, like https://www.example.com, or *"
            );
            problems.add(Severity::Warning, &item, message);
        }
    }
    for (method, item) in words("methods", problems) {
        match Method::from_bytes(method.as_bytes()) {
            Ok(method) => cors.methods.push(method),
            Err(_) => refuse(method, "the name of a method", &item, problems),
        }
    }
    for (name, item) in words("headers", problems) {
        match HeaderName::from_bytes(name.as_bytes()) {
            // As it was written: browsers compare without case, people read.
            Ok(_) => cors.headers.push(name.into()),
            Err(_) => refuse(name, "the name of a header", &item, problems),
        }
    }
    for (name, item) in words("exposed_headers", problems) {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => cors.exposed_headers.push(name),
            Err(_) => refuse(name, "the name of a header", &item, problems),
        }
    }
    cors.credentials = parse_credentials(field, &cors.origins, problems);
    cors.max_age = field.child("max_age").and_then(|child| parse_age(&child, problems));
    if cors.origins.is_empty() {
        let message = "allows nobody, because it names no origin; write origins: \
                       [\"https://www.example.com\"]";
        problems.add(Severity::Warning, field, message);
    }
    Some(cors)
}

fn refuse(text: &str, what: &str, item: &Field<'_>, problems: &mut Problems) {
    problems.add(Severity::Warning, item, format!("\"{text}\" is not {what} and is left out"));
}

/// `*`, `null`, or something with a scheme and no path.
fn is_origin(text: &str) -> bool {
    let is_value = HeaderValue::from_str(text).is_ok();
    let rest = text.split_once("://").map(|(_, rest)| rest);
    is_value
        && (matches!(text, "*" | "null")
            || rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', ' '])))
}

/// Credentials for any origin would let every site act as the user, which is why the Fetch
/// standard forbids the two together.
fn parse_credentials(field: &Field<'_>, origins: &[Arc<str>], problems: &mut Problems) -> bool {
    let Some(child) = field.child("credentials") else { return false };
    let wanted = read_flag(&child, problems).unwrap_or(false);
    if wanted && origins.iter().any(|origin| &**origin == "*") {
        let message = "is taken as false, because with the origin * any site could act as the \
                       user; list the origins that may";
        problems.add(Severity::Warning, &child, message);
        return false;
    }
    wanted
}

fn parse_age(field: &Field<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let text = field.node.as_text().unwrap_or_default();
    if !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.into());
    }
    let shown = field.node.as_text().unwrap_or(field.node.describe());
    let message = format!("\"{shown}\" is ignored; write a number of seconds, like \"86400\"");
    problems.add(Severity::Warning, field, message);
    None
}
