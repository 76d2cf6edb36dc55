//! The commands of the documentation, as far as they can be judged by reading: `tests/e2e/docs.rs`
//! runs them.

use std::process::Command;

use crate::fences::{fences, pages};
use crate::project;

/// A block is run, or runs and fails, or says in its fence why it can't be run in a test.
#[test]
fn commands_say_how_they_are_run() {
    let mut failures = Vec::new();
    let mut count = 0;
    for page in pages(&project("")) {
        for block in fences(&project(""), &page) {
            if ["bash", "shell", "console"].contains(&block.language.as_str()) {
                failures.push(format!("{}: commands stand in ```sh", block.place()));
            }
            if block.language != "sh" {
                continue;
            }
            count += 1;
            let reason = block.info.strip_prefix("norun=").unwrap_or_default();
            if !block.info.is_empty() && !block.is_wrong() && reason.is_empty() {
                failures.push(format!("{}: write norun=REASON or error", block.place()));
            }
            let read = Command::new("bash").args(["-n", "-c", &block.text]).output().unwrap();
            if !read.status.success() {
                let complaint = String::from_utf8_lossy(&read.stderr).into_owned();
                failures.push(format!("{}: {complaint}", block.place()));
            }
        }
    }
    assert!(count > 5, "there are commands");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
