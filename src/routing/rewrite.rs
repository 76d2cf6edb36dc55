//! What becomes of a path on its way upstream, and where a redirect leads.

use crate::model::route::{Forward, PathMatch, Redirect};

/// The path that goes upstream, or `None` where it stays as it is.
pub fn rewrite_path(forward: &Forward, matched: &PathMatch, path: &str) -> Option<String> {
    let _ = (forward, matched, path);
    None
}

/// The `Location` of a redirect; `scheme` is the request's.
pub fn redirect_location(
    redirect: &Redirect,
    matched: &PathMatch,
    scheme: &str,
    path: &str,
    query: Option<&str>,
) -> String {
    let _ = (redirect, matched, scheme, path, query);
    String::new()
}
