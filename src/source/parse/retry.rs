//! `retry_policy`.

use std::sync::Arc;

use crate::model::object::Severity;
use crate::model::policy::{RetryBackOff, RetryOn, RetryPolicy};

use super::cluster::{complain_of_unknown, count_of};
use super::duration::duration_of;
use super::fields::{Field, Fields, Problems};

const KNOWN: &[&str] =
    &["retry_on", "num_retries", "per_try_timeout", "retry_back_off", "retriable_status_codes"];

/// Envoy's longest pause is ten times its first, unless it is written.
const MAX_OVER_BASE: u32 = 10;

/// More tries of one request are of no use to anybody.
const MAX_RETRIES: u32 = 100;

/// The `retry_policy` of a Mapping, or of the Module; `None` where there is none, or none that can
/// be followed.
pub(super) fn parse_retry(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Arc<RetryPolicy>> {
    let field = fields.get("retry_policy").filter(|field| !field.node.is_neutral())?;
    let entries = field.entries(Severity::Warning, problems);
    if entries.is_empty() {
        return None;
    }
    complain_of_unknown(&entries, KNOWN, problems);
    let status_codes = field.child("retriable_status_codes");
    let status_codes =
        status_codes.map_or_else(Vec::new, |field| parse_status_codes(&field, problems));
    let on = parse_retry_on(&field, &status_codes, problems)?;
    let attempts = field.child("num_retries");
    let attempts = attempts
        .and_then(|field| count_of(&field, 0, problems))
        .map_or(1, |count| count.min(MAX_RETRIES));
    let per_try_timeout = field
        .child("per_try_timeout")
        .and_then(|field| duration_of(&field, true, problems))
        .filter(|timeout| !timeout.is_zero());
    let back_off = field
        .child("retry_back_off")
        .map_or_else(RetryBackOff::default, |field| parse_back_off(&field, problems));
    Some(Arc::new(RetryPolicy { on, status_codes, attempts, per_try_timeout, back_off }))
}

/// Emissary takes one condition; ours may be several, with commas between them as Envoy has them.
fn parse_retry_on(
    field: &Field<'_>,
    status_codes: &[u16],
    problems: &mut Problems,
) -> Option<Vec<RetryOn>> {
    let Some(retry_on) = field.child("retry_on") else {
        let message = "needs retry_on, so nothing is tried again; write 5xx, gateway-error, \
                       connect-failure, retriable-4xx, refused-stream or retriable-status-codes";
        problems.add(Severity::Warning, field, message);
        return None;
    };
    let text = retry_on.text(Severity::Warning, problems)?;
    let mut on = Vec::new();
    for word in text.split(',').map(str::trim) {
        on.push(match word {
            "5xx" => RetryOn::ServerError,
            "gateway-error" => RetryOn::GatewayError,
            "connect-failure" => RetryOn::ConnectFailure,
            "retriable-4xx" => RetryOn::Retriable4xx,
            "refused-stream" => RetryOn::RefusedStream,
            "retriable-status-codes" => RetryOn::RetriableStatusCodes,
            other => {
                let message = format!(
                    "\"{other}\" is no reason to try again; write 5xx, gateway-error, \
                     connect-failure, retriable-4xx, refused-stream or retriable-status-codes"
                );
                problems.add(Severity::Warning, &retry_on, message);
                continue;
            }
        });
    }
    on.sort_unstable();
    on.dedup();
    if on.contains(&RetryOn::RetriableStatusCodes) && status_codes.is_empty() {
        let message = "has no effect without retriable_status_codes, a list of statuses";
        problems.add(Severity::Warning, &retry_on, message);
    }
    (!on.is_empty()).then_some(on)
}

fn parse_status_codes(field: &Field<'_>, problems: &mut Problems) -> Vec<u16> {
    let mut codes = Vec::new();
    for one in field.texts(Severity::Warning, problems) {
        match one.node.as_int().and_then(|number| u16::try_from(number).ok()) {
            Some(code @ 100..=599) => codes.push(code),
            _ => problems.add(Severity::Warning, &one, "is no status; write a number like 502"),
        }
    }
    codes
}

fn parse_back_off(field: &Field<'_>, problems: &mut Problems) -> RetryBackOff {
    let default = RetryBackOff::default();
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, &["base_interval", "max_interval"], problems);
    let base = field.child("base_interval").and_then(|one| duration_of(&one, false, problems));
    let base = base.unwrap_or(default.base);
    let max = field.child("max_interval").and_then(|one| {
        let max = duration_of(&one, false, problems)?;
        if max >= base {
            return Some(max);
        }
        let message = "is shorter than base_interval; base_interval is used for both";
        problems.add(Severity::Warning, &one, message);
        Some(base)
    });
    RetryBackOff { base, max: max.unwrap_or(base * MAX_OVER_BASE) }
}
