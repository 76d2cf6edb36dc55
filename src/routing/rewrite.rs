//! What becomes of a path on its way upstream, and where a redirect leads.

use crate::model::route::{
    Forward, PathMatch, PathMatchKind, PathRewrite, Redirect, RedirectPath, RegexSubstitution,
    SubstitutionPart,
};

/// The path that goes upstream, or `None` where it stays as it is.
pub fn rewrite_path(forward: &Forward, matched: &PathMatch, path: &str) -> Option<String> {
    let rewritten = match &forward.path {
        PathRewrite::Keep => return None,
        PathRewrite::Matched(by) => replace_matched(matched, path, by),
        PathRewrite::Regex(substitution) => substitute(substitution, path)?,
    };
    (rewritten != path).then_some(rewritten)
}

/// Where an insecure request is sent (Envoy's `https_redirect`): an explicit port 80 goes, any other
/// stays. `path` is with its query.
pub fn https_location(authority: &str, path: &str) -> String {
    format!("https://{}{path}", authority.strip_suffix(":80").unwrap_or(authority))
}

/// The `Location` of a redirect; `scheme` is the request's. The query is kept, unless the path that
/// is written for all requests has one of its own.
pub fn redirect_location(
    redirect: &Redirect,
    matched: &PathMatch,
    scheme: &str,
    path: &str,
    query: Option<&str>,
) -> String {
    let path = match &redirect.path {
        RedirectPath::Keep => path.to_owned(),
        RedirectPath::Replace(by) => by.to_string(),
        RedirectPath::ReplaceMatched(by) => replace_matched(matched, path, by),
        RedirectPath::Regex(substitution) => {
            substitute(substitution, path).unwrap_or_else(|| path.to_owned())
        }
    };
    let authority = &redirect.authority;
    let own = matches!(&redirect.path, RedirectPath::Replace(by) if by.contains('?'));
    match query.filter(|_| !own) {
        Some(query) => format!("{scheme}://{authority}{path}?{query}"),
        None => format!("{scheme}://{authority}{path}"),
    }
}

/// The matched part of the path is replaced: a prefix, or all of an exact or regex match.
/// Plain concatenation, as Envoy does: `/foo` → `/` makes `/foo/bar` into `//bar`.
fn replace_matched(matched: &PathMatch, path: &str, by: &str) -> String {
    let rest = match &matched.kind {
        PathMatchKind::Prefix(prefix) => path.get(prefix.len()..).unwrap_or_default(),
        PathMatchKind::Exact(_) | PathMatchKind::Regex(_) => "",
    };
    format!("{by}{rest}")
}

fn substitute(substitution: &RegexSubstitution, path: &str) -> Option<String> {
    substitution.pattern.replace_all(path, |group, out| {
        for part in &substitution.replacement {
            match part {
                SubstitutionPart::Text(text) => out.push_str(text),
                SubstitutionPart::Group(number) => {
                    out.push_str(&group(*number).unwrap_or_default());
                }
            }
        }
    })
}
