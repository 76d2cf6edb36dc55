//! From a Mapping's spec to a route.

use std::time::Duration;

use crate::model::object::{Problem, Severity};
use crate::model::policy::{Limit, RoutePolicy};
use crate::model::route::Route;

use super::ParseSettings;
use super::action::parse_action;
use super::fields::{Fields, Problems, last_of_each_key};
use super::headers::parse_edits;
use super::matching::{ApiVersion, parse_match};
use super::suggest::closest;
use super::upgrade::parse_upgrades;

/// After this many unknown fields the rest are left unmentioned: it isn't a Mapping's spec.
const MAX_UNKNOWN: usize = 20;

/// Fields with an effect.
const EFFECTIVE: &[&str] = &[
    "ambassador_id",
    "prefix",
    "prefix_regex",
    "prefix_exact",
    "case_sensitive",
    "service",
    "hostname",
    "host",
    "host_regex",
    "headers",
    "regex_headers",
    "query_parameters",
    "regex_query_parameters",
    "method",
    "method_regex",
    "precedence",
    "weight",
    "rewrite",
    "regex_rewrite",
    "host_rewrite",
    "auto_host_rewrite",
    "host_redirect",
    "path_redirect",
    "prefix_redirect",
    "regex_redirect",
    "redirect_response_code",
    "add_request_headers",
    "add_response_headers",
    "remove_request_headers",
    "remove_response_headers",
    "timeout_ms",
    "idle_timeout_ms",
    "connect_timeout_ms",
    "resolver",
    "tls",
    "shadow",
    "allow_upgrade",
    "use_websocket",
];

/// Fields that are for others to read, and crumbs of Emissary's conversion between versions.
const SILENT: &[&str] =
    &["labels", "docs", "v2ExplicitTLS", "v2BoolHeaders", "v2BoolQueryParameters"];

/// Fields of a Mapping that have no effect yet; `rate_limits` is v0's form of `labels`.
const NO_EFFECT: &[&str] = &[
    "priority",
    "add_linkerd_headers",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "retry_policy",
    "circuit_breakers",
    "load_balancer",
    "keepalive",
    "health_checks",
    "v3health_checks",
    "outlier_detection",
    "cors",
    "grpc",
    "dns_type",
    "respect_dns_ttl",
    "enable_ipv4",
    "enable_ipv6",
    "bypass_auth",
    "auth_context_extensions",
    "cluster_tag",
    "stats_name",
    "v3StatsName",
    "modules",
    "envoy_override",
    "error_response_overrides",
    "bypass_error_response_overrides",
    "rate_limits",
];

/// Values that ask for what happens anyway.
const DEFAULTS: &[(&str, &str)] =
    &[("priority", "default"), ("dns_type", "strict_dns"), ("enable_ipv4", "true")];

/// The route that a Mapping in `namespace` asks for, or `None` where a problem forbids one.
pub(super) fn parse_mapping(
    fields: &Fields<'_>,
    version: ApiVersion,
    namespace: &str,
    settings: &ParseSettings,
    problems: &mut Problems,
) -> Option<Route> {
    tell_other_fields(fields, problems);
    let matches = parse_match(fields, version, problems);
    let action = parse_action(fields, namespace, settings, problems);
    let precedence = fields.int("precedence", Severity::Error, problems).unwrap_or(0);
    let weight = parse_weight(fields, problems);
    let request_headers = parse_edits("request", fields, problems);
    let response_headers = parse_edits("response", fields, problems);
    let timeout = parse_timeout("timeout_ms", fields, problems);
    let idle_timeout = parse_timeout("idle_timeout_ms", fields, problems);
    let upgrades = parse_upgrades(fields, problems);
    Some(Route {
        matches: matches?,
        precedence,
        weight,
        action: action?,
        request_headers,
        response_headers,
        policy: RoutePolicy { timeout, idle_timeout, upgrades, ..RoutePolicy::default() },
    })
}

/// Tells which fields have no effect, aren't known, or are written twice.
fn tell_other_fields(fields: &Fields<'_>, problems: &mut Problems) {
    let last = last_of_each_key(fields.entries);
    if last.len() < fields.entries.len() {
        let message = "a field is written twice; the last one counts";
        problems.add_at(Severity::Warning, "", fields.location, message);
    }
    let mut unknown = 0;
    for entry in last {
        let name = entry.key.as_str();
        if EFFECTIVE.contains(&name) || SILENT.contains(&name) {
            continue;
        }
        if NO_EFFECT.contains(&name) {
            let value = entry.value.as_text().unwrap_or_default();
            if !entry.value.is_neutral() && !DEFAULTS.contains(&(name, value)) {
                problems.push(Problem { location: entry.location, ..Problem::no_effect(name) });
            }
            continue;
        }
        // The API server prunes what it doesn't know; only text can hold typing errors.
        if entry.location.is_some() && unknown < MAX_UNKNOWN {
            unknown += 1;
            let known = EFFECTIVE.iter().chain(SILENT).chain(NO_EFFECT).copied();
            let message = match closest(name, known) {
                Some(other) => format!("is not a field of a Mapping; did you mean {other}?"),
                None => "is not a field of a Mapping and is ignored".to_owned(),
            };
            problems.add_at(Severity::Warning, name, entry.location, message);
        }
    }
}

/// A share in percent. Emissary serves a lone Mapping whatever its weight, so that one above 100
/// is taken as 100; a negative one means nothing.
fn parse_weight(fields: &Fields<'_>, problems: &mut Problems) -> Option<u8> {
    let number = fields.int("weight", Severity::Error, problems)?;
    let field = fields.get("weight")?;
    let message = format!("{number} is not a share in percent; write a number from 0 to 100");
    match number {
        0..=100 => u8::try_from(number).ok(),
        101.. => {
            problems.add(Severity::Warning, &field, format!("{message} (taken as 100)"));
            Some(100)
        }
        _ => {
            problems.add(Severity::Error, &field, message);
            None
        }
    }
}

/// Milliseconds; 0 is no limit.
fn parse_timeout(name: &str, fields: &Fields<'_>, problems: &mut Problems) -> Option<Limit> {
    let number = fields.int(name, Severity::Warning, problems)?;
    match u64::try_from(number) {
        Ok(0) => Some(Limit::Unlimited),
        Ok(milliseconds) => Some(Limit::After(Duration::from_millis(milliseconds))),
        Err(_) => {
            if let Some(field) = fields.get(name) {
                let message = format!(
                    "{number} is negative and ignored; write milliseconds, or 0 for no limit"
                );
                problems.add(Severity::Warning, &field, message);
            }
            None
        }
    }
}
