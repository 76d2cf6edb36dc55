//! The merged configuration as people read it.

use std::borrow::Cow;
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::config::{Leg, RouteGroup};
use nuncio::model::listener::Listener;
use nuncio::model::route::{
    Action, HeaderEdits, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite, Redirect,
    RedirectPath, RegexSubstitution, RouteMatch, SubstitutionPart, ValueMatch,
};
use nuncio::model::template::{Operator, Values};
use serde::Serialize;

use crate::case::Case;
use crate::listeners;

/// What is printed where there are ports to tell of.
#[derive(Serialize)]
struct Whole {
    listeners: Vec<listeners::Port>,
    routes: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    #[serde(rename = "match")]
    matches: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    precedence: i64,
    /// The selectors of the hosts that serve it, where not all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    served_by: Vec<String>,
    legs: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    object: String,
    draws: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_headers: Vec<String>,
    timeouts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrades: Option<String>,
}

fn is_zero(precedence: &i64) -> bool {
    *precedence == 0
}

pub(crate) fn dump(case: &Case) -> String {
    let config = &case.build.config;
    // The gateway's own probes are in every configuration; the case `article` asks for them.
    let is_probe = |group: &RouteGroup| matches!(group.first().route.action, Action::Probe(_));
    let (probes, groups): (Vec<_>, Vec<_>) =
        config.groups.iter().partition(|group| is_probe(group));
    assert_eq!(probes.len(), 2, "check_alive and check_ready");
    let mut groups: Vec<Group> = groups.into_iter().map(|group| describe(group)).collect();
    // By path, for people; the order in the configuration has no meaning.
    groups.sort_by(|a, b| a.matches[1].cmp(&b.matches[1]).then_with(|| a.matches.cmp(&b.matches)));
    // Without a Listener or Host there is nothing to tell of ports.
    match config.listeners.as_slice() {
        [only] if **only == Listener::plain(8080) => serde_saphyr::to_string(&groups).unwrap(),
        all => {
            let listeners = all.iter().map(|listener| listeners::describe(listener)).collect();
            serde_saphyr::to_string(&Whole { listeners, routes: groups }).unwrap()
        }
    }
}

fn describe(group: &RouteGroup) -> Group {
    Group {
        matches: conditions(group.matches()),
        precedence: group.precedence,
        served_by: served_by(group),
        legs: group.legs.iter().chain(group.mirror()).map(|leg| member(leg)).collect(),
    }
}

fn served_by(group: &RouteGroup) -> Vec<String> {
    let attachment = &group.attachment;
    if attachment.selectors.is_empty() {
        return vec![];
    }
    let all = attachment.by_host.then(|| "hosts without a selector".to_owned());
    all.into_iter().chain(attachment.selectors.iter().map(listeners::selector)).collect()
}

fn conditions(matches: &RouteMatch) -> Vec<String> {
    let host = matches.host.as_ref().map_or("none".to_owned(), host);
    let mut conditions = vec![format!("host {host}"), path(&matches.path)];
    conditions.extend(matches.method.iter().map(|method| format!("method {}", value(method))));
    let headers = matches.headers.iter();
    conditions
        .extend(headers.map(|header| format!("header {} {}", header.name, value(&header.value))));
    let query = matches.query.iter();
    conditions.extend(query.map(|query| format!("query {} {}", query.name, value(&query.value))));
    conditions
}

pub(crate) fn host(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "any".to_owned(),
        HostMatch::Exact(name) => format!("= {name}"),
        HostMatch::Suffix(end) => format!("ends in {end}"),
        HostMatch::Prefix(start) => format!("begins with {start}"),
        HostMatch::Regex(regex) => format!("~ {}", regex.as_str()),
    }
}

fn path(path: &PathMatch) -> String {
    let case = if path.case_sensitive { "" } else { " in any case" };
    match &path.kind {
        PathMatchKind::Exact(text) => format!("path = {text}{case}"),
        PathMatchKind::Prefix(text) => format!("path begins with {text}{case}"),
        PathMatchKind::Regex(regex) => format!("path ~ {}{case}", regex.as_str()),
    }
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "is there".to_owned(),
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(regex) => format!("~ {}", regex.as_str()),
    }
}

fn member(leg: &Leg) -> Member {
    let route = &leg.route;
    let timeouts = [
        ("response", route.policy.timeout()),
        ("idle", route.policy.idle_timeout()),
        ("connect", connect_timeout(&route.action)),
    ];
    let timeouts = timeouts.map(|(name, limit)| format!("{name} {}", duration(limit)));
    let mut member = Member {
        object: leg.key.to_string(),
        draws: format!("{}..{}", leg.share.from, leg.share.to),
        action: String::new(),
        cluster: None,
        path: None,
        host: None,
        request_headers: edits(&route.request_headers),
        response_headers: edits(&route.response_headers),
        timeouts: timeouts.join(", "),
        upgrades: route.policy.upgrades.as_ref().map(|protocols| protocols.join(", ")),
    };
    match &route.action {
        Action::Forward(forward) => {
            member.action = match &forward.cluster.upstream {
                Upstream::Address(address) => format!("forward to address {address}"),
                Upstream::Name { host, port } => format!("forward to name {host}, port {port}"),
                Upstream::Service(reference) => format!(
                    "forward to endpoints of Service {}, port {}",
                    reference.service, reference.port
                ),
            };
            member.cluster = Some(forward.cluster.name.to_string());
            member.path = Some(path_rewrite(&forward.path));
            member.host = host_rewrite(&forward.host);
        }
        Action::Redirect(redirect) => {
            member.action =
                format!("redirect {} to {}", redirect.status.as_u16(), redirect.authority);
            member.path = Some(redirect_path(redirect));
        }
        Action::Mirror(cluster) => {
            member.action = format!("copies to {}", cluster.upstream.authority());
            member.cluster = Some(cluster.name.to_string());
        }
        Action::Probe(probe) => member.action = format!("{probe:?}"),
    }
    member
}

fn connect_timeout(action: &Action) -> Option<Duration> {
    match action {
        Action::Redirect(_) | Action::Probe(_) => None,
        other => other.cluster().map(|cluster| cluster.policy.connect_timeout()),
    }
}

fn duration(limit: Option<Duration>) -> String {
    limit.map_or("none".to_owned(), |limit| format!("{limit:?}"))
}

fn path_rewrite(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Keep => "keep".to_owned(),
        PathRewrite::Matched(by) => format!("matched text becomes {by}"),
        PathRewrite::Regex(by) => substitution(by),
    }
}

fn redirect_path(redirect: &Redirect) -> String {
    match &redirect.path {
        RedirectPath::Keep => "keep".to_owned(),
        RedirectPath::Replace(by) => format!("becomes {by}"),
        RedirectPath::ReplaceMatched(by) => format!("matched text becomes {by}"),
        RedirectPath::Regex(by) => substitution(by),
    }
}

fn substitution(substitution: &RegexSubstitution) -> String {
    let parts = substitution.replacement.iter().map(|part| match part {
        SubstitutionPart::Text(text) => format!("\"{text}\""),
        SubstitutionPart::Group(number) => format!("group {number}"),
    });
    let parts: Vec<String> = parts.collect();
    format!("each {} becomes {}", substitution.pattern.as_str(), parts.join(" + "))
}

fn host_rewrite(rewrite: &HostRewrite) -> Option<String> {
    match rewrite {
        HostRewrite::Keep => None,
        HostRewrite::Literal(host) => Some(format!("= {host}")),
        HostRewrite::Upstream => Some("the upstream's".to_owned()),
    }
}

fn edits(edits: &HeaderEdits) -> Vec<String> {
    let removed = edits.remove.iter().map(|name| format!("remove {name}"));
    let added = edits.add.iter().map(|add| {
        let verb = if add.append { "append" } else { "set" };
        let value = add.value.render(&Names).unwrap_or_default();
        format!("{verb} {}: {value}", add.name)
    });
    removed.chain(added).collect()
}

/// Shows operators by name instead of by value.
struct Names;

impl Values for Names {
    fn value(&self, operator: &Operator) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(format!("<{operator:?}>")))
    }
}
