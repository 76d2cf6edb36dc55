//! What callgrind writes, and which part of it counts. Pure.

use std::collections::BTreeMap;

/// The thread of a dump, and its instructions.
pub(crate) fn parse_dump(text: &str) -> Option<(u32, u64)> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let thread = u32::try_from(field("thread:")?).ok()?;
    Some((thread, field("totals:").or_else(|| field("summary:"))?))
}

/// The thread that the program began with.
pub(crate) const MAIN: u32 = 1;

/// The count of the busiest thread but the first: the gateway's worker.
pub(crate) fn busiest(threads: &BTreeMap<u32, u64>) -> Option<u64> {
    threads.iter().filter(|(thread, _)| **thread != MAIN).map(|(_, count)| *count).max()
}
