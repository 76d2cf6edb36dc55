//! What a Mapping, or the Module for all of them, asks of an upstream.

use std::sync::Arc;
use std::time::Duration;

use crate::model::object::Severity;
use crate::model::policy::{CircuitBreaker, ClusterPolicy, DnsPolicy, Keepalive, Limit, Priority};

use super::balance::parse_load_balancer;
use super::fields::{Field, Fields, Problems};
use super::health::parse_health_checks;
use super::outlier::parse_outlier_detection;
use super::suggest::closest;

/// Longest `cluster_tag` and `stats_name`, in bytes: they become labels of metrics.
const MAX_NAME: usize = 256;

/// The fields that [`parse_cluster_policy`] reads.
pub(super) const FIELDS: &[&str] = &[
    "connect_timeout_ms",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "circuit_breakers",
    "load_balancer",
    "keepalive",
    "health_checks",
    "v3health_checks",
    "outlier_detection",
    "grpc",
    "dns_type",
    "respect_dns_ttl",
    "enable_ipv4",
    "enable_ipv6",
    "cluster_tag",
    "stats_name",
    "v3StatsName",
];

/// What is asked of the upstream. What isn't written, or can't be read, is left open.
pub(super) fn parse_cluster_policy(fields: &Fields<'_>, problems: &mut Problems) -> ClusterPolicy {
    let grpc = flag("grpc", fields, problems);
    let stats_name = if fields.get("stats_name").is_some() { "stats_name" } else { "v3StatsName" };
    ClusterPolicy {
        connect_timeout: parse_connect_timeout(fields, problems),
        idle_timeout: parse_limit("cluster_idle_timeout_ms", fields, problems),
        max_lifetime: parse_limit("cluster_max_connection_lifetime_ms", fields, problems),
        http2: grpc,
        load_balancer: parse_load_balancer(fields, problems),
        circuit_breakers: parse_circuit_breakers(fields, problems),
        keepalive: parse_keepalive(fields, problems),
        health_checks: parse_health_checks(fields, problems),
        outlier_detection: parse_outlier_detection(fields, problems),
        dns: parse_dns(fields, problems),
        tag: parse_tag(fields, problems),
        stats_name: parse_name(stats_name, fields, problems),
    }
}

/// `priority`.
pub(super) fn parse_priority(fields: &Fields<'_>, problems: &mut Problems) -> Option<Priority> {
    let field = fields.get("priority").filter(|field| !field.node.is_neutral())?;
    priority_of(&field, problems)
}

/// `circuit_breakers`; one without a field has Envoy's limit for it.
pub(super) fn parse_circuit_breakers(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Arc<[CircuitBreaker]>> {
    let field = fields.get("circuit_breakers").filter(|field| !field.node.is_neutral())?;
    let mut breakers: Vec<CircuitBreaker> = Vec::new();
    for item in items(&field, problems) {
        let Some(breaker) = parse_breaker(&item, problems) else { continue };
        if breakers.iter().any(|other| other.priority == breaker.priority) {
            let message = "is a second one of the same priority and ignored; write one for each";
            problems.add(Severity::Warning, &item, message);
            continue;
        }
        breakers.push(breaker);
    }
    (!breakers.is_empty()).then(|| breakers.into())
}

/// `keepalive`: seconds, and a number of probes. Emissary reads `time` where its definition says
/// `idle_time`.
pub(super) fn parse_keepalive(fields: &Fields<'_>, problems: &mut Problems) -> Option<Keepalive> {
    let field = fields.get("keepalive").filter(|field| !field.node.is_neutral())?;
    let entries = field.entries(Severity::Warning, problems);
    if entries.is_empty() {
        return None;
    }
    complain_of_unknown(&entries, &["probes", "idle_time", "time", "interval"], problems);
    let mut number = |name: &str| {
        let field = field.child(name)?;
        count_of(&field, 1, problems)
    };
    let seconds = |number: u32| Duration::from_secs(number.into());
    let probes = number("probes");
    let idle = number("idle_time").or_else(|| number("time")).map(seconds);
    Some(Keepalive { probes, idle, interval: number("interval").map(seconds) })
}

/// Milliseconds; 0 is no limit.
pub(super) fn parse_limit(
    name: &str,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Limit> {
    let number = fields.int(name, Severity::Warning, problems)?;
    match u32::try_from(number) {
        Ok(0) => Some(Limit::Unlimited),
        Ok(milliseconds) => Some(Limit::After(Duration::from_millis(milliseconds.into()))),
        Err(_) => {
            if let Some(field) = fields.get(name) {
                let message = format!(
                    "{number} is out of range and ignored; write milliseconds, or 0 for no limit"
                );
                problems.add(Severity::Warning, &field, message);
            }
            None
        }
    }
}

/// A whole number from `least` to what fits into 32 bits.
pub(super) fn count_of(field: &Field<'_>, least: u32, problems: &mut Problems) -> Option<u32> {
    let number = field.node.as_int().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| *number >= least);
    if number.is_none() {
        let found = field.node.as_text().unwrap_or(field.node.describe());
        let message = format!("{found} is ignored; write a whole number from {least}");
        problems.add(Severity::Warning, field, message);
    }
    number
}

/// The items of a list, each with its path; a map alone is taken as the only item.
pub(super) fn items<'a>(field: &Field<'a>, problems: &mut Problems) -> Vec<Field<'a>> {
    use super::node::Value;
    match &field.node.value {
        Value::List(nodes) => nodes
            .iter()
            .enumerate()
            .map(|(index, node)| Field {
                path: format!("{}[{index}]", field.path),
                location: node.location.or(field.location),
                node,
            })
            .collect(),
        Value::Map(_) => vec![field.clone()],
        Value::Scalar { .. } => {
            let message = format!("expected a list, found {}", field.node.describe());
            problems.add(Severity::Warning, field, message);
            Vec::new()
        }
    }
}

/// Tells which entries nobody knows, with the name that was probably meant.
pub(super) fn complain_of_unknown(
    entries: &[(&str, Field<'_>)],
    known: &[&str],
    problems: &mut Problems,
) {
    for (name, field) in entries.iter().filter(|(name, _)| !known.contains(name)) {
        let message = match closest(name, known.iter().copied()) {
            Some(other) => format!("is not known and ignored; did you mean {other}?"),
            None => format!("is not known and ignored; known are {}", known.join(", ")),
        };
        problems.add(Severity::Warning, field, message);
    }
}

fn priority_of(field: &Field<'_>, problems: &mut Problems) -> Option<Priority> {
    // v1 and v2 have been written in capitals as well.
    match field.text(Severity::Warning, problems)?.to_ascii_lowercase().as_str() {
        "default" => Some(Priority::Default),
        "high" => Some(Priority::High),
        other => {
            let message = format!("\"{other}\" is not a priority; write default or high");
            problems.add(Severity::Warning, field, message);
            None
        }
    }
}

fn parse_breaker(field: &Field<'_>, problems: &mut Problems) -> Option<CircuitBreaker> {
    const KNOWN: &[&str] =
        &["priority", "max_connections", "max_pending_requests", "max_requests", "max_retries"];
    let entries = field.entries(Severity::Warning, problems);
    if entries.is_empty() {
        return None;
    }
    complain_of_unknown(&entries, KNOWN, problems);
    let priority = match field.child("priority") {
        Some(priority) => priority_of(&priority, problems)?,
        None => Priority::Default,
    };
    let default = CircuitBreaker::of(priority);
    let mut number = |name: &str, otherwise: u32| {
        field.child(name).and_then(|one| count_of(&one, 0, problems)).unwrap_or(otherwise)
    };
    Some(CircuitBreaker {
        priority,
        max_connections: number("max_connections", default.max_connections),
        max_pending_requests: number("max_pending_requests", default.max_pending_requests),
        max_requests: number("max_requests", default.max_requests),
        max_retries: number("max_retries", default.max_retries),
    })
}

fn parse_dns(fields: &Fields<'_>, problems: &mut Problems) -> DnsPolicy {
    let logical = fields.get("dns_type").filter(|field| !field.node.is_neutral());
    let logical = logical.and_then(|field| {
        match field.text(Severity::Warning, problems)?.to_ascii_lowercase().as_str() {
            "strict_dns" => Some(false),
            "logical_dns" => Some(true),
            other => {
                let message = format!("\"{other}\" is ignored; write strict_dns or logical_dns");
                problems.add(Severity::Warning, &field, message);
                None
            }
        }
    });
    let dns = DnsPolicy {
        logical,
        respect_ttl: flag("respect_dns_ttl", fields, problems),
        ipv4: flag("enable_ipv4", fields, problems),
        ipv6: flag("enable_ipv6", fields, problems),
    };
    if let (Some(false), Some(false), Some(field)) = (dns.ipv4, dns.ipv6, fields.get("enable_ipv4"))
    {
        let message = "leaves no addresses together with enable_ipv6: false; IPv4 is used";
        problems.add(Severity::Warning, &field, message);
    }
    dns
}

fn flag(name: &str, fields: &Fields<'_>, problems: &mut Problems) -> Option<bool> {
    let field = fields.get(name)?;
    let flag = field.node.as_bool();
    if flag.is_none() {
        let message = format!("expected true or false, found {}", field.node.describe());
        problems.add(Severity::Warning, &field, message);
    }
    flag
}

/// A tag only tells clusters apart, so that it counts as it is written.
fn parse_tag(fields: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let tag = parse_name("cluster_tag", fields, problems)?;
    if let (Some(field), true) = (fields.get("cluster_tag"), tag.contains(char::is_whitespace)) {
        let word = tag.split_whitespace().collect::<Vec<_>>().join("_");
        let message = match word.is_empty() {
            true => "has nothing but blanks in it; write one word, or leave it out".to_owned(),
            false => format!("\"{tag}\" is not one word; write {word}"),
        };
        problems.add(Severity::Warning, &field, message);
    }
    Some(tag)
}

fn parse_name(name: &str, fields: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let field = fields.get(name)?;
    let text = field.text(Severity::Warning, problems)?;
    if text.len() <= MAX_NAME {
        return (!text.is_empty()).then(|| text.into());
    }
    let message = format!("is longer than {MAX_NAME} bytes and ignored");
    problems.add(Severity::Warning, &field, message);
    None
}

fn parse_connect_timeout(fields: &Fields<'_>, problems: &mut Problems) -> Option<Duration> {
    let number = fields.int("connect_timeout_ms", Severity::Warning, problems)?;
    match u32::try_from(number) {
        Ok(milliseconds @ 1..) => Some(Duration::from_millis(milliseconds.into())),
        _ => {
            if let Some(field) = fields.get("connect_timeout_ms") {
                let message =
                    format!("has to be a positive number of milliseconds; {number} is ignored");
                problems.add(Severity::Warning, &field, message);
            }
            None
        }
    }
}
