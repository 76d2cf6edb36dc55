//! What is said about every object: its conditions.

use nuncio::model::report::Report;
use serde::Serialize;

use crate::case::Case;

#[derive(Serialize)]
struct Status {
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    conditions: Vec<String>,
}

pub(crate) fn dump(case: &Case) -> String {
    let reports: Vec<Status> = case.build.reports.iter().map(|report| describe(report)).collect();
    serde_saphyr::to_string(&reports).unwrap()
}

fn describe(report: &Report) -> Status {
    let conditions = report.conditions().into_iter().chain(report.occasional()).map(|condition| {
        let (kind, status) = (condition.kind.as_str(), condition.status);
        format!("{kind} {status} {}: {}", condition.reason, condition.message)
    });
    Status {
        object: report.object.key.to_string(),
        line: report.object.location.map(|location| location.line),
        conditions: conditions.collect(),
    }
}
