//! Which requests a Mapping takes: host, path, method, headers, query.
//!
//! Whatever is wrong here makes the object unusable: without the condition the route would take
//! requests that its author meant to leave to others.

use http::{HeaderName, Method};

use crate::model::object::Severity;
use crate::model::regex::Regex;
use crate::model::route::{
    HeaderMatch, HostMatch, PathMatch, PathMatchKind, QueryMatch, RouteMatch, ValueMatch,
};

use super::fields::{Field, Fields, Problems};
use crate::convert::SKIP_HOST;

/// The API versions differ in what a missing host and a boolean value mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiVersion {
    /// v0, v1 and v2.
    Legacy,
    /// v3alpha1.
    V3Alpha1,
}

/// Conditions of `headers` that aren't headers.
#[derive(Debug, Default)]
struct PseudoHeaders<'a> {
    authority: Option<(Field<'a>, ValueMatch)>,
    method: Option<(Field<'a>, ValueMatch)>,
}

/// The match, or `None` where a problem forbids one.
pub(super) fn parse_match(
    fields: &Fields<'_>,
    version: ApiVersion,
    problems: &mut Problems,
) -> Option<RouteMatch> {
    let mut pseudo = PseudoHeaders::default();
    let path = parse_path(fields, problems);
    let headers = parse_headers(fields, version, &mut pseudo, problems);
    let query = parse_query(fields, version, problems);
    let host = parse_host(fields, version, pseudo.authority, problems);
    let method = parse_method(fields, pseudo.method, problems);
    Some(RouteMatch { host, path: path?, method, headers, query })
}

fn parse_path(fields: &Fields<'_>, problems: &mut Problems) -> Option<PathMatch> {
    let Some(field) = fields.get("prefix") else {
        let message = "is missing; write the path that requests begin with, such as /api/";
        problems.add_at(Severity::Error, "prefix", fields.location, message);
        return None;
    };
    let is_regex = fields.flag("prefix_regex", false, Severity::Error, problems);
    let is_exact = fields.flag("prefix_exact", false, Severity::Error, problems);
    let case_sensitive = fields.flag("case_sensitive", true, Severity::Error, problems);
    let text = field.text(Severity::Error, problems)?;
    if is_regex {
        let regex = parse_regex(&field, text, problems)?;
        return Some(PathMatch { kind: PathMatchKind::Regex(regex), case_sensitive: true });
    }
    if !text.is_empty() && !text.starts_with('/') {
        let message = format!("no path begins with \"{text}\"; write \"/{text}\"");
        problems.add(Severity::Warning, &field, message);
    }
    let kind = if is_exact {
        PathMatchKind::Exact(text.into())
    } else {
        PathMatchKind::Prefix(text.into())
    };
    Some(PathMatch { kind, case_sensitive })
}

fn parse_host(
    fields: &Fields<'_>,
    version: ApiVersion,
    authority: Option<(Field<'_>, ValueMatch)>,
    problems: &mut Problems,
) -> Option<HostMatch> {
    let set = |name: &str, problems: &mut Problems| {
        let field = fields.get(name)?;
        let text = field.text(Severity::Error, problems)?;
        (!text.is_empty()).then_some((field, text))
    };
    let hostname = set("hostname", problems);
    let host = set("host", problems);
    let host_regex = fields.flag("host_regex", false, Severity::Error, problems);
    let named = match (hostname, host) {
        (Some((field, text)), other) => {
            if let Some((other, _)) = other {
                problems.add(Severity::Warning, &other, "is ignored, because hostname is set");
            }
            Some(parse_glob(&field, text, problems))
        }
        (None, Some((field, text))) if host_regex => {
            parse_regex(&field, text, problems).map(HostMatch::Regex)
        }
        // What Emissary's conversion makes of v2's host, and of a Mapping without one.
        (None, Some((_, SKIP_HOST))) if version == ApiVersion::Legacy => None,
        (None, Some((field, text))) if version == ApiVersion::Legacy => {
            Some(parse_glob(&field, text, problems))
        }
        (None, Some((field, text))) => parse_exact_host(&field, text, problems),
        (None, None) if version == ApiVersion::Legacy && !host_regex => Some(HostMatch::Any),
        (None, None) => None,
    };
    let Some((field, value)) = authority else { return named };
    let from_header = match value {
        ValueMatch::Present => HostMatch::Any,
        ValueMatch::Exact(text) => HostMatch::Exact(text.to_lowercase().into()),
        ValueMatch::Regex(regex) => HostMatch::Regex(regex),
    };
    match named {
        None | Some(HostMatch::Any) => Some(from_header),
        Some(named) if named == from_header => Some(named),
        Some(named) => {
            let message = "names another host than hostname or host; keep one of them";
            problems.add(Severity::Error, &field, message);
            Some(named)
        }
    }
}

/// `*`, `*x`, `x*`, or a name.
fn parse_glob(field: &Field<'_>, text: &str, problems: &mut Problems) -> HostMatch {
    let lower = text.to_lowercase();
    let (host, literal) = if lower == "*" {
        return HostMatch::Any;
    } else if let Some(suffix) = lower.strip_prefix('*') {
        (HostMatch::Suffix(suffix.into()), suffix)
    } else if let Some(prefix) = lower.strip_suffix('*') {
        (HostMatch::Prefix(prefix.into()), prefix)
    } else {
        (HostMatch::Exact(lower.as_str().into()), lower.as_str())
    };
    if literal.contains('*') {
        let message =
            "only one star, at the start or the end, stands for anything; no host matches this";
        problems.add(Severity::Warning, field, message);
    }
    host
}

fn parse_exact_host(field: &Field<'_>, text: &str, problems: &mut Problems) -> Option<HostMatch> {
    if text == "*" {
        return Some(HostMatch::Any);
    }
    if text.contains('*') {
        let message =
            format!("is an exact host, in which * matches nothing; write hostname: {text}");
        problems.add(Severity::Error, field, message);
        return None;
    }
    Some(HostMatch::Exact(text.to_lowercase().into()))
}

fn parse_method(
    fields: &Fields<'_>,
    pseudo: Option<(Field<'_>, ValueMatch)>,
    problems: &mut Problems,
) -> Option<ValueMatch> {
    let is_regex = fields.flag("method_regex", false, Severity::Error, problems);
    let field = fields.get("method");
    let text = field.as_ref().and_then(|field| field.text(Severity::Error, problems));
    let named = match (field, text.filter(|text| !text.is_empty())) {
        (Some(field), Some(text)) if is_regex => {
            parse_regex(&field, text, problems).map(ValueMatch::Regex)
        }
        (Some(field), Some(text)) => {
            tell_impossible_method(&field, text, problems);
            Some(ValueMatch::Exact(text.into()))
        }
        _ => None,
    };
    match (named, pseudo) {
        (Some(named), Some((field, value))) if named != value => {
            problems.add(Severity::Error, &field, "differs from method; keep one of them");
            Some(named)
        }
        (Some(named), _) => Some(named),
        (None, pseudo) => {
            if let Some((field, ValueMatch::Exact(text))) = &pseudo {
                tell_impossible_method(field, text, problems);
            }
            pseudo.map(|(_, value)| value).filter(|value| *value != ValueMatch::Present)
        }
    }
}

/// The route stands and takes nothing, as in Emissary.
fn tell_impossible_method(field: &Field<'_>, text: &str, problems: &mut Problems) {
    if Method::from_bytes(text.as_bytes()).is_err() {
        let message = format!(
            "no request has the method \"{text}\"; write one such as GET, or several as \
             method_regex: true with GET|HEAD"
        );
        problems.add(Severity::Warning, field, message);
    }
}

fn parse_headers<'a>(
    fields: &Fields<'a>,
    version: ApiVersion,
    pseudo: &mut PseudoHeaders<'a>,
    problems: &mut Problems,
) -> Vec<HeaderMatch> {
    let mut headers = Vec::new();
    for (name, field, value) in parse_conditions("headers", fields, version, problems) {
        let lower = name.to_ascii_lowercase();
        let slot = match lower.as_str() {
            ":authority" | "host" => &mut pseudo.authority,
            ":method" => &mut pseudo.method,
            _ => {
                if HeaderName::from_bytes(lower.as_bytes()).is_err() {
                    let message = format!("\"{name}\" is not the name of a header");
                    problems.add(Severity::Error, &field, message);
                }
                headers.push(HeaderMatch { name: lower.into(), value });
                continue;
            }
        };
        if slot.as_ref().is_some_and(|(_, other)| *other != value) {
            let message = format!("{name} has two conditions; keep one of them");
            problems.add(Severity::Error, &field, message);
        }
        *slot = Some((field, value));
    }
    headers.sort();
    headers.dedup();
    headers
}

fn parse_query(
    fields: &Fields<'_>,
    version: ApiVersion,
    problems: &mut Problems,
) -> Vec<QueryMatch> {
    let mut query: Vec<QueryMatch> =
        parse_conditions("query_parameters", fields, version, problems)
            .into_iter()
            .map(|(name, field, value)| {
                if name.is_empty() {
                    let path = field.path.trim_end_matches('.').to_owned();
                    let message = "has a parameter without a name; write its name before the colon";
                    problems.add(Severity::Error, &Field { path, ..field }, message);
                }
                QueryMatch { name: name.into(), value }
            })
            .collect();
    query.sort();
    query.dedup();
    query
}

/// The conditions of a map and of its `regex_` twin.
fn parse_conditions<'a>(
    name: &str,
    fields: &Fields<'a>,
    version: ApiVersion,
    problems: &mut Problems,
) -> Vec<(&'a str, Field<'a>, ValueMatch)> {
    let mut conditions = Vec::new();
    let map = |name: &str, problems: &mut Problems| {
        fields.get(name).map_or_else(Vec::new, |map| map.entries(Severity::Error, problems))
    };
    let regexes = fields.get(&format!("regex_{name}"));
    let has_regex = |key: &str| regexes.as_ref().is_some_and(|map| map.child(key).is_some());
    for (key, field) in map(name, problems) {
        match (field.node.as_bool(), version) {
            // An expression for it asks for presence too.
            (Some(true), ApiVersion::Legacy) if has_regex(key) => {}
            (Some(true), ApiVersion::Legacy) => conditions.push((key, field, ValueMatch::Present)),
            (Some(false), ApiVersion::Legacy) => {
                problems.add(Severity::Warning, &field, "false is no condition and is ignored");
            }
            (Some(_), ApiVersion::V3Alpha1) => {
                let message = format!(
                    "expected text, found a boolean; write it in quotes, or for presence \
                     regex_{name} with \".*\""
                );
                problems.add(Severity::Error, &field, message);
            }
            (None, _) => {
                if let Some(text) = field.text(Severity::Error, problems) {
                    conditions.push((key, field, ValueMatch::Exact(text.into())));
                }
            }
        }
    }
    for (key, field) in map(&format!("regex_{name}"), problems) {
        let Some(text) = field.text(Severity::Error, problems) else { continue };
        if let Some(regex) = parse_regex(&field, text, problems) {
            // What Emissary's conversion makes of a v2 `true`.
            let value = if text == ".*" { ValueMatch::Present } else { ValueMatch::Regex(regex) };
            conditions.push((key, field, value));
        }
    }
    conditions
}

/// An expression over all of a text.
fn parse_regex(field: &Field<'_>, text: &str, problems: &mut Problems) -> Option<Regex> {
    Regex::full(text)
        .map_err(|error| {
            let message = format!("is not a regular expression in RE2's syntax: {error}");
            problems.add(Severity::Error, field, message);
        })
        .ok()
}
