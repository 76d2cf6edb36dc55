//! What is told in the end, and what is complained of at once.

use std::fmt::Write;
use std::time::Duration;

use super::clients::{Tallies, UPLOADS};
use super::stage::Stage;
use super::{FAILED, Unavoidable};
use crate::support::load::Tally;

/// One disturbance.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) note: String,
    pub(super) seconds: Duration,
    /// Just before it.
    pub(super) quiet: Tallies,
    pub(super) during: Tallies,
    pub(super) unavoidable: Option<Unavoidable>,
    /// MiB of the pod that has most: before, at most, after.
    pub(super) memory: [u64; 3],
}

const HEAD: &str = "| disturbance | s | requests | lost | unavoidable | p99, ms | undisturbed | slowest | MiB before, most, after | |\n\
    |---|---|---|---|---|---|---|---|---|---|";

impl Row {
    /// As a line of the table.
    pub(super) fn line(&self) -> String {
        let all = sum(&self.during);
        let [during, quiet] = [&self.during, &self.quiet].map(short);
        let unavoidable = self.excused();
        let why = self.unavoidable.filter(|_| unavoidable > 0).map_or("", |one| one.why);
        let [before, most, after] = self.memory;
        format!(
            "| {} | {:.0} | {} | {} | {unavoidable} {why} | {:.1} | {:.1} | {} | {before}, {most}, {after} | {} |",
            self.name,
            self.seconds.as_secs_f64(),
            all.requests,
            all.failed - unavoidable,
            during.quantile_ms(0.99),
            quiet.quantile_ms(0.99),
            during.slowest_ms,
            self.note,
        )
    }

    /// How many failed as no gateway can avoid.
    fn excused(&self) -> u64 {
        self.during.iter().map(|(_, tally)| self.excused_of(tally)).sum()
    }

    fn excused_of(&self, tally: &Tally) -> u64 {
        let Some(unavoidable) = &self.unavoidable else { return 0 };
        let begins = |kind: &str| unavoidable.kinds.iter().any(|one| kind.starts_with(one));
        tally.errors.iter().filter(|(kind, _)| begins(kind)).map(|(_, count)| count).sum()
    }

    /// What was lost, and what didn't come to its end.
    fn complaints(&self) -> Vec<String> {
        let before = self.quiet.iter().map(|(name, tally)| (name, tally, tally.failed));
        let during = self.during.iter();
        let during =
            during.map(|(name, tally)| (name, tally, tally.failed - self.excused_of(tally)));
        let lost =
            before.chain(during).filter(|(_, _, lost)| *lost > 0).map(|(name, tally, lost)| {
                format!("{}: {name}: {lost} lost\n{}", self.name, shown(tally))
            });
        let failed = (self.note == FAILED).then(|| format!("{}: not over", self.name));
        lost.chain(failed).collect()
    }
}

fn shown(tally: &Tally) -> String {
    let each = tally.failures.iter().take(8);
    let each = each.map(|one| format!("  {} after {} ms: {}", one.at, one.took_ms, one.kind));
    format!("  {:?} {:?}\n{}", tally.status, tally.errors, each.collect::<Vec<_>>().join("\n"))
}

/// The sum of those whose requests don't take long by themselves.
fn short(tallies: &Tallies) -> Tally {
    sum(tallies.iter().filter(|(name, _)| name != UPLOADS))
}

fn sum<'a>(tallies: impl IntoIterator<Item = &'a (String, Tally)>) -> Tally {
    let mut all = Tally::default();
    for (_, tally) in tallies {
        all.add(tally.clone());
    }
    all
}

/// All that has happened.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<String>,
    clients: Tallies,
    unavoidable: u64,
    complaints: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.complaints.extend(row.complaints());
        self.lines.push(row.line());
        self.unavoidable += row.excused();
        self.end(row.quiet);
        self.end(row.during);
    }

    /// What the clients have done when nothing was to happen any more.
    pub(super) fn end(&mut self, last: Tallies) {
        for (name, tally) in last {
            match self.clients.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.add(tally),
                None => self.clients.push((name, tally)),
            }
        }
    }

    /// Prints both tables, and writes them where `SOAK_REPORT` says. Fails the test where something
    /// was lost.
    #[track_caller]
    pub(super) fn tell(&self, stage: &Stage<'_>) {
        let mut text = format!("{HEAD}\n{}\n", self.lines.join("\n"));
        text.push_str("\n| client | requests | failed | p50, ms | p99 | slowest | connections |\n|---|---|---|---|---|---|---|\n");
        for (name, tally) in &self.clients {
            let Tally { requests, failed, slowest_ms, connections, .. } = tally;
            let (p50, p99) = (tally.quantile_ms(0.5), tally.quantile_ms(0.99));
            let _ = writeln!(
                text,
                "| {name} | {requests} | {failed} | {p50:.1} | {p99:.1} | {slowest_ms} | {connections} |"
            );
        }
        let all = sum(&self.clients);
        let (requests, failed) = (all.requests, all.failed);
        let _ = writeln!(text, "| **all** | {requests} | {failed} | | | | |");
        println!("\n{text}");
        if let Ok(path) = std::env::var("SOAK_REPORT") {
            write_report(&path, &text, stage);
        }
        assert!(self.complaints.is_empty(), "{}", self.complaints.join("\n"));
        assert_eq!(failed, self.unavoidable, "more failed than what was unavoidable");
    }
}

/// Replaces what stands below the mark in the file.
fn write_report(path: &str, tables: &str, stage: &Stage<'_>) {
    const MARK: &str = "<!-- written by make soak -->\n";
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let (head, _) = known.split_once(MARK).unwrap_or((&known, ""));
    let minutes = stage.length.time.as_secs() / 60;
    let day = jiff::Zoned::now().date();
    let text = format!("{head}{MARK}\n{day}, at least {minutes} minutes:\n\n{tables}");
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{path}: {e}"));
}
