//! What the gateway's work costs in instructions, beside a baseline: `make bench-counts`.
//!
//! Each benchmark runs in a process of its own under valgrind's callgrind, which counts the
//! instructions of user space: the same on a busy machine as on a quiet one.
//!
//! ```text
//! main ─► callgrind (this program again, with `--one NAME`) ─► counts ─► baseline (compare)
//!                       └─► pure, exchange ─► counted
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table for people")]

mod baseline;
mod callgrind;
mod dump;
mod exchange;
mod objects;
mod pure;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

use baseline::{Baseline, Counts, Finding, compare, percent};
use callgrind::Whose;
use exchange::{Exchange, exchange};
use objects::By;

/// As in the gateway itself.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BASELINE: &str = "benches/baseline.json";

const ABOUT: &str = "Instructions of user space that each benchmark of benches/counts takes. \
    `make bench-counts` compares, `UPDATE_COUNTS=1 make bench-counts` writes; bench/README.md.";

/// A benchmark.
pub(crate) struct Bench {
    name: &'static str,
    whose: Whose,
    /// How often it is done, so that what begins and ends a count vanishes.
    repeats: u64,
    run: fn(u64),
}

/// One of the pure core, which is done once.
const fn once(name: &'static str, run: fn(u64)) -> Bench {
    Bench { name, whose: Whose::Caller, repeats: 1, run }
}

/// One of the pure core that is short.
const fn often(name: &'static str, run: fn(u64)) -> Bench {
    Bench { name, whose: Whose::Caller, repeats: 100, run }
}

/// One that goes through the gateway; so often that a start unlike another doesn't matter.
const fn through(name: &'static str, run: fn(u64)) -> Bench {
    Bench { name, whose: Whose::Worker, repeats: 1500, run }
}

const BENCHES: &[Bench] = &[
    often("parse_mapping", pure::parse_mapping),
    often("parse_annotation", pure::parse_annotation_of_two),
    once("build_10000", |_| pure::build_from_nothing(10_000)),
    once("build_10000_one_change", |_| pure::build_one_change(10_000)),
    once("compile_10000", |_| pure::compile_from_nothing(10_000)),
    once("compile_10000_one_change", |_| pure::compile_one_change(10_000)),
    often("find_prefix_1", |repeats| pure::find(repeats, 1, By::Prefix)),
    often("find_prefix_100", |repeats| pure::find(repeats, 100, By::Prefix)),
    often("find_prefix_10000", |repeats| pure::find(repeats, 10_000, By::Prefix)),
    often("find_host_1", |repeats| pure::find(repeats, 1, By::Host)),
    often("find_host_100", |repeats| pure::find(repeats, 100, By::Host)),
    often("find_host_10000", |repeats| pure::find(repeats, 10_000, By::Host)),
    often("find_regex_100", |repeats| pure::find(repeats, 100, By::Regex)),
    through(HTTP1, |repeats| exchange(repeats, Exchange::Http1)),
    through("exchange_http1_logged", |repeats| exchange(repeats, Exchange::Logged)),
    through("exchange_http1_edited", |repeats| exchange(repeats, Exchange::Edited)),
    through("exchange_http2", |repeats| exchange(repeats, Exchange::Http2)),
];

const HTTP1: &str = "exchange_http1";

/// What an exchange costs beyond the plain one: shown only, as a small difference of large counts
/// moves by itself more than by what is looked for.
const BEYOND: &[(&str, &str)] =
    &[("access_log_line", "exchange_http1_logged"), ("header_edits", "exchange_http1_edited")];

/// What is counted happens in here: valgrind knows it by its name, and forgets what came before.
#[inline(never)]
pub(crate) fn counted(work: &mut dyn FnMut()) {
    work();
    // Or else the call would be a jump, from which nothing returns here.
    std::hint::black_box(&work);
}

fn main() -> Result<ExitCode> {
    // Cargo says `--bench`.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--one", name, repeats] => {
            let bench = BENCHES.iter().find(|bench| bench.name == name);
            (bench.context("there is no such benchmark")?.run)(repeats.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        [] => count_and_compare(""),
        [filter] => count_and_compare(filter),
        _ => anyhow::bail!("write a part of the names to count, or nothing"),
    }
}

/// Counts those whose name holds `filter`.
fn count_and_compare(filter: &str) -> Result<ExitCode> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE);
    let mut baseline = read(&path)?;
    let old = baseline.instructions.entry(std::env::consts::ARCH.to_owned()).or_default();
    let known = !old.is_empty();
    let counts = count_all(filter)?;
    let compared: Counts = old
        .iter()
        .filter(|(name, _)| filter.is_empty() || counts.contains_key(*name))
        .map(|(name, count)| (name.clone(), *count))
        .collect();
    show(&compared, &counts);
    if std::env::var_os("UPDATE_COUNTS").is_some() {
        if filter.is_empty() {
            old.clear();
        }
        old.extend(counts);
        baseline.about = ABOUT.to_owned();
        let text = serde_json::to_string_pretty(&baseline)? + "\n";
        fs::write(&path, text).with_context(|| format!("{BASELINE} can't be written"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !known {
        eprintln!("bench-counts: not compared: {BASELINE} has no {}", std::env::consts::ARCH);
        return Ok(ExitCode::SUCCESS);
    }
    Ok(tell(&compare(&compared, &counts)))
}

fn read(path: &Path) -> Result<Baseline> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{BASELINE} can't be read"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Baseline::default()),
        Err(error) => Err(error).with_context(|| format!("{BASELINE} can't be read")),
    }
}

/// Counts on all cores: what others do at the time doesn't change a count.
fn count_all(filter: &str) -> Result<Counts> {
    let chosen: Vec<_> = BENCHES.iter().filter(|bench| bench.name.contains(filter)).collect();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("counts");
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(Counts::new()));
    let work = || -> Result<()> {
        while let Some(bench) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let count = callgrind::count(bench, &directory).context(bench.name)?;
            let mut counts = counts.lock().expect("nobody panics while adding a number");
            counts.insert(bench.name.to_owned(), count);
        }
        Ok(())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it returns its errors"))
    })?;
    Ok(counts.into_inner().expect("nobody panics while adding a number"))
}

fn show(old: &Counts, new: &Counts) {
    for (name, is) in new {
        let change = old.get(name).map_or_else(|| "new".to_owned(), |was| percent(*was, *is));
        println!("{name:<28} {is:>14} {change:>10}");
    }
    for (name, whole) in BEYOND {
        if let (Some(whole), Some(plain)) = (new.get(*whole), new.get(HTTP1)) {
            println!("{name:<28} {:>14}   not compared", whole.saturating_sub(*plain));
        }
    }
}

/// Tells what was found; what has become dearer, or is missing, fails.
fn tell(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        eprintln!("bench-counts: {finding}");
    }
    if !findings.iter().any(Finding::fails) {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "bench-counts: `callgrind_annotate target/tmp/counts/NAME.1-01` says where they go (an \
         exchange's: the file with the most in `totals:`). If they are worth it, say why in the \
         commit: UPDATE_COUNTS=1 make bench-counts"
    );
    ExitCode::FAILURE
}
