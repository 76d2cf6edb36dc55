//! The documentation is true: its examples parse, its commands can be read, its generated parts are
//! those of the code.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated parts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

#[path = "docs/cli.rs"]
mod cli;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/compatibility.rs"]
mod compatibility;
#[path = "docs/examples.rs"]
mod examples;
#[path = "docs/explain.rs"]
mod explain;
#[path = "docs/fences.rs"]
mod fences;
#[path = "docs/fields.rs"]
mod fields;
#[path = "docs/kinds.rs"]
mod kinds;
#[path = "docs/module.rs"]
mod module;
#[path = "docs/reasons.rs"]
mod reasons;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a generated file with what it should be, or writes it where that was asked for.
fn assert_generated(path: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(project(path), expected).unwrap();
        return;
    }
    let actual = fs::read_to_string(project(path)).unwrap_or_default();
    let line = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| actual.lines().count().min(expected.lines().count())) + 1;
    assert!(actual == expected, "{path}:{line} is out of date: run `make docs`");
}
