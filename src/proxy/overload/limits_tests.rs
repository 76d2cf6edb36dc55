//! The plan of limits.

use proptest::prelude::*;

use super::limits::{Asked, CONNECTION, LimitSource, Planned, REQUEST, SERIES, plan_limits};

const MIB: u64 = 1024 * 1024;
const FILES: u64 = 1024 * 1024;

fn plan(budget: u64) -> Planned {
    plan_limits(budget, FILES, Asked::default())
}

#[test]
fn the_chart_s_pod_gets_these() {
    let table = |budget: u64| plan(budget * MIB).all().map(|one| one.value);
    assert_eq!(table(64), [1462, 853, 53, 256 * 1024, 32 * 1024, 1024]);
    assert_eq!(table(128), [2925, 1706, 106, 512 * 1024, 32 * 1024, 2048]);
    assert_eq!(table(256), [5851, 3413, 200, MIB, 64 * 1024, 4096]);
    assert_eq!(table(1024), [23_405, 13_653, 200, MIB, 256 * 1024, 16_384]);
}

#[test]
fn what_was_asked_for_counts() {
    let asked = Asked { connections: Some(7), requests: Some(100_000), ..Asked::default() };
    let planned = plan_limits(128 * MIB, FILES, asked);
    let of = |limit: super::Limit| (limit.value, limit.source);
    assert_eq!(of(planned.connections), (7, LimitSource::Setting));
    assert_eq!(of(planned.requests), (100_000, LimitSource::Setting));
    assert_eq!(of(planned.streams), (200, LimitSource::Default));
}

#[test]
fn files_are_a_limit_too() {
    let planned = plan_limits(1024 * MIB, 1256, Asked::default());
    assert_eq!((planned.connections.value, planned.requests.value), (750, 250));
    assert_eq!(planned.connections.source, LimitSource::Files);
    assert_eq!(planned.window.source, LimitSource::Default);
}

proptest! {
    #[test]
    fn all_together_fit_the_budget(budget in 16 * MIB..1 << 45, files in 0_u64..1 << 30) {
        let planned = plan_limits(budget, files, Asked::default());
        let sum = planned.connections.value * CONNECTION
            + planned.requests.value * REQUEST
            + planned.series.value * SERIES;
        prop_assert!(sum <= budget / 4 * 3, "{planned:?}");
        prop_assert!(planned.window.value <= budget && planned.buffer.value <= budget);
        let files = files.max(1024);
        let planned = plan_limits(budget, files, Asked::default());
        prop_assert!(planned.connections.value + planned.requests.value <= files, "{planned:?}");
    }

    #[test]
    fn more_memory_or_files_never_give_less(
        budget in 0_u64..1 << 45, more in 0_u64..1 << 40, files in 0_u64..1 << 30, further in 0_u64..1 << 20,
    ) {
        let values = |budget, files| {
            plan_limits(budget, files, Asked::default()).all().map(|one| one.value)
        };
        let (small, large) = (values(budget, files), values(budget + more, files + further));
        prop_assert!(small.iter().zip(large).all(|(a, b)| *a <= b), "{small:?} {large:?}");
        prop_assert!(small.iter().all(|value| *value > 0));
    }
}
