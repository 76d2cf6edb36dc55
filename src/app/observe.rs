//! Watches builds: counts what they cost, and logs each report that changes, once.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::forward::FileIndex;
use crate::controller::rebuild::Built;
use crate::model::key::ObjectKey;
use crate::model::object::Location;
use crate::model::report::{Condition, Report};
use crate::telemetry::timings::Timings;

/// Runs until the rebuild loop ends. Reports go to the log where there is no status to write
/// them to: for files.
pub(super) async fn run(
    mut builds: watch::Receiver<Arc<Built>>,
    timings: Arc<Timings>,
    files: Option<FileIndex>,
) -> anyhow::Result<()> {
    let mut known = HashMap::new();
    while builds.changed().await.is_ok() {
        let built = Arc::clone(&builds.borrow_and_update());
        // Builds that come faster than this loop count once.
        timings.build.observe(built.timing.build);
        timings.change.observe(built.timing.change);
        if let Some(files) = &files {
            for change in plan_lines(&known, built.reports()) {
                log(&change, files);
            }
            known = index(built.reports());
        }
    }
    Ok(())
}

type Known = HashMap<ObjectKey, Arc<Report>>;

/// What there is to say of one object.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// It is served as it was written.
    Accepted(&'a Report),
    /// Something is wrong with it, or has no effect.
    Problem(&'a Report, Option<Location>, String),
    /// It is no longer there.
    Gone(&'a ObjectKey),
}

/// The differences between two sets of reports.
fn plan_lines<'a>(known: &'a Known, reports: &'a [Arc<Report>]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for report in reports {
        let old = known.get(&report.object.key);
        if old.is_some_and(|old| Arc::ptr_eq(old, report) || old == report) {
            continue;
        }
        lines.extend(lines_of(report));
    }
    let now: HashMap<&ObjectKey, ()> =
        reports.iter().map(|report| (&report.object.key, ())).collect();
    let mut gone: Vec<&ObjectKey> = known.keys().filter(|key| !now.contains_key(key)).collect();
    gone.sort();
    lines.extend(gone.into_iter().map(Line::Gone));
    lines
}

fn lines_of(report: &Report) -> Vec<Line<'_>> {
    let object = &report.object;
    let mut lines: Vec<Line<'_>> = object
        .problems
        .iter()
        .map(|problem| {
            let text = match &problem.field {
                Some(field) => format!("{field}: {}", problem.message),
                None => problem.message.clone(),
            };
            Line::Problem(report, problem.location.or(object.location), text)
        })
        .collect();
    let [accepted, references, ..] = report.conditions();
    let mut tell = |condition: Condition| {
        lines.push(Line::Problem(report, object.location, condition.message));
    };
    if !accepted.status && object.problems.is_empty() {
        tell(accepted);
    }
    if !references.status {
        tell(references);
    }
    if report.is_accepted() {
        lines.push(Line::Accepted(report));
    }
    lines
}

fn index(reports: &[Arc<Report>]) -> Known {
    reports.iter().map(|report| (report.object.key.clone(), Arc::clone(report))).collect()
}

fn log(line: &Line<'_>, files: &FileIndex) {
    match line {
        Line::Accepted(report) => {
            let key = &report.object.key;
            tracing::info!(object = %key, at = place(files, key, report.object.location), "accepted");
        }
        Line::Problem(report, location, problem) => {
            let key = &report.object.key;
            tracing::warn!(object = %key, at = place(files, key, *location), problem, "problem");
        }
        Line::Gone(key) => tracing::info!(object = %key, "gone"),
    }
}

/// `file:line:column`, as far as it is known.
fn place(files: &FileIndex, key: &ObjectKey, location: Option<Location>) -> String {
    let file = files.get(key);
    match (file, location) {
        (Some(file), Some(at)) => format!("{file}:{}:{}", at.line, at.column),
        (Some(file), None) => file.to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Kind, Origin};
    use crate::model::object::{Content, Object, Problem};
    use crate::model::report::{References, Verdict};

    fn report(name: &str, problems: Vec<Problem>, verdict: Verdict) -> Arc<Report> {
        let object = Object {
            key: ObjectKey {
                kind: Kind::Mapping,
                namespace: "default".into(),
                name: name.into(),
                origin: Origin::Resource,
            },
            generation: None,
            created: None,
            labels: Arc::default(),
            ambassador_id: [].into(),
            location: None,
            content: Content::Rejected,
            problems,
            document: None,
        };
        let references = References::Resolved;
        Arc::new(Report { object: Arc::new(object), verdict, references })
    }

    #[test]
    fn only_changes_are_told_and_each_once() {
        let good = report("good", vec![], Verdict::Accepted);
        let bad = report("bad", vec![Problem::error("prefix", "is missing")], Verdict::Rejected);
        let lost = report("lost", vec![], Verdict::NotAttached);
        let first = [Arc::clone(&good), bad, lost];
        let known = Known::new();
        let lines = plan_lines(&known, &first);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], Line::Accepted(&good));
        assert!(matches!(&lines[1], Line::Problem(_, _, text) if text == "prefix: is missing"));
        assert!(
            matches!(&lines[2], Line::Problem(_, _, text) if text.starts_with("Nothing attaches"))
        );

        let known = index(&first);
        assert_eq!(plan_lines(&known, &first), []);
        let equal = [report("good", vec![], Verdict::Accepted)];
        let lines = plan_lines(&known, &equal);
        assert!(matches!(&lines[..], [Line::Gone(_), Line::Gone(_)]), "{lines:?}");
    }
}
