//! The conditions of a match, each a pure function of the request's head.

use http::HeaderMap;

use super::table::RequestHead;
use crate::model::route::{
    HeaderMatch, HostMatch, PathMatch, PathMatchKind, QueryMatch, RouteMatch, ValueMatch,
};

/// Whether everything but host and path holds; the table's index has seen to those.
pub(super) fn residual_holds(matches: &RouteMatch, head: &RequestHead<'_>) -> bool {
    method_holds(matches, head)
        && matches.headers.iter().all(|condition| header_holds(condition, head.headers))
        && matches.query.iter().all(|condition| query_holds(condition, head.query))
}

pub(super) fn method_holds(matches: &RouteMatch, head: &RequestHead<'_>) -> bool {
    matches.method.as_ref().is_none_or(|method| value_holds(method, head.method.as_str()))
}

/// Host names are compared without case (RFC 9110, 4.2.3). A condition that names no port holds
/// for any port.
pub(super) fn host_holds(condition: &HostMatch, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let bare = without_port(&host);
    let either =
        |test: &dyn Fn(&str) -> bool| test(bare) || (bare.len() != host.len() && test(&host));
    match condition {
        HostMatch::Any => true,
        HostMatch::Exact(name) => either(&|host| host == &**name),
        HostMatch::Suffix(end) => either(&|host| host.len() > end.len() && host.ends_with(&**end)),
        HostMatch::Prefix(start) => {
            either(&|host| host.len() > start.len() && host.starts_with(&**start))
        }
        HostMatch::Regex(regex) => either(&|host| regex.is_match(host)),
    }
}

/// `host:port` → `host`; brackets of an IPv6 address stay.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

pub(super) fn path_holds(condition: &PathMatch, path: &str) -> bool {
    let insensitive = !condition.case_sensitive;
    match &condition.kind {
        PathMatchKind::Exact(text) if insensitive => path.eq_ignore_ascii_case(text),
        PathMatchKind::Exact(text) => path == &**text,
        PathMatchKind::Prefix(text) if insensitive => path
            .as_bytes()
            .get(..text.len())
            .is_some_and(|p| p.eq_ignore_ascii_case(text.as_bytes())),
        PathMatchKind::Prefix(text) => path.starts_with(&**text),
        PathMatchKind::Regex(regex) => regex.is_match(path),
    }
}

pub(super) fn value_holds(condition: &ValueMatch, value: &str) -> bool {
    match condition {
        ValueMatch::Present => true,
        ValueMatch::Exact(text) => value == &**text,
        ValueMatch::Regex(regex) => regex.is_match(value),
    }
}

/// Several values of a name are joined by a comma first, as Envoy does. A value that is not
/// text matches nothing but presence.
pub(super) fn header_holds(condition: &HeaderMatch, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(&*condition.name).iter();
    let Some(first) = values.next() else { return false };
    if condition.value == ValueMatch::Present {
        return true;
    }
    let Ok(first) = first.to_str() else { return false };
    let rest: Result<Vec<&str>, _> = values.map(|value| value.to_str()).collect();
    match rest {
        Ok(rest) if rest.is_empty() => value_holds(&condition.value, first),
        Ok(rest) => value_holds(&condition.value, &format!("{first},{}", rest.join(","))),
        Err(_) => false,
    }
}

/// Looks at the first parameter of the name, as it was sent: neither decoded nor split further.
pub(super) fn query_holds(condition: &QueryMatch, query: Option<&str>) -> bool {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| *name == &*condition.name)
        .is_some_and(|(_, value)| value_holds(&condition.value, value))
}
