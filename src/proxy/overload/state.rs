//! What all workers and the admin port see of the pressure.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::limits::{BudgetSource, Limit, Planned};
use super::memory::{MemoryBudget, Use};
use super::step::{Level, STEPS, pressure};

/// The level, which the monitor writes and everyone reads.
#[derive(Debug, Default)]
pub struct Overload {
    level: AtomicU8,
    /// There is little room, though nothing is shed yet.
    near: AtomicBool,
    used: AtomicU64,
    of: AtomicU64,
    /// How often a level has begun, by its number.
    begun: [AtomicU64; STEPS.len() + 1],
    plan: Option<(MemoryBudget, Planned)>,
}

/// What is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How much is shed.
    pub level: Level,
    /// Bytes in use.
    pub used: u64,
    /// Bytes of which they are: the budget, or the container's limit where that is nearer.
    pub of: u64,
    /// The budget.
    pub budget: u64,
    /// Where the budget comes from.
    pub source: BudgetSource,
    /// The limits.
    pub limits: [Limit; 6],
    /// Each step: Envoy's name for it, whether it is in force, how often it has begun.
    pub steps: [(&'static str, bool, u64); STEPS.len()],
}

impl Snapshot {
    /// Per cent of the budget.
    pub fn percent(&self) -> u64 {
        pressure(self.used, self.of) / 10
    }
}

impl Overload {
    /// With a budget and the limits that follow from it.
    pub fn new(budget: MemoryBudget, planned: Planned) -> Self {
        let of = AtomicU64::new(budget.bytes);
        Self { of, plan: Some((budget, planned)), ..Self::default() }
    }

    /// How much is to be shed now.
    pub fn level(&self) -> Level {
        // Alone, and late by a tick in any case: nothing is ordered by it.
        Level::of(self.level.load(Ordering::Relaxed))
    }

    /// Whether there is so little room that what comes has to come slowly.
    pub(crate) fn is_near(&self) -> bool {
        self.near.load(Ordering::Relaxed)
    }

    /// What there is to tell; `None` without a budget.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let (budget, planned) = self.plan.as_ref()?;
        let level = self.level();
        let step = |(step, name, _): (Level, &'static str, u64)| {
            let begun = self.begun[usize::from(step.number())].load(Ordering::Relaxed);
            (name, step <= level, begun)
        };
        Some(Snapshot {
            level,
            used: self.used.load(Ordering::Relaxed),
            of: self.of.load(Ordering::Relaxed),
            budget: budget.bytes,
            source: budget.source,
            limits: planned.all(),
            steps: STEPS.map(step),
        })
    }

    pub(super) fn budget(&self) -> Option<&MemoryBudget> {
        self.plan.as_ref().map(|(budget, _)| budget)
    }

    /// What the monitor has found.
    pub(super) fn tell(&self, now: Use, level: Level, is_near: bool) {
        self.near.store(is_near, Ordering::Relaxed);
        self.used.store(now.used, Ordering::Relaxed);
        self.of.store(now.of, Ordering::Relaxed);
        let before = self.level();
        for (step, ..) in STEPS.into_iter().filter(|(step, ..)| *step > before && *step <= level) {
            self.begun[usize::from(step.number())].fetch_add(1, Ordering::Relaxed);
        }
        self.level.store(level.number(), Ordering::Relaxed);
    }
}
