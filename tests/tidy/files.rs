//! Rules for single files: sizes, headers, words that must not stand in them, links, golden cases.

use std::collections::BTreeSet;
use std::fs;

use crate::assert_tidy;
use crate::text::{files_below, production_files, root};

const MAX_PRODUCTION_LINES: usize = 400;
const MAX_INLINE_TEST_LINES: usize = 100;

/// A text that must not stand in production code of `src/`, but for files below `except`.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("println!", "src/cli/", "output belongs to the command line; elsewhere use tracing"),
    ("print!", "src/cli/", "output belongs to the command line; elsewhere use tracing"),
    ("eprintln!", "src/cli/", "output belongs to the command line; elsewhere use tracing"),
    ("eprint!", "src/cli/", "output belongs to the command line; elsewhere use tracing"),
    ("dbg!", "", "left over"),
    ("todo!", "", "left over"),
    ("unimplemented!", "", "left over"),
    ("tokio::spawn", "", "spawn on a task set, so that panics and shutdown are seen"),
    ("unsafe ", "", "no unsafe code"),
];

/// The files of a golden case, and those that some have.
const CASE: &[&str] = &["config.yaml", "in.yaml", "requests.yaml", "status.yaml"];
const OPTIONAL: &[&str] = &["before.yaml", "explain.yaml"];

#[test]
fn files_are_small() {
    let mut violations = Vec::new();
    for file in production_files() {
        let lines = file.production().len();
        if lines > MAX_PRODUCTION_LINES {
            violations.push(format!("{}:{MAX_PRODUCTION_LINES}: {lines} lines", file.path));
        }
        let tests = file.inline_test_lines();
        if tests > MAX_INLINE_TEST_LINES {
            violations.push(format!("{}: {tests} lines of tests: move to a sibling", file.path));
        }
    }
    assert_tidy("a file has up to 400 lines of code and 100 of inline tests", &violations);
}

#[test]
fn every_file_says_what_belongs_there() {
    let files = production_files().into_iter().chain(files_below("tests"));
    let violations: Vec<String> = files
        .filter(|file| file.path.ends_with(".rs") && !file.text.starts_with("//! "))
        .map(|file| format!("{}:1: no `//!` header", file.path))
        .collect();
    assert_tidy("every file begins with `//!` and says what belongs there", &violations);
}

#[test]
fn forbidden_words_are_absent() {
    let mut violations = Vec::new();
    for file in production_files() {
        for (line, code) in file.production() {
            for (text, except, reason) in FORBIDDEN {
                let excused = !except.is_empty() && file.path.starts_with(except);
                if !excused && contains_word(&code, text) {
                    violations.push(format!("{}:{line}: `{text}`: {reason}", file.path));
                }
            }
        }
    }
    assert_tidy("words that must not stand in production code", &violations);
}

/// Whether `text` occurs where a word begins, so that `println!` isn't found in `eprintln!`.
fn contains_word(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '"'))
    })
}

#[test]
fn merges_are_finished() {
    let marks = ["<<<<<<< ", ">>>>>>> "];
    let mut violations = Vec::new();
    for file in files_below("") {
        for (index, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.starts_with(mark)) {
                violations.push(format!("{}:{}: {line}", file.path, index + 1));
            }
        }
    }
    assert_tidy("no file holds what a merge left open", &violations);
}

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/home/", "/Users/", "/root/", "/work/"];

#[test]
fn nothing_names_a_machine() {
    let mut violations = Vec::new();
    for file in files_below("") {
        // The table above, and scripts of the test cluster, which runs as root in its sandbox.
        if file.path == "tests/tidy/files.rs" || file.path.starts_with("tests/e2e/") {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let path = MACHINE_PATHS.iter().find(|path| names_path(line, path));
            if let Some(path) = path {
                violations.push(format!("{}:{}: a path below {path}", file.path, index + 1));
            }
        }
    }
    assert_tidy("no file names a path of one machine", &violations);
}

/// Whether an absolute path below `path` stands in a line; a part of a longer path doesn't count.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "./_-}{$*".contains(c)))
    })
}

#[test]
fn locked_crates_come_from_the_public_registry() {
    let mut violations = Vec::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let public = "registry+https://github.com/rust-lang/crates.io-index";
            if let Some(source) = line.strip_prefix("source = ")
                && source.trim_matches('"') != public
            {
                violations.push(format!("{lock}:{}: {source}", index + 1));
            }
        }
    }
    assert_tidy("every locked crate comes from crates.io", &violations);
}

#[test]
fn golden_cases_are_complete() {
    let mut violations = Vec::new();
    let folder = root().join("tests/golden");
    for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() {
            if !name.ends_with(".rs") {
                violations.push(format!("tests/golden/{name}: belongs to no case"));
            }
            continue;
        }
        let found: BTreeSet<String> = fs::read_dir(entry.path())
            .expect("a folder can be listed")
            .filter_map(Result::ok)
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .collect();
        let wanted: BTreeSet<String> = CASE.iter().map(|name| (*name).to_owned()).collect();
        for missing in wanted.difference(&found) {
            violations.push(format!("tests/golden/{name}: {missing} is missing"));
        }
        for orphan in found.difference(&wanted).filter(|name| !OPTIONAL.contains(&name.as_str())) {
            violations.push(format!("tests/golden/{name}/{orphan}: belongs to no case"));
        }
    }
    assert_tidy("a golden case holds everything and nothing else", &violations);
}

#[test]
fn links_lead_somewhere() {
    let mut violations = Vec::new();
    let documents = files_below("").into_iter().filter(|file| file.path.ends_with(".md"));
    for file in documents {
        let folder = root().join(&file.path);
        let folder = folder.parent().expect("a file stands in a folder");
        for (index, line) in file.text.lines().enumerate() {
            for target in link_targets(line) {
                let path = target.split('#').next().unwrap_or_default();
                let outside =
                    path.is_empty() || path.contains("://") || path.starts_with("mailto:");
                if !outside && !folder.join(path).exists() {
                    violations.push(format!("{}:{}: {target}", file.path, index + 1));
                }
            }
        }
    }
    assert_tidy("every relative link leads to a file", &violations);
}

/// The targets of `[text](target)` in a line.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

#[test]
fn words_and_paths_are_found_where_they_begin() {
    assert!(contains_word("    println!(x)", "println!"));
    assert!(!contains_word("    eprintln!(x)", "println!"));
    assert!(names_path("cd /home/me/x", "/home/"));
    assert!(!names_path("prefix: /models/home/", "/home/"));
    assert!(!names_path("$ROOT/work/x", "/work/"));
    assert_eq!(link_targets("a [b](c.md) [d](e.md#f)").collect::<Vec<_>>(), ["c.md", "e.md#f"]);
}
