//! What a route asks for.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Effective, Finder, Origins, Source, shown};
use crate::admin::{describe, redact};
use crate::model::config::Leg;
use crate::model::listener::TcpLeg;
use crate::model::policy::Priority;
use crate::model::route::{Action, Forward, HeaderEdits, HostRewrite, PathRewrite, Redirect};
use crate::model::written::TcpRoute;

/// `rewrite` where none is written.
const REWRITE: &str = "/";
/// `redirect_response_code` where none is written.
const REDIRECT: u16 = 301;

/// Everything that a route says of its requests but for its match; nothing where nobody wrote it.
pub(in crate::admin) fn of_route(leg: &Leg, origins: &Origins<'_>) -> Vec<Effective> {
    let Some(written) = &leg.written else { return Vec::new() };
    let finder = Finder::new(&leg.key, origins.build);
    let route = &leg.route;
    let mut values = vec![
        finder.own("precedence", route.precedence, route.precedence != 0),
        finder.own("weight", leg.share.percent(), written.weight.is_some()),
    ];
    match &route.action {
        Action::Forward(forward) => values.extend(forwarding(forward, &finder)),
        Action::Redirect(redirect) => values.push(redirecting(redirect, &finder)),
        Action::Mirror(_) | Action::Probe(_) => {}
    }
    values.extend(policy(leg, &finder));
    values.extend(edits("request", &route.request_headers, &written.request_headers, &finder));
    values.extend(edits("response", &route.response_headers, &written.response_headers, &finder));
    values
}

/// What a TCPMapping says of its connections.
pub(in crate::admin) fn of_connections(
    leg: &TcpLeg,
    written: &TcpRoute,
    origins: &Origins<'_>,
) -> Vec<Effective> {
    let finder = Finder::new(&leg.key, origins.build);
    let idle = shown::limit(Some(leg.idle_timeout));
    vec![
        finder.own("weight", leg.share.percent(), written.weight.is_some()),
        finder.own("idle_timeout_ms", idle, written.idle_timeout.is_some()),
        finder.own("tls_passthrough", written.passthrough, written.passthrough),
    ]
}

fn forwarding(forward: &Forward, finder: &Finder<'_>) -> [Effective; 2] {
    let path = match &forward.path {
        PathRewrite::Keep => finder.own("rewrite", "", true),
        PathRewrite::Matched(by) => finder.own("rewrite", &**by, **by != *REWRITE),
        PathRewrite::Regex(by) => finder.own("regex_rewrite", describe::substitution(by), true),
    };
    let host = match &forward.host {
        HostRewrite::Keep => finder.own("host_rewrite", Json::Null, false),
        HostRewrite::Literal(host) => finder.own("host_rewrite", &**host, true),
        HostRewrite::Upstream => finder.own("auto_host_rewrite", true, true),
    };
    [path, host]
}

fn redirecting(redirect: &Redirect, finder: &Finder<'_>) -> Effective {
    let status = redirect.status.as_u16();
    finder.own("redirect_response_code", status, status != REDIRECT)
}

fn policy(leg: &Leg, finder: &Finder<'_>) -> Vec<Effective> {
    let Some(written) = &leg.written else { return Vec::new() };
    let (effective, own) = (&leg.route.policy, &written.policy);
    let defaults = finder.defaults().map(|defaults| &defaults.route);
    let module = |written: bool, field: &'static str| written.then_some(field);
    let retry = effective.retry.as_deref().map_or(Json::Null, shown::retry);
    let cors = effective.cors.as_deref().map_or(Json::Null, shown::cors);
    let upgrades: &[Arc<str>] = effective.upgrades.as_deref().unwrap_or_default();
    let upgrades: Json = upgrades.iter().map(|protocol| &**protocol).collect();
    let priority = shown::priority(effective.priority.unwrap_or(Priority::Default));
    let linkerd = effective.linkerd_headers.unwrap_or(false);
    vec![
        finder.value(
            "timeout_ms",
            shown::milliseconds(effective.timeout()),
            own.timeout.is_some(),
            module(defaults.is_some_and(|d| d.timeout.is_some()), "cluster_request_timeout_ms"),
        ),
        finder.own(
            "idle_timeout_ms",
            shown::milliseconds(effective.idle_timeout()),
            own.idle_timeout.is_some(),
        ),
        finder.value(
            "retry_policy",
            retry,
            own.retry.is_some(),
            module(defaults.is_some_and(|d| d.retry.is_some()), "retry_policy"),
        ),
        finder.value(
            "cors",
            cors,
            own.cors.is_some(),
            module(defaults.is_some_and(|d| d.cors.is_some()), "cors"),
        ),
        finder.own("priority", priority, own.priority.is_some()),
        finder.own("allow_upgrade", upgrades, own.upgrades.is_some()),
        finder.value(
            "add_linkerd_headers",
            linkerd,
            own.linkerd_headers.is_some(),
            module(defaults.is_some_and(|d| d.linkerd_headers.is_some()), "add_linkerd_headers"),
        ),
    ]
}

/// A value for each edit of one direction. The object's own come first, and the Module's after
/// them.
fn edits(
    direction: &str,
    effective: &HeaderEdits,
    own: &HeaderEdits,
    finder: &Finder<'_>,
) -> Vec<Effective> {
    let from = |position: usize, own: usize, field: &str| match position < own {
        true => Source::object(&finder.object, field),
        false => finder.module(&format!("defaults.httpmapping.{field}")),
    };
    let removed = effective.remove.iter().enumerate().map(|(position, name)| {
        let field = format!("remove_{direction}_headers");
        let from = from(position, own.remove.len(), &field);
        Effective::new(&field, name.as_str(), from)
    });
    let added = effective.add.iter().enumerate().map(|(position, add)| {
        let field = format!("add_{direction}_headers.{}", add.name);
        let from = from(position, own.add.len(), &field);
        let text = redact::shown(add.name.as_str(), describe::template(&add.value));
        let value = match add.append {
            true => Json::from(text),
            false => json!({ "value": text, "append": false }),
        };
        Effective::new(&field, value, from)
    });
    removed.chain(added).collect()
}
