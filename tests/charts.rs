//! The charts without a cluster: what they render, what they refuse, and what is generated from
//! them. Real Helm 3 and 4 do it, compiled by tests/e2e/cluster; without Go that is skipped, unless
//! `CI=true`.
//!
//! `make manifests` (`UPDATE_CHARTS=1 cargo test --test charts`) writes what is generated.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends by a panic, and says what it skips"
)]

#[path = "charts/generated.rs"]
mod generated;
#[path = "charts/helm.rs"]
mod helm;
#[path = "charts/manifests.rs"]
mod manifests;
#[path = "charts/values.rs"]
mod values;

use std::fs;
use std::path::{Path, PathBuf};

/// Both charts, below the project.
const CHARTS: [&str; 2] = ["charts/nuncio", "charts/nuncio-crds"];

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The YAML files of a directory of the project, in order.
fn yaml_files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(project(directory)).unwrap_or_else(|e| panic!("{directory}: {e}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{directory} has no YAML files");
    files
}

/// A file's name without its directory and ending.
fn stem(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8")
}

/// Compares a generated file with what it should be, or writes it where that was asked for.
fn assert_generated(path: &str, expected: &str) {
    let file = project(path);
    if std::env::var_os("UPDATE_CHARTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, expected).unwrap();
        return;
    }
    let actual = fs::read_to_string(file).unwrap_or_default();
    let line = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| actual.lines().count().min(expected.lines().count())) + 1;
    assert!(actual == expected, "{path}:{line} is out of date: run `make manifests`");
}
