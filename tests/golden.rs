//! Golden cases: what users write, what it means, what is said about it, and where requests go.
//!
//! A case is a folder of `tests/golden/` with these files:
//!
//! - `in.yaml`: the input, any number of documents of any kind; its first line may set what the
//!   process was told: `# settings: {ambassador_id: blue, environment: {HOST_IP: 10.0.0.1}}`
//! - `before.yaml`, where there is one: what stood there before, of which certificates are kept
//! - `config.yaml`: the merged configuration
//! - `status.yaml`: the conditions of every object
//! - `requests.yaml`: requests, written by hand, each with its answer, which is generated
//! - `explain.yaml`, in some: the same of what `nuncio explain` says, values and who wrote them
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` accepts what comes out; the diff is what a reviewer
//! reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

#[path = "golden/case.rs"]
mod case;
#[path = "golden/config.rs"]
mod config;
#[path = "golden/explain.rs"]
mod explain;
#[path = "golden/listeners.rs"]
mod listeners;
#[path = "golden/requests.rs"]
mod requests;
#[path = "golden/status.rs"]
mod status;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use case::Case;

#[test]
fn golden_cases_hold() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut report = String::new();
    let mut count = 0;
    for folder in folders() {
        let case = Case::read(&folder);
        let outputs = [
            ("config.yaml", config::dump(&case)),
            ("status.yaml", status::dump(&case)),
            ("requests.yaml", requests::answer(&case)),
            ("explain.yaml", explain::answer(&case)),
        ];
        for (name, actual) in outputs {
            let path = folder.join(name);
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected == actual {
                continue;
            }
            match update {
                true => fs::write(&path, actual).unwrap(),
                false => {
                    let _ = writeln!(report, "{}:\n{}", path.display(), diff(&expected, &actual));
                }
            }
        }
        count += 1;
    }
    assert!(count > 0, "there are golden cases");
    assert!(report.is_empty(), "UPDATE_GOLDEN=1 accepts these differences:\n{report}");
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The lines between the common beginning and the common end of two texts.
fn diff(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tails = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    let mut text = format!("  @@ line {}\n", head + 1);
    for line in &old[head..old.len() - tail] {
        let _ = writeln!(text, "  -{line}");
    }
    for line in &new[head..new.len() - tail] {
        let _ = writeln!(text, "  +{line}");
    }
    text
}
