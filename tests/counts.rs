//! The comparison behind `make bench-counts`: what fails, what is told, what is read of callgrind.

#[path = "../benches/counts/baseline.rs"]
mod baseline;
#[path = "../benches/counts/dump.rs"]
mod dump;

use baseline::{Baseline, Change, Counts, Finding, compare};
use dump::{busiest, parse_dump};

/// Counts by name.
type Rows = &'static [(&'static str, u64)];

fn counts(rows: &[(&str, u64)]) -> Counts {
    rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn what_grows_fails_and_what_shrinks_is_told() {
    // Before, now, whether it fails, what is told.
    let rows: &[(Rows, Rows, bool, &str)] = &[
        (&[("find", 1000)], &[("find", 1000)], false, ""),
        (&[("find", 1000)], &[("find", 1050)], false, ""),
        (
            &[("find", 1000)],
            &[("find", 1060)],
            true,
            "find: 1000 instructions have become 1060, +6.0 %",
        ),
        (&[("find", 1000)], &[("find", 950)], false, ""),
        (
            &[("find", 1000)],
            &[("find", 940)],
            false,
            "find: 1000 instructions have become 940, -6.0 %: renew the baseline to keep it",
        ),
        (
            &[("find", 1000)],
            &[],
            true,
            "find: 1000 instructions in the baseline, and not counted any more",
        ),
        (&[], &[("find", 7)], false, "find: 7 instructions, not in the baseline yet: renew it"),
        (&[("find", 0)], &[("find", 1)], true, "find: 0 instructions have become 1, from nothing"),
    ];
    for (before, now, fails, told) in rows {
        let findings = compare(&counts(before), &counts(now));
        let text: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(text.join("\n"), *told, "{before:?} {now:?}");
        assert_eq!(findings.iter().any(Finding::fails), *fails, "{before:?} {now:?}");
    }
}

#[test]
fn each_is_compared_with_itself() {
    let before = counts(&[("a", 100), ("b", 100), ("c", 100)]);
    let now = counts(&[("b", 200), ("c", 100), ("d", 5)]);
    let found: Vec<_> = compare(&before, &now).into_iter().map(|f| (f.name, f.change)).collect();
    let expected = [
        ("a".to_owned(), Change::Missing(100)),
        ("b".to_owned(), Change::Dearer(100, 200)),
        ("d".to_owned(), Change::New(5)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_baseline_is_what_the_program_writes() {
    let text = include_str!("../benches/baseline.json");
    let baseline: Baseline = serde_json::from_str(text).expect("it can be read");
    let again = serde_json::to_string_pretty(&baseline).expect("it can be written") + "\n";
    assert_eq!(text, again, "UPDATE_COUNTS=1 make bench-counts");
    assert!(baseline.instructions["x86_64"].len() > 10, "what CI compares with is there");
}

#[test]
fn a_dump_says_its_thread_and_its_count() {
    let text =
        "# callgrind format\npart: 1\nthread: 9\n\nevents: Ir\nfn=(1) f\n+3 4\n\ntotals: 5318\n";
    assert_eq!(parse_dump(text), Some((9, 5318)));
    assert_eq!(parse_dump(&text.replace("totals", "summary")), Some((9, 5318)));
    assert_eq!(parse_dump("thread: 9\n"), None);
    assert_eq!(parse_dump("totals: 5318\n"), None);
    assert_eq!(parse_dump("thread: 9\ntotals: many\n"), None);
}

#[test]
fn an_exchange_is_counted_in_its_worker() {
    let threads = [(1, 9000), (2, 10), (7, 700), (8, 30)].into();
    assert_eq!(busiest(&threads), Some(700));
    assert_eq!(busiest(&[(1, 9000)].into()), None);
}
