//! Matches and actions in words, for diagnostics and explanations.

use super::redact;
use crate::model::cluster::Upstream;
use crate::model::key::{ObjectKey, Origin};
use crate::model::route::{
    Action, HeaderEdits, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite, Probe,
    RegexSubstitution, RouteMatch, SubstitutionPart, ValueMatch,
};
use crate::model::template::{Operator, Part, Template};

/// `Kind namespace/name`, without its origin.
pub(super) fn object(key: &ObjectKey) -> String {
    match key.namespace.is_empty() {
        true => format!("{} {}", key.kind.as_str(), key.name),
        false => format!("{} {}/{}", key.kind.as_str(), key.namespace, key.name),
    }
}

/// Where an object was written.
pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::BuiltIn => "built in".to_owned(),
        Origin::Resource => "resource".to_owned(),
        Origin::Annotation { carrier, index } => format!(
            "annotation of {} {}/{}, document {}",
            carrier.kind.as_str(),
            carrier.namespace,
            carrier.name,
            index + 1
        ),
        Origin::File { path, index } => format!("{path}, document {}", index + 1),
    }
}

/// All conditions of a match in one line.
pub(super) fn route_match(matches: &RouteMatch) -> String {
    let mut parts = Vec::new();
    if let Some(method) = &matches.method {
        parts.push(format!("method {}", value(method)));
    }
    parts.push(format!("host {}", matches.host.as_ref().map_or("(none)".to_owned(), host)));
    parts.push(path(&matches.path));
    let headers = matches.headers.iter();
    parts.extend(headers.map(|h| format!("header {} {}", h.name, named_value(&h.name, &h.value))));
    let query = matches.query.iter();
    parts.extend(query.map(|q| format!("query {} {}", q.name, named_value(&q.name, &q.value))));
    parts.join(", ")
}

/// A host as the author wrote it; a regular expression in slashes.
pub(super) fn host(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(name) => name.to_string(),
        HostMatch::Suffix(end) => format!("*{end}"),
        HostMatch::Prefix(start) => format!("{start}*"),
        HostMatch::Regex(regex) => format!("/{}/", regex.as_str()),
    }
}

/// A path's kind and text.
fn path(path: &PathMatch) -> String {
    let kind = match path.kind {
        PathMatchKind::Exact(_) => "path",
        PathMatchKind::Prefix(_) => "prefix",
        PathMatchKind::Regex(_) => "path regex",
    };
    let case = if path.case_sensitive { "" } else { " (in any case)" };
    format!("{kind} {}{case}", path.text())
}

/// A condition on a text.
pub(super) fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "present".to_owned(),
        ValueMatch::Exact(text) => text.to_string(),
        ValueMatch::Regex(regex) => format!("/{}/", regex.as_str()),
    }
}

/// The same of a header or a query parameter, which may hold what nobody may read.
pub(super) fn named_value(name: &str, value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => self::value(value),
        ValueMatch::Exact(_) | ValueMatch::Regex(_) => redact::shown(name, self::value(value)),
    }
}

/// A substitution as it is written in an object.
pub(super) fn substitution(substitution: &RegexSubstitution) -> String {
    let by: String = substitution.replacement.iter().map(part).collect();
    format!("/{}/ becomes {by}", substitution.pattern.as_str())
}

fn part(part: &SubstitutionPart) -> String {
    match part {
        SubstitutionPart::Text(text) => text.replace('\\', "\\\\"),
        SubstitutionPart::Group(group) => format!("\\{group}"),
    }
}

/// Emissary's `rewrite`: empty keeps the path.
pub(super) fn rewrite(action: &Action) -> String {
    match action {
        Action::Forward(forward) => match &forward.path {
            PathRewrite::Keep => String::new(),
            PathRewrite::Matched(by) => by.to_string(),
            PathRewrite::Regex(by) => substitution(by),
        },
        Action::Redirect(_) | Action::Mirror(_) | Action::Probe(_) => String::new(),
    }
}

/// What a route does, in the words of Emissary's diagnostics.
pub(super) fn target(action: &Action) -> String {
    match action {
        Action::Forward(forward) => forward.cluster.service.to_string(),
        Action::Mirror(cluster) => format!("copies to {}", cluster.service),
        Action::Redirect(redirect) => format!("redirect to {}", redirect.authority),
        Action::Probe(Probe::Alive) => "liveness of the gateway".to_owned(),
        Action::Probe(Probe::Ready) => "readiness of the gateway".to_owned(),
    }
}

/// Where a cluster's addresses come from.
pub(super) fn upstream(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Address(address) => format!("address {address}"),
        Upstream::Name { host, port } => format!("DNS name {host}, port {port}"),
        Upstream::Service(reference) => {
            format!("endpoints of Service {}, port {}", reference.service, reference.port)
        }
    }
}

/// The host that is sent upstream.
pub(super) fn upstream_host(rewrite: &HostRewrite, sent: &str, upstream: &Upstream) -> String {
    match rewrite {
        HostRewrite::Keep => sent.to_owned(),
        HostRewrite::Literal(host) => host.to_string(),
        HostRewrite::Upstream => match upstream {
            Upstream::Name { host, .. } => host.to_string(),
            other => other.authority(),
        },
    }
}

/// Header edits in their order, `- name` and `+ name: value`; `=` replaces.
pub(super) fn header_edits(edits: &HeaderEdits) -> Vec<String> {
    let removed = edits.remove.iter().map(|name| format!("- {name}"));
    let added = edits.add.iter().map(|add| {
        let sign = if add.append { '+' } else { '=' };
        let value = redact::shown(add.name.as_str(), template(&add.value));
        format!("{sign} {}: {value}", add.name)
    });
    removed.chain(added).collect()
}

/// A format string as it is written.
pub(super) fn template(template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.replace('%', "%%"),
        Part::Value(operator, limit) => {
            let limit = limit.map_or(String::new(), |limit| format!(":{limit}"));
            match operator {
                Operator::RequestHeader(name, or) => format!("%REQ({}){limit}%", either(name, or)),
                Operator::ResponseHeader(name, or) => {
                    format!("%RESP({}){limit}%", either(name, or))
                }
                Operator::Field(field) => format!("%{field:?}%"),
            }
        }
    };
    template.parts().iter().map(part).collect()
}

fn either(name: &str, or: &Option<std::sync::Arc<str>>) -> String {
    match or {
        Some(or) => format!("{name}?{or}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::regex::Regex;
    use crate::model::route::{HeaderMatch, QueryMatch};

    #[test]
    fn matches_are_told_whole() {
        let matches = RouteMatch {
            host: Some(HostMatch::Suffix(".example.com".into())),
            path: PathMatch { kind: PathMatchKind::Prefix("/a/".into()), case_sensitive: false },
            method: Some(ValueMatch::Exact("POST".into())),
            headers: vec![HeaderMatch { name: "x-user".into(), value: ValueMatch::Present }],
            query: vec![QueryMatch {
                name: "q".into(),
                value: ValueMatch::Regex(Regex::full("a+").unwrap()),
            }],
        };
        assert_eq!(
            route_match(&matches),
            "method POST, host *.example.com, prefix /a/ (in any case), header x-user present, query q /a+/"
        );
    }

    #[test]
    fn templates_are_shown_as_written() {
        for text in ["plain", "100%%", "%REQ(x-user?x-other):3%", "a%RESP(b)%c"] {
            assert_eq!(template(&Template::parse(text).unwrap()), text);
        }
    }
}
