//! Reports as people read them: the verdict, and each problem under the line that it is about.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::model::object::{Location, Problem, Severity};
use crate::model::report::{Report, Verdict};
use crate::model::sorted::Sorted;

/// Wide enough for a message and its line.
const WIDTH: usize = 120;

/// A file that an object was written in.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    /// Its path as it was given.
    pub(super) path: &'a str,
    /// Its text; empty where it couldn't be read again.
    pub(super) text: &'a str,
}

/// Everything in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Objects that speak to this gateway.
    pub(super) objects: usize,
    /// Those that aren't served as they were written.
    pub(super) with_errors: usize,
    /// Objects that speak to other gateways.
    pub(super) others: usize,
}

impl Summary {
    /// Counts.
    pub(super) fn of(reports: &Sorted<Arc<Report>>, others: usize) -> Self {
        let with_errors = reports.iter().filter(|report| is_wrong(report)).count();
        Self { objects: reports.len(), with_errors, others }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        match (self.objects, self.with_errors) {
            (0, _) => write!(f, "no objects found")?,
            (objects, 0) => write!(f, "{}, all right", count(objects, "object"))?,
            (objects, wrong) => write!(f, "{}, {wrong} with problems", count(objects, "object"))?,
        }
        if self.others > 0 {
            write!(f, "; {} of other gateways (ambassador_id)", count(self.others, "object"))?;
        }
        writeln!(f)
    }
}

/// Whether anything of an object is wrong, the certificates that it names included.
pub(super) fn is_wrong(report: &Report) -> bool {
    let [_, references, ..] = report.conditions();
    report.has_errors() || !references.status
}

/// One line for an object that is in order, and a paragraph for each problem of one that isn't.
pub(super) fn format_report(report: &Report, file: Option<File<'_>>, terminal: bool) -> String {
    let key = &report.object.key;
    if !is_wrong(report) && report.object.problems.is_empty() {
        let at = place(file, report.object.location);
        return format!("ok: {key}{at}\n");
    }
    let renderer = if terminal { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let mut out = String::new();
    let mut add = |finding: &Finding<'_>| {
        out.push_str(&renderer.render(&[finding.group(file, &key.to_string())]));
        out.push_str("\n\n");
    };
    for problem in &report.object.problems {
        add(&Finding::of(problem, report.object.location));
    }
    if !matches!(report.verdict, Verdict::Accepted | Verdict::Rejected) {
        let [accepted, ..] = report.conditions();
        add(&Finding { level: Level::ERROR, text: accepted.message, at: report.object.location });
    }
    let [_, references, ..] = report.conditions();
    if report.is_accepted() && !references.status {
        add(&Finding { level: Level::ERROR, text: references.message, at: report.object.location });
    }
    out
}

/// One thing that is wrong.
struct Finding<'a> {
    level: Level<'a>,
    text: String,
    at: Option<Location>,
}

impl Finding<'_> {
    fn of(problem: &Problem, object: Option<Location>) -> Self {
        let level = match problem.severity {
            Severity::Error | Severity::Unsupported => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::NoEffect => Level::NOTE,
        };
        Self { level, text: problem.to_string(), at: problem.location.or(object) }
    }

    fn group<'b>(&'b self, file: Option<File<'b>>, object: &'b str) -> Group<'b> {
        let group = Group::with_title(self.level.clone().primary_title(&self.text));
        let group = match (file, self.at) {
            (Some(file), Some(at)) => match span(file.text, at) {
                // Its lines would end up in the log of a pipeline.
                Some(span) if !is_in_secret(file.text, span.start) => {
                    let mark = AnnotationKind::Primary.span(span);
                    let snippet = Snippet::source(file.text).path(file.path).annotation(mark);
                    group.element(snippet)
                }
                _ => group.element(
                    Origin::path(file.path).line(at.line as usize).char_column(at.column as usize),
                ),
            },
            (Some(file), None) => group.element(Origin::path(file.path)),
            (None, _) => group,
        };
        group.element(Level::NOTE.with_name("in").message(object))
    }
}

/// Whether a place lies in a document that says that it is a Secret. Read as text: one whose YAML is
/// broken is shown for that very reason.
fn is_in_secret(text: &str, at: usize) -> bool {
    let separator = "\n---";
    let begin = text[..at].rfind(separator).unwrap_or(0);
    let end = text[at..].find(separator).map_or(text.len(), |length| at + length);
    let words =
        text[begin..end].split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    words.windows(2).any(|pair| pair == ["kind", "Secret"])
}

/// ` at path:line:column`, as far as it is known.
fn place(file: Option<File<'_>>, location: Option<Location>) -> String {
    match (file, location) {
        (Some(file), Some(at)) => format!(", {}:{}:{}", file.path, at.line, at.column),
        (Some(file), None) => format!(", {}", file.path),
        (None, _) => String::new(),
    }
}

/// The bytes from a place to the end of its line, without the space and the comment there.
/// `None` where the text has no such place.
fn span(text: &str, at: Location) -> Option<Range<usize>> {
    let line_index = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let line = text.split_inclusive('\n').nth(line_index)?;
    let start: usize = text.split_inclusive('\n').take(line_index).map(str::len).sum();
    // A parser that misses something points behind the line: then at its last character.
    let last = line.trim_end().char_indices().map(|(offset, _)| offset).next_back()?;
    let offset =
        line.char_indices().map(|(offset, _)| offset).nth(column).unwrap_or(last).min(last);
    let rest = &line[offset..];
    let quoted = rest.starts_with(['"', '\'']);
    let rest = match rest.find(" #") {
        Some(comment) if !quoted => &rest[..comment],
        _ => rest,
    };
    let length = rest.trim_end().len();
    Some(start + offset..start + offset + length)
}

#[cfg(test)]
#[path = "check_text_tests.rs"]
mod tests;
