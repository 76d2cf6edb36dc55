//! `outlier_detection`. Emissary's is a string that it refuses; ours has Envoy's fields.

use std::time::Duration;

use crate::model::object::Severity;
use crate::model::policy::OutlierDetection;

use super::cluster::{complain_of_unknown, count_of};
use super::duration::duration_of;
use super::fields::{Fields, Problems};

const KNOWN: &[&str] = &[
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "interval",
    "base_ejection_time",
    "max_ejection_time",
    "max_ejection_percent",
];

/// The `outlier_detection` of a Mapping, or of the Module.
pub(super) fn parse_outlier_detection(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<OutlierDetection> {
    let field = fields.get("outlier_detection").filter(|field| !field.node.is_null())?;
    if field.node.as_map().is_none() {
        if !field.node.is_neutral() {
            let message = "has no effect as text; write a map with consecutive_5xx, interval, \
                           base_ejection_time and so on";
            problems.add(Severity::Warning, &field, message);
        }
        return None;
    }
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, KNOWN, problems);
    let default = OutlierDetection::default();
    let mut number = |name: &str, otherwise: u32| {
        field.child(name).and_then(|one| count_of(&one, 0, problems)).unwrap_or(otherwise)
    };
    let consecutive_5xx = number("consecutive_5xx", default.consecutive_5xx);
    let gateway = number("consecutive_gateway_failure", default.consecutive_gateway_failure);
    let percent = number("max_ejection_percent", default.max_ejection_percent.into());
    if let (Some(one), true) = (field.child("max_ejection_percent"), percent > 100) {
        problems.add(Severity::Warning, &one, "is more than 100 percent; taken as 100");
    }
    let mut span = |name: &str, otherwise: Duration| {
        field.child(name).and_then(|one| duration_of(&one, false, problems)).unwrap_or(otherwise)
    };
    let base_ejection_time = span("base_ejection_time", default.base_ejection_time);
    Some(OutlierDetection {
        consecutive_5xx,
        consecutive_gateway_failure: gateway,
        interval: span("interval", default.interval),
        base_ejection_time,
        max_ejection_time: span("max_ejection_time", default.max_ejection_time)
            .max(base_ejection_time),
        max_ejection_percent: u8::try_from(percent.min(100)).unwrap_or(100),
    })
}
