//! Watches builds: counts what they cost, and logs each report that changes, once.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::forward::FileIndex;
use crate::controller::rebuild::{Arrival, Built};
use crate::model::key::ObjectKey;
use crate::model::object::Location;
use crate::model::report::{Condition, Report};
use crate::model::snapshot::Observations;
use crate::model::sorted::{Change, Sorted};
use crate::source::Event;
use crate::telemetry::timings::Timings;

/// Runs until the rebuild loop ends. Reports go to the log where there is no status to write
/// them to: for files.
pub(super) async fn run(
    mut builds: watch::Receiver<Arc<Built>>,
    timings: Arc<Timings>,
    files: Option<FileIndex>,
) -> anyhow::Result<()> {
    let mut last = Arc::clone(&builds.borrow());
    while builds.changed().await.is_ok() {
        let built = Arc::clone(&builds.borrow_and_update());
        // Builds that come faster than this loop count once; endpoints alone need none.
        if !built.timing.build.is_zero() {
            timings.build.observe(built.timing.build);
        }
        timings.change.observe(built.timing.change);
        if let Some(files) = &files {
            for line in plan_lines(last.reports(), built.reports()) {
                log(&line, files);
            }
        }
        last = built;
    }
    Ok(())
}

/// Tells the rebuild loop what serving finds out, so that the objects can say so. Runs until
/// either ends.
pub(super) async fn tell_observations(
    mut observations: watch::Receiver<Arc<Observations>>,
    arrivals: mpsc::Sender<Arrival>,
) -> anyhow::Result<()> {
    loop {
        let observed = Arc::clone(&observations.borrow_and_update());
        if arrivals.send(Event::Observed(observed).into()).await.is_err()
            || observations.changed().await.is_err()
        {
            return Ok(());
        }
    }
}

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

/// The differences between two lists of reports. Unchanged reports keep their `Arc`.
fn plan_lines<'a>(old: &'a Sorted<Arc<Report>>, new: &'a Sorted<Arc<Report>>) -> Vec<Line<'a>> {
    let changes = new.changes(old).into_iter();
    changes
        .flat_map(|Change { old, new }| match (old, new) {
            (Some(old), None) => vec![Line::Gone(&old.object.key)],
            (old, Some(new)) if old != Some(new) => lines_of(new),
            _ => Vec::new(),
        })
        .collect()
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
    use crate::model::report::{Detached, References, Verdict};

    fn report(name: &str, problems: Vec<Problem>, verdict: Verdict) -> Arc<Report> {
        let object = Object {
            key: Arc::new(ObjectKey {
                kind: Kind::Mapping,
                namespace: "default".into(),
                name: name.into(),
                origin: Origin::Resource,
            }),
            uid: None,
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
        Arc::new(Report {
            object: Arc::new(object),
            verdict,
            references,
            failure: None,
            warning: None,
        })
    }

    #[test]
    fn only_changes_are_told_and_each_once() {
        let good = report("good", vec![], Verdict::Accepted);
        let bad = report("bad", vec![Problem::error("prefix", "is missing")], Verdict::Rejected);
        let lost = report("lost", vec![], Verdict::NotAttached(Detached::Unnamed));
        let first: Sorted<_> = [bad, Arc::clone(&good), lost].into_iter().collect();
        let nothing = Sorted::default();
        let lines = plan_lines(&nothing, &first);
        assert_eq!(lines.len(), 3);
        assert!(matches!(&lines[0], Line::Problem(_, _, text) if text == "prefix: is missing"));
        assert_eq!(lines[1], Line::Accepted(&good));
        assert!(
            matches!(&lines[2], Line::Problem(_, _, text) if text.starts_with("Nothing attaches"))
        );
        assert_eq!(plan_lines(&first, &first), []);

        let next = [
            report("early", vec![], Verdict::Accepted),
            report("good", vec![], Verdict::Accepted),
            report("lost", vec![], Verdict::Accepted),
        ];
        let (bad, next_list) = (first.iter().next().unwrap(), next.iter().cloned().collect());
        let lines = plan_lines(&first, &next_list);
        assert_eq!(
            lines,
            [Line::Gone(&bad.object.key), Line::Accepted(&next[0]), Line::Accepted(&next[2]),]
        );
    }
}
