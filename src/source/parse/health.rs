//! `health_checks`.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::model::object::Severity;
use crate::model::policy::{HealthCheck, HealthProbe, StatusRange};

use super::cluster::{complain_of_unknown, count_of, items};
use super::duration::duration_of;
use super::fields::{Field, Fields, Problems};

/// Emissary's defaults.
const TIMEOUT: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_secs(5);
const UNHEALTHY: u32 = 2;
const HEALTHY: u32 = 1;

/// More often would be load, not a check.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The `health_checks` of a Mapping (`v3health_checks` in its v2 form). One that can't be read is
/// left out: endpoints must not be found ill for it.
pub(super) fn parse_health_checks(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Arc<[HealthCheck]>> {
    let field = fields.get("health_checks").or_else(|| fields.get("v3health_checks"))?;
    if field.node.is_neutral() {
        return None;
    }
    let checks: Vec<HealthCheck> =
        items(&field, problems).iter().filter_map(|item| parse_check(item, problems)).collect();
    (!checks.is_empty()).then(|| checks.into())
}

fn parse_check(field: &Field<'_>, problems: &mut Problems) -> Option<HealthCheck> {
    const KNOWN: &[&str] =
        &["timeout", "interval", "unhealthy_threshold", "healthy_threshold", "health_check"];
    if !field.is_map(Severity::Warning, problems) {
        return None;
    }
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, KNOWN, problems);
    let mut span = |name: &str, otherwise: Duration| {
        field.child(name).and_then(|one| duration_of(&one, false, problems)).unwrap_or(otherwise)
    };
    let timeout = span("timeout", TIMEOUT);
    let interval = span("interval", INTERVAL).max(MIN_INTERVAL);
    let mut number = |name: &str, otherwise: u32| {
        field.child(name).and_then(|one| count_of(&one, 1, problems)).unwrap_or(otherwise)
    };
    let unhealthy_threshold = number("unhealthy_threshold", UNHEALTHY);
    let healthy_threshold = number("healthy_threshold", HEALTHY);
    let Some(check) = field.child("health_check") else {
        let message = "is ignored; write health_check with http or grpc into it";
        problems.add(Severity::Warning, field, message);
        return None;
    };
    let entries = check.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, &["http", "grpc"], problems);
    let probe = match (check.child("http"), check.child("grpc")) {
        (Some(http), None) => parse_http(&http, problems)?,
        (None, Some(grpc)) => parse_grpc(&grpc, problems)?,
        (Some(_), Some(grpc)) => {
            let message = "stands beside http, so the check is ignored; write two checks";
            problems.add(Severity::Warning, &grpc, message);
            return None;
        }
        (None, None) => {
            problems.add(Severity::Warning, &check, "needs http or grpc");
            return None;
        }
    };
    Some(HealthCheck { timeout, interval, unhealthy_threshold, healthy_threshold, probe })
}

fn parse_http(field: &Field<'_>, problems: &mut Problems) -> Option<HealthProbe> {
    const KNOWN: &[&str] =
        &["path", "hostname", "add_request_headers", "remove_request_headers", "expected_statuses"];
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, KNOWN, problems);
    let Some(path) = field.child("path") else {
        problems.add(Severity::Warning, field, "needs the path to ask for");
        return None;
    };
    let text = path.text(Severity::Warning, problems)?;
    if !text.starts_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("\"{text}\" is not a path, so the check is ignored; write /…");
        problems.add(Severity::Warning, &path, message);
        return None;
    }
    let hostname = match field.child("hostname") {
        Some(host) => Some(parse_authority(&host, problems)?),
        None => None,
    };
    let remove = field.child("remove_request_headers");
    let remove = remove.map_or_else(Vec::new, |list| list.texts(Severity::Warning, problems));
    let remove_headers = remove
        .iter()
        .filter_map(|one| {
            let name = HeaderName::from_bytes(one.node.as_text()?.as_bytes()).ok();
            if name.is_none() {
                problems.add(Severity::Warning, one, "is not the name of a header");
            }
            name
        })
        .collect();
    Some(HealthProbe::Http {
        path: text.into(),
        hostname,
        add_headers: parse_added(field, problems),
        remove_headers,
        expected: parse_expected(field, problems),
    })
}

fn parse_grpc(field: &Field<'_>, problems: &mut Problems) -> Option<HealthProbe> {
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, &["upstream_name", "authority"], problems);
    let Some(service) = field.child("upstream_name") else {
        problems.add(Severity::Warning, field, "needs upstream_name, the service to ask about");
        return None;
    };
    let service = service.text(Severity::Warning, problems)?.into();
    let authority = match field.child("authority") {
        Some(authority) => Some(parse_authority(&authority, problems)?),
        None => None,
    };
    Some(HealthProbe::Grpc { service, authority })
}

fn parse_authority(field: &Field<'_>, problems: &mut Problems) -> Option<std::sync::Arc<str>> {
    let text = field.text(Severity::Warning, problems)?;
    if text.parse::<http::uri::Authority>().is_ok() {
        return Some(text.into());
    }
    let message = format!("\"{text}\" is not a host, so the check is ignored");
    problems.add(Severity::Warning, field, message);
    None
}

/// `{name: {value, append}}`, or the value alone.
fn parse_added(field: &Field<'_>, problems: &mut Problems) -> Vec<(HeaderName, HeaderValue)> {
    let Some(map) = field.child("add_request_headers") else { return Vec::new() };
    let entries = map.entries(Severity::Warning, problems);
    let pairs = entries.into_iter().filter_map(|(name, one)| {
        let value =
            if one.node.as_map().is_some() { one.child("value") } else { Some(one.clone()) };
        let text = value.and_then(|value| value.text(Severity::Warning, problems)).unwrap_or("");
        let pair =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(text).ok());
        if pair.is_none() {
            problems.add(Severity::Warning, &one, "can't stand in a request and is left out");
        }
        pair
    });
    pairs.collect()
}

fn parse_expected(field: &Field<'_>, problems: &mut Problems) -> Vec<StatusRange> {
    let Some(list) = field.child("expected_statuses") else { return Vec::new() };
    let mut ranges = Vec::new();
    for item in items(&list, problems) {
        let bound = |name: &str| {
            item.child(name).and_then(|one| one.node.as_int()).and_then(|n| u16::try_from(n).ok())
        };
        match (bound("min"), bound("max")) {
            (Some(min), Some(max)) if (100..600).contains(&min) && (min..600).contains(&max) => {
                ranges.push(StatusRange { min, max });
            }
            _ => {
                let message = "is ignored; write min and max, both from 100 to 599";
                problems.add(Severity::Warning, &item, message);
            }
        }
    }
    ranges
}
