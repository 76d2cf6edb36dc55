//! From the memory in use to how much is shed. Pure.

/// How much is shed; each step beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// Connections end with their answer, and those that wait end at once.
    Parting,
    /// No connection is accepted.
    Holding,
    /// No request goes upstream.
    Refusing,
    /// Clients that don't read lose their connection, and nothing is read for others.
    Cutting,
}

/// All of them but [`Level::Calm`], with what Envoy calls it and the part of the budget, in
/// thousandths, at which it begins. Envoy's documentation begins at 90 and 95 %: of 128 MiB too
/// late, since what is on its way needs room too, and a busy machine is slow to notice.
pub(super) const STEPS: [(Level, &str, u64); 4] = [
    (Level::Parting, "disable_http_keepalive", 750),
    (Level::Holding, "stop_accepting_connections", 820),
    (Level::Refusing, "stop_accepting_requests", 870),
    (Level::Cutting, "reset_high_memory_stream", 900),
];

/// A step ends only this much, in thousandths of the budget, below where it begins: or it would
/// come and go with every answer.
const SLACK: u64 = 40;

impl Level {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "none",
            Self::Parting => "parting",
            Self::Holding => "holding",
            Self::Refusing => "refusing",
            Self::Cutting => "cutting",
        }
    }

    /// The number in the metrics: 0 to 4.
    pub fn number(self) -> u8 {
        match self {
            Self::Calm => 0,
            Self::Parting => 1,
            Self::Holding => 2,
            Self::Refusing => 3,
            Self::Cutting => 4,
        }
    }

    /// What has this number.
    pub(super) fn of(number: u8) -> Self {
        let step = STEPS.into_iter().find(|(level, ..)| level.number() == number);
        step.map_or(Self::Calm, |(level, ..)| level)
    }
}

/// How much is shed at `pressure` thousandths of the budget, after `previous`.
pub(super) fn plan_step(pressure: u64, previous: Level) -> Level {
    let holds = |(level, _, from): &(Level, &str, u64)| {
        let slack = if *level <= previous { SLACK } else { 0 };
        pressure >= from - slack
    };
    STEPS.iter().rfind(|step| holds(step)).map_or(Level::Calm, |(level, ..)| *level)
}

/// `used` of `budget` in thousandths.
pub(super) fn pressure(used: u64, budget: u64) -> u64 {
    let thousandths = u128::from(used) * 1000 / u128::from(budget.max(1));
    u64::try_from(thousandths).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_begin_and_end() {
        use Level::{Calm, Cutting, Holding, Parting, Refusing};
        for (pressure, previous, expected) in [
            (0, Calm, Calm),
            (749, Calm, Calm),
            (750, Calm, Parting),
            (710, Parting, Parting),
            (709, Parting, Calm),
            (749, Holding, Parting),
            (780, Holding, Holding),
            (779, Holding, Parting),
            (2000, Calm, Cutting),
            (860, Cutting, Cutting),
            (859, Cutting, Refusing),
            (870, Calm, Refusing),
            (0, Cutting, Calm),
            (840, Calm, Holding),
        ] {
            assert_eq!(plan_step(pressure, previous), expected, "{pressure} after {previous:?}");
        }
    }

    #[test]
    fn thousandths_never_overflow() {
        assert_eq!(pressure(1, 2), 500);
        assert_eq!(pressure(u64::MAX, 1), u64::MAX);
        assert_eq!(pressure(1, 0), 1000);
    }

    fn levels() -> impl Strategy<Value = Level> {
        (0_u8..5).prop_map(Level::of)
    }

    proptest! {
        #[test]
        fn more_pressure_never_sheds_less(
            low in 0_u64..1200, more in 0_u64..1200, previous in levels(),
        ) {
            prop_assert!(plan_step(low, previous) <= plan_step(low + more, previous));
        }

        #[test]
        fn the_same_pressure_settles_at_once(pressure in 0_u64..1200, previous in levels()) {
            let level = plan_step(pressure, previous);
            prop_assert_eq!(plan_step(pressure, level), level);
            prop_assert!(level >= plan_step(pressure, Level::Calm), "slack holds on, and no more");
        }

        #[test]
        fn a_level_and_its_number_are_one(level in levels()) {
            prop_assert_eq!(Level::of(level.number()), level);
        }
    }
}
