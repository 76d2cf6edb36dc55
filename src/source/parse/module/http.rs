//! How HTTP is served.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;

use crate::model::object::Severity;
use crate::model::policy::{EscapedSlashes, HttpPolicy, Limit, UnderscoresAction};

use super::access_log::parse_access_log;
use super::addresses::parse_addresses;
use super::certificate::parse_certificate;
use super::compression::parse_compression;
use super::keys;
use crate::source::parse::fields::{Field, Problems};
use crate::source::parse::read::{read_choice, read_flag, read_int, tell_keys};

/// Envoy's own bounds of `max_request_headers_kb`.
const MAX_HEAD_KB: u32 = 8192;

/// The most that one request may hold back in memory.
const MAX_BUFFER: u32 = 1 << 30;

/// What `config` says of HTTP; what it leaves open has the product's default.
pub(super) fn parse_http(config: &Field<'_>, problems: &mut Problems) -> HttpPolicy {
    let mut policy = HttpPolicy::default();
    parse_flags(config, &mut policy, problems);
    parse_limits(config, &mut policy, problems);
    if let Some(name) = config.child("server_name") {
        policy.server_name = parse_server_name(&name, problems).unwrap_or(policy.server_name);
    }
    if let Some(field) = config.child("headers_with_underscores_action") {
        let choices = [
            ("ALLOW", UnderscoresAction::Allow),
            ("REJECT_REQUEST", UnderscoresAction::Reject),
            ("DROP_HEADER", UnderscoresAction::Drop),
        ];
        policy.underscores = read_choice(&field, &choices, problems).unwrap_or(policy.underscores);
    }
    policy.compression = config.child("gzip").and_then(|gzip| parse_compression(&gzip, problems));
    policy.addresses = parse_addresses(config, problems);
    policy.client_certificate = parse_certificate(config, problems);
    policy.access_log = parse_access_log(config, problems);
    policy
}

fn parse_flags(config: &Field<'_>, policy: &mut HttpPolicy, problems: &mut Problems) {
    let mut escaped = false;
    for (name, flag) in [
        ("suppress_envoy_headers", &mut policy.suppress_envoy_headers),
        ("preserve_external_request_id", &mut policy.preserve_external_request_id),
        ("use_remote_address", &mut policy.use_remote_address),
        ("strip_matching_host_port", &mut policy.strip_matching_host_port),
        ("merge_slashes", &mut policy.merge_slashes),
        ("reject_requests_with_escaped_slashes", &mut escaped),
        ("proper_case", &mut policy.proper_case),
        ("enable_http10", &mut policy.http10),
        ("enable_grpc_web", &mut policy.grpc_web),
        ("enable_grpc_http11_bridge", &mut policy.grpc_http11_bridge),
    ] {
        if let Some(field) = config.child(name) {
            *flag = read_flag(&field, problems).unwrap_or(*flag);
        }
    }
    if escaped {
        policy.escaped_slashes = EscapedSlashes::Reject;
    }
}

fn parse_limits(config: &Field<'_>, policy: &mut HttpPolicy, problems: &mut Problems) {
    let bytes = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(field) = config.child("max_request_headers_kb")
        && let Some(number) = read_int(&field, 1..=MAX_HEAD_KB, "KiB", problems)
    {
        policy.max_request_head = bytes(number) * 1024;
    }
    if let Some(field) = config.child("buffer_limit_bytes")
        && let Some(number) = read_int(&field, 1..=MAX_BUFFER, "bytes", problems)
    {
        policy.buffer_limit = bytes(number);
    }
    if let Some(field) = config.child("listener_idle_timeout_ms")
        && let Some(number) = read_int(&field, 0..=u32::MAX, "milliseconds", problems)
    {
        policy.idle_timeout = match number {
            0 => Limit::Unlimited,
            _ => Limit::After(Duration::from_millis(number.into())),
        };
    }
    if let Some(field) = config.child("buffer") {
        tell_keys(&field, keys::BUFFER, problems);
        match field.child("max_request_bytes") {
            Some(most) => {
                let number = read_int(&most, 1..=MAX_BUFFER, "bytes", problems);
                policy.buffer_request = number.map(bytes);
            }
            None if field.node.as_map().is_some() => {
                let message = "needs max_request_bytes, and is ignored without it";
                problems.add(Severity::Warning, &field, message);
            }
            None => {}
        }
    }
}

fn parse_server_name(field: &Field<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let text = field.text(Severity::Warning, problems)?.trim();
    if text.is_empty() {
        return None;
    }
    if HeaderValue::from_str(text).is_err() || !text.is_ascii() {
        let message = format!("{text:?} can't stand in a header and is ignored; write plain text");
        problems.add(Severity::Warning, field, message);
        return None;
    }
    Some(text.into())
}
