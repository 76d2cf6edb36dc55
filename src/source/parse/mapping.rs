//! From a Mapping's spec to a route.

use std::sync::Arc;
use std::time::Duration;

use crate::model::common::Common;
use crate::model::object::{Problem, Severity};
use crate::model::policy::{Limit, RoutePolicy};
use crate::model::route::Route;
use crate::model::written::WrittenRoute;

use super::ParseSettings;
use super::action::parse_action;
use super::cluster::{self, parse_priority};
use super::cors::parse_cors;
use super::fields::{Fields, Problems};
use super::headers::parse_edits;
use super::known::Known;
use super::matching::{ApiVersion, parse_match};
use super::read::read_flag;
use super::retry::parse_retry;
use super::upgrade::parse_upgrades;

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
    "priority",
    "retry_policy",
    "resolver",
    "tls",
    "shadow",
    "cors",
    "add_linkerd_headers",
    "allow_upgrade",
    "use_websocket",
];

/// Fields that are for others to read, and crumbs of Emissary's conversion between versions.
const SILENT: &[&str] =
    &["labels", "docs", "v2ExplicitTLS", "v2BoolHeaders", "v2BoolQueryParameters"];

/// Fields of a Mapping that have no effect yet; `rate_limits` is v0's form of `labels`.
const NO_EFFECT: &[(&str, &str)] = &[
    ("bypass_auth", Problem::NO_EFFECT),
    ("auth_context_extensions", Problem::NO_EFFECT),
    ("modules", Problem::NO_EFFECT),
    ("envoy_override", Problem::NO_EFFECT),
    ("error_response_overrides", Problem::NO_EFFECT),
    ("bypass_error_response_overrides", Problem::NO_EFFECT),
    ("rate_limits", Problem::NO_EFFECT),
];

/// All of them.
const FIELDS: Known<'_> = Known {
    of: "a Mapping",
    effective: EFFECTIVE,
    elsewhere: cluster::FIELDS,
    silent: SILENT,
    no_effect: NO_EFFECT,
    defaults: &[],
};

/// The route that a Mapping in `namespace` asks for, or `None` where a problem forbids one.
pub(super) fn parse_mapping(
    fields: &Fields<'_>,
    version: ApiVersion,
    namespace: &Arc<str>,
    settings: &ParseSettings,
    problems: &mut Problems,
) -> Option<WrittenRoute> {
    FIELDS.tell(fields, problems);
    let matches = parse_match(fields, version, problems);
    let action = parse_action(fields, namespace, settings, problems);
    let precedence = fields.int("precedence", Severity::Error, problems).unwrap_or(0);
    let weight = parse_weight(fields, problems);
    let request_headers = parse_edits("request", fields, problems);
    let response_headers = parse_edits("response", fields, problems);
    let policy = parse_policy(fields, problems);
    Some(Route {
        matches: Arc::new(matches?),
        precedence,
        weight,
        action: action?,
        request_headers: request_headers.share(),
        response_headers: response_headers.share(),
        policy: policy.share(),
    })
}

/// What is asked beside match and action.
fn parse_policy(fields: &Fields<'_>, problems: &mut Problems) -> RoutePolicy {
    let flag = |name: &str, problems: &mut Problems| {
        fields.get(name).and_then(|field| read_flag(&field, problems))
    };
    RoutePolicy {
        timeout: parse_timeout("timeout_ms", fields, problems),
        idle_timeout: parse_timeout("idle_timeout_ms", fields, problems),
        retry: parse_retry(fields, problems),
        cors: fields.get("cors").and_then(|field| parse_cors(&field, problems)).map(Arc::new),
        priority: parse_priority(fields, problems),
        upgrades: parse_upgrades(fields, problems),
        linkerd_headers: flag("add_linkerd_headers", problems),
        bypass_auth: flag("bypass_auth", problems),
    }
}

/// A share in percent. Emissary serves a lone Mapping whatever its weight, so that one above 100
/// is taken as 100; a negative one means nothing.
pub(super) fn parse_weight(fields: &Fields<'_>, problems: &mut Problems) -> Option<u8> {
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
