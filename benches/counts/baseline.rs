//! What benchmarks cost when somebody last looked, and what has become of it. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Instructions of each benchmark.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// How to read and renew it.
    pub(crate) about: String,
    /// The counts, by architecture as Rust names them.
    pub(crate) instructions: BTreeMap<String, Counts>,
}

/// Growth or shrinkage beyond this many percent is worth a word.
const PERCENT: u64 = 5;

/// What a comparison has found of one benchmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The benchmark.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) change: Change,
}

/// What became of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It costs more, beyond what is let pass.
    Dearer(u64, u64),
    /// It costs less, by as much.
    Cheaper(u64, u64),
    /// The baseline knows nothing of it.
    New(u64),
    /// The baseline knows it, and nobody counted it.
    Missing(u64),
}

impl Finding {
    /// Whether it can't stay so.
    pub(crate) fn fails(&self) -> bool {
        matches!(self.change, Change::Dearer(..) | Change::Missing(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.change {
            Change::Dearer(old, new) => {
                write!(f, "{name}: {old} instructions have become {new}, {}", percent(old, new))
            }
            Change::Cheaper(old, new) => write!(
                f,
                "{name}: {old} instructions have become {new}, {}: renew the baseline to keep it",
                percent(old, new)
            ),
            Change::New(new) => {
                write!(f, "{name}: {new} instructions, not in the baseline yet: renew it")
            }
            Change::Missing(old) => {
                write!(f, "{name}: {old} instructions in the baseline, and not counted any more")
            }
        }
    }
}

/// The difference, with its sign.
pub(crate) fn percent(old: u64, new: u64) -> String {
    if old == 0 {
        return "from nothing".to_owned();
    }
    format!("{:+.1} %", (new as f64 / old as f64 - 1.0) * 100.0)
}

/// What is worth a word, in the order of names.
pub(crate) fn compare(old: &Counts, new: &Counts) -> Vec<Finding> {
    let known = old.iter().filter_map(|(name, &was)| {
        let change = match new.get(name) {
            None => Change::Missing(was),
            Some(&is) if is * 100 > was * (100 + PERCENT) => Change::Dearer(was, is),
            Some(&is) if is * 100 < was * (100 - PERCENT) => Change::Cheaper(was, is),
            Some(_) => return None,
        };
        Some(Finding { name: name.clone(), change })
    });
    let come = new.iter().filter(|(name, _)| !old.contains_key(*name));
    let come = come.map(|(name, &is)| Finding { name: name.clone(), change: Change::New(is) });
    let mut findings: Vec<_> = known.chain(come).collect();
    findings.sort_by(|a, b| a.name.cmp(&b.name));
    findings
}
