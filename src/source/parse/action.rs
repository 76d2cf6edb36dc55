//! What a Mapping does with a request: where it goes, or where the client is sent, and what
//! becomes of path and host.

use std::sync::{Arc, LazyLock};

use http::StatusCode;
use http::uri::PathAndQuery;

use crate::model::common::Common;
use crate::model::object::Severity;
use crate::model::regex::Regex;
use crate::model::route::{
    Action, Forward, HostRewrite, PathRewrite, Redirect, RedirectPath, RegexSubstitution,
    SubstitutionPart,
};
use crate::model::written::UpstreamSpec;

use super::ParseSettings;
use super::cluster::parse_cluster_policy;
use super::fields::{Field, Fields, Problems};
use super::service::ServiceText;

/// `rewrite` where none is written (Emissary).
const DEFAULT_REWRITE: &str = "/";

/// The same, kept once for all Mappings.
static ROOT: LazyLock<Arc<str>> = LazyLock::new(|| DEFAULT_REWRITE.into());

/// `redirect_response_code` where none is written (Emissary).
const DEFAULT_REDIRECT: StatusCode = StatusCode::MOVED_PERMANENTLY;

/// The action of a Mapping in `namespace`, or `None` where a problem forbids one.
pub(super) fn parse_action(
    fields: &Fields<'_>,
    namespace: &Arc<str>,
    settings: &ParseSettings,
    problems: &mut Problems,
) -> Option<Action<UpstreamSpec>> {
    let mut service = parse_service(fields, problems);
    let shadow = fields.flag("shadow", false, Severity::Error, problems);
    if fields.flag("host_redirect", false, Severity::Error, problems) {
        let service = service?;
        if let (Some(field), true) = (fields.get("host_redirect"), shadow) {
            let message = "can't be had together with shadow: true, which sends copies and \
                           answers nobody; remove one of them";
            problems.add(Severity::Error, &field, message);
        }
        if let (Some(field), true) = (fields.get("service"), service.tls) {
            let message = "https:// is ignored, because a redirect keeps the request's scheme";
            problems.add(Severity::Warning, &field, message);
        }
        let authority = service.qualified(namespace, &settings.namespace).into();
        return Some(Action::Redirect(Arc::new(Redirect {
            authority,
            path: parse_redirect_path(fields, problems)?,
            status: parse_redirect_status(fields, problems),
        })));
    }
    for name in ["path_redirect", "prefix_redirect", "regex_redirect", "redirect_response_code"] {
        if let Some(field) = fields.get(name) {
            let message = "has an effect only together with host_redirect: true";
            problems.add(Severity::Warning, &field, message);
        }
    }
    let context = parse_tls(fields, &mut service, problems);
    let resolver = parse_resolver(fields, problems);
    let policy = parse_cluster_policy(fields, problems).share();
    let path = parse_path_rewrite(fields, problems);
    let host = parse_host_rewrite(fields, problems);
    let cluster = UpstreamSpec { resolver, context, policy, ..service?.upstream(namespace) };
    let (path, host) = (path?, host);
    Some(match shadow {
        // The copy is of the request as its group's member sends it.
        true => Action::Mirror(cluster),
        false => Action::Forward(Forward { cluster, path, host }),
    })
}

pub(super) fn parse_service(fields: &Fields<'_>, problems: &mut Problems) -> Option<ServiceText> {
    let Some(field) = fields.get("service") else {
        let message = "is missing; write the upstream as host:port";
        problems.add_at(Severity::Error, "service", fields.location, message);
        return None;
    };
    let text = field.text(Severity::Error, problems)?;
    match ServiceText::parse(text.trim()) {
        Ok(mut service) => {
            for warning in std::mem::take(&mut service.warnings) {
                problems.add(Severity::Warning, &field, warning);
            }
            Some(service)
        }
        Err(error) => {
            problems.add(Severity::Error, &field, error.to_string());
            None
        }
    }
}

/// The name of a TLSContext; `false` and nothing ask for none. Emissary: a context begins TLS
/// whatever the scheme, and so does the `true` of older forms.
fn parse_tls(
    fields: &Fields<'_>,
    service: &mut Option<ServiceText>,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let field = fields.get("tls").filter(|field| !field.node.is_neutral())?;
    let context = match field.node.as_bool() {
        Some(_) => None,
        None => Some(field.text(Severity::Error, problems)?.trim().into()),
    };
    if let Some(service) = service {
        if service.cleartext {
            let message = "begins TLS although service says http://; write https:// there, or \
                           leave tls out";
            problems.add(Severity::Warning, &field, message);
        }
        service.tls = true;
    }
    context
}

/// Whether there is such a resolver is found out by the build.
fn parse_resolver(fields: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let name = fields.text("resolver", Severity::Error, problems)?.trim();
    (!name.is_empty()).then(|| name.into())
}

fn parse_path_rewrite(fields: &Fields<'_>, problems: &mut Problems) -> Option<PathRewrite> {
    let rewrite = match fields.get("rewrite") {
        Some(field) => field.text(Severity::Error, problems)?,
        None => DEFAULT_REWRITE,
    };
    if let Some(field) = fields.get("regex_rewrite").filter(|field| !field.node.is_neutral()) {
        if let (Some(loser), true) = (fields.get("rewrite"), rewrite != DEFAULT_REWRITE) {
            problems.add(Severity::Warning, &loser, "is ignored, because regex_rewrite is set");
        }
        let substitution = parse_substitution(&field, problems)?;
        return Some(PathRewrite::Regex(Arc::new(substitution)));
    }
    tell_impossible_path(fields, rewrite, problems);
    Some(match rewrite {
        "" => PathRewrite::Keep,
        DEFAULT_REWRITE => PathRewrite::Matched(Arc::clone(&ROOT)),
        text => PathRewrite::Matched(text.into()),
    })
}

/// What replaces the beginning of a path begins the new one. It stays as it is written: no request
/// goes elsewhere for it.
fn tell_impossible_path(fields: &Fields<'_>, rewrite: &str, problems: &mut Problems) {
    let is_path = |text: &str| text.starts_with('/') && PathAndQuery::try_from(text).is_ok();
    let Some(field) = fields.get("rewrite").filter(|_| !rewrite.is_empty() && !is_path(rewrite))
    else {
        return;
    };
    let better = format!("/{}", rewrite.trim().trim_start_matches('/').replace(' ', "%20"));
    let instead = match is_path(&better) {
        true => format!("\"{better}\""),
        false => "a path such as /api/, with %20 for a blank".to_owned(),
    };
    let message = format!("no path begins with \"{rewrite}\"; write {instead}");
    problems.add(Severity::Warning, &field, message);
}

fn parse_host_rewrite(fields: &Fields<'_>, problems: &mut Problems) -> HostRewrite {
    let auto = fields.flag("auto_host_rewrite", false, Severity::Error, problems);
    let literal = fields.text("host_rewrite", Severity::Error, problems);
    match literal.filter(|text| !text.is_empty()) {
        Some(text) => {
            let field = fields.get("host_rewrite");
            if let (Some(loser), true) = (fields.get("auto_host_rewrite"), auto) {
                problems.add(Severity::Warning, &loser, "is ignored, because host_rewrite is set");
            }
            let valid = text.bytes().all(|b| b.is_ascii_graphic());
            if let (Some(field), false) = (field, valid) {
                let message = format!("\"{text}\" can't stand in a Host header");
                problems.add(Severity::Error, &field, message);
            }
            HostRewrite::Literal(text.into())
        }
        None if auto => HostRewrite::Upstream,
        None => HostRewrite::Keep,
    }
}

fn parse_redirect_path(fields: &Fields<'_>, problems: &mut Problems) -> Option<RedirectPath> {
    let set = |name: &str| fields.get(name).filter(|field| !field.node.is_neutral());
    let mut candidates = ["path_redirect", "prefix_redirect", "regex_redirect"]
        .into_iter()
        .filter_map(|name| set(name).map(|field| (name, field)));
    let Some((winner, field)) = candidates.next() else { return Some(RedirectPath::Keep) };
    for (_, loser) in candidates {
        problems.add(Severity::Warning, &loser, format!("is ignored, because {winner} is set"));
    }
    Some(match winner {
        "path_redirect" => RedirectPath::Replace(field.text(Severity::Error, problems)?.into()),
        "prefix_redirect" => {
            RedirectPath::ReplaceMatched(field.text(Severity::Error, problems)?.into())
        }
        _ => RedirectPath::Regex(parse_substitution(&field, problems)?),
    })
}

fn parse_redirect_status(fields: &Fields<'_>, problems: &mut Problems) -> StatusCode {
    match fields.int("redirect_response_code", Severity::Warning, problems) {
        Some(302) => StatusCode::FOUND,
        Some(303) => StatusCode::SEE_OTHER,
        Some(307) => StatusCode::TEMPORARY_REDIRECT,
        Some(308) => StatusCode::PERMANENT_REDIRECT,
        Some(301) | None => DEFAULT_REDIRECT,
        Some(other) => {
            if let Some(field) = fields.get("redirect_response_code") {
                let message = format!("{other} is ignored; write 301, 302, 303, 307 or 308");
                problems.add(Severity::Warning, &field, message);
            }
            DEFAULT_REDIRECT
        }
    }
}

/// `{pattern, substitution}`.
fn parse_substitution(field: &Field<'_>, problems: &mut Problems) -> Option<RegexSubstitution> {
    let Some(pattern) = field.child("pattern") else {
        problems.add(Severity::Error, field, "needs a pattern and a substitution");
        return None;
    };
    let text = pattern.text(Severity::Error, problems)?;
    let regex = Regex::search(text).map_err(|error| {
        let message = format!("is not a regular expression in RE2's syntax: {error}");
        problems.add(Severity::Error, &pattern, message);
    });
    let replacement = match field.child("substitution") {
        None => {
            let message = "has no substitution, so that what the pattern finds is taken out; \
                           write what takes its place, or substitution: \"\"";
            problems.add(Severity::Warning, field, message);
            Some(Vec::new())
        }
        Some(substitution) => {
            let text = substitution.text(Severity::Error, problems)?;
            let groups = regex.as_ref().map_or(usize::MAX, Regex::groups);
            parse_replacement(text, groups)
                .map_err(|message| problems.add(Severity::Error, &substitution, message))
                .ok()
        }
    };
    Some(RegexSubstitution { pattern: regex.ok()?, replacement: replacement? })
}

/// RE2's replacement text: `\0` to `\9`, and `\\`.
fn parse_replacement(text: &str, groups: usize) -> Result<Vec<SubstitutionPart>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            literal.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => literal.push('\\'),
            Some(digit @ '0'..='9') => {
                let group = usize::from(u8::try_from(digit).unwrap_or(b'0') - b'0');
                if group > groups {
                    return Err(format!("\\{group} is used, but the pattern has {groups} groups"));
                }
                if !literal.is_empty() {
                    parts.push(SubstitutionPart::Text(std::mem::take(&mut literal).into()));
                }
                parts.push(SubstitutionPart::Group(group));
            }
            _ => return Err("after a backslash only a digit or a backslash can follow".into()),
        }
    }
    if !literal.is_empty() {
        parts.push(SubstitutionPart::Text(literal.into()));
    }
    Ok(parts)
}
