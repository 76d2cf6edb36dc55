//! The project's rules that can be checked by reading: borders between modules, sizes, headers,
//! golden cases, links. Each rule is a table; a failure names file, line and rule.

#[path = "tidy/borders.rs"]
mod borders;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/text.rs"]
mod text;

use std::fmt::Write as _;

/// Fails with every violation of a rule at once.
fn assert_tidy(rule: &str, violations: &[String]) {
    let mut report = String::new();
    for violation in violations {
        let _ = writeln!(report, "  {violation}");
    }
    assert!(violations.is_empty(), "{} violations of: {rule}\n{report}", violations.len());
}
