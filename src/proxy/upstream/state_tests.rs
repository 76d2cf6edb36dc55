//! Limits and health, as all workers see them.

use proptest::prelude::*;

use super::*;
use crate::model::cluster::{ClusterName, Upstream};
use crate::model::policy::CircuitBreaker;

fn addresses(count: u8) -> Arc<[SocketAddr]> {
    (1..=count).map(|n| SocketAddr::from(([10, 0, 0, n], 80))).collect()
}

fn state(policy: ClusterPolicy) -> Arc<ClusterState> {
    let cluster = Arc::new(Cluster {
        name: ClusterName("c".into()),
        service: "c".into(),
        upstream: Upstream::Name { host: "c".into(), port: 80 },
        policy: Arc::new(policy),
        tls: None,
    });
    Registry::start(Arc::default(), false).expect("starts").state(&cluster)
}

fn outliers(outlier_detection: OutlierDetection) -> Arc<ClusterState> {
    state(ClusterPolicy { outlier_detection: Some(outlier_detection), ..ClusterPolicy::default() })
}

#[test]
fn failures_in_a_row_eject() {
    let state = outliers(OutlierDetection {
        consecutive_5xx: 3,
        max_ejection_percent: 50,
        ..OutlierDetection::default()
    });
    let all = addresses(4);
    let (before, members) = state.members(&all);
    let endpoints = state.endpoints();
    for status in [Some(500), None, Some(200), Some(503), Some(500)] {
        state.observe(&endpoints[0], status);
    }
    assert_eq!(state.members(&all).0, before, "a success in between begins anew");
    state.observe(&endpoints[0], None);
    let (after, fewer) = state.members(&all);
    assert!(after > before && (members.len(), fewer.len()) == (4, 3));
    // Half of four may be out, and no more.
    for endpoint in &endpoints[1..] {
        (0..3).for_each(|_| state.observe(endpoint, Some(500)));
    }
    assert_eq!(state.members(&all).1.len(), 2);
    assert_eq!(state.levels.ejected.load(Ordering::Relaxed), 2);
}

#[test]
fn one_may_always_be_out_and_comes_back() {
    let state = outliers(OutlierDetection {
        consecutive_5xx: 1,
        base_ejection_time: Duration::from_millis(1),
        max_ejection_percent: 0,
        ..OutlierDetection::default()
    });
    let all = addresses(2);
    state.members(&all);
    let endpoints = state.endpoints();
    state.observe(&endpoints[0], Some(500));
    state.observe(&endpoints[1], Some(500));
    assert_eq!(state.members(&all).1.len(), 1);
    // It is out for a millisecond; the clock is the process' own.
    while state.members(&all).1.len() < 2 {
        state.look_at_ejected();
        std::thread::yield_now();
    }
    assert_eq!(state.levels.ejections.load(Ordering::Relaxed), 1);
}

#[test]
fn gateway_failures_count_only_where_that_is_asked_for() {
    for (limit, healthy) in [(0, 2), (2, 1)] {
        let state = outliers(OutlierDetection {
            consecutive_5xx: 0,
            consecutive_gateway_failure: limit,
            ..OutlierDetection::default()
        });
        let all = addresses(2);
        state.members(&all);
        let endpoints = state.endpoints();
        (0..5).for_each(|_| state.observe(&endpoints[0], Some(500)));
        (0..2).for_each(|_| state.observe(&endpoints[1], Some(502)));
        assert_eq!(state.members(&all).1.len(), healthy, "{limit}");
    }
}

#[test]
fn an_endpoint_is_well_when_all_checks_say_so() {
    let state = state(ClusterPolicy::default());
    let all = addresses(2);
    state.members(&all);
    let endpoints = state.endpoints();
    let healthy = || state.members(&all).1.len();
    state.set_health(&endpoints[0], 0, false);
    state.set_health(&endpoints[0], 1, false);
    assert_eq!(healthy(), 1);
    state.set_health(&endpoints[0], 0, true);
    assert_eq!(healthy(), 1);
    state.set_health(&endpoints[0], 1, true);
    assert_eq!(healthy(), 2);
}

#[test]
fn retries_have_a_budget_or_a_limit() {
    let count = |state: &ClusterState| {
        let mut held = Vec::new();
        while let Some(one) = state.try_retry(Priority::Default) {
            held.push(one);
        }
        held.len()
    };
    let budget = state(ClusterPolicy::default());
    assert_eq!(count(&budget), 3);
    (0..100).for_each(|_| budget.of(Priority::Default).requests.enter());
    assert_eq!(count(&budget), 20);
    let breaker = CircuitBreaker { max_retries: 7, ..CircuitBreaker::of(Priority::Default) };
    let circuit_breakers = Some([breaker].into());
    let limited = state(ClusterPolicy { circuit_breakers, ..ClusterPolicy::default() });
    (0..100).for_each(|_| limited.of(Priority::Default).requests.enter());
    assert_eq!(count(&limited), 7);
}

#[test]
fn pauses_grow_by_the_base_to_the_longest() {
    let pauses = |base: u64, longest: u64| {
        let policy = OutlierDetection {
            base_ejection_time: Duration::from_secs(base),
            max_ejection_time: Duration::from_secs(longest),
            ..OutlierDetection::default()
        };
        [1, 2, 3, u32::MAX].map(|times| build_pause(&policy, times).as_secs())
    };
    assert_eq!(pauses(30, 80), [30, 60, 80, 80]);
    assert_eq!(pauses(90, 80), [90, 90, 90, 90]);
}

proptest! {
    /// The answers of four endpoints in any order, against the rules read one by one.
    #[test]
    fn ejections_follow_the_rules(
        limit in 0_u32..4,
        percent in 0_u8..=100,
        answers in proptest::collection::vec((0_usize..4, any::<bool>()), 0..60),
    ) {
        let state = outliers(OutlierDetection {
            consecutive_5xx: limit,
            max_ejection_percent: percent,
            base_ejection_time: Duration::from_secs(3600),
            max_ejection_time: Duration::from_secs(3600),
            ..OutlierDetection::default()
        });
        state.members(&addresses(4));
        let mut endpoints = state.endpoints();
        endpoints.sort_by_key(|one| one.address);
        let (mut in_a_row, mut out) = ([0; 4], [false; 4]);
        for (which, failed) in answers {
            state.observe(&endpoints[which], Some(if failed { 500 } else { 200 }));
            in_a_row[which] = if failed { in_a_row[which] + 1 } else { 0 };
            let others = out.iter().filter(|out| **out).count();
            // Envoy's share, and one always.
            let allowed = others == 0 || (others + 1) * 100 <= 4 * usize::from(percent);
            out[which] |= failed && limit > 0 && in_a_row[which] >= limit && allowed;
            let seen: Vec<bool> = endpoints.iter().map(|one| one.is_ejected()).collect();
            prop_assert_eq!(seen, out);
        }
    }

    /// An author's limit decides; else a fifth of what is under way, and three always.
    #[test]
    fn retries_never_exceed_what_is_allowed(
        written in proptest::option::of(0_u32..10),
        requests in 0_u32..60,
        asked in 0_usize..20,
    ) {
        let policy = match written {
            None => ClusterPolicy::default(),
            Some(max_retries) => {
                let breaker = CircuitBreaker { max_retries, ..CircuitBreaker::of(Priority::Default) };
                ClusterPolicy { circuit_breakers: Some([breaker].into()), ..ClusterPolicy::default() }
            }
        };
        let state = state(policy);
        (0..requests).for_each(|_| state.of(Priority::Default).requests.enter());
        let held: Vec<_> = (0..asked).filter_map(|_| state.try_retry(Priority::Default)).collect();
        let allowed = written.unwrap_or_else(|| (requests / 5).max(3));
        prop_assert_eq!(held.len(), asked.min(allowed as usize));
        prop_assert!(state.try_retry(Priority::High).is_some(), "the other priority is another's");
        drop(held);
        prop_assert_eq!(state.of(Priority::Default).retries.get(), 0);
    }
}

#[test]
fn what_comes_back_is_new() {
    let state = state(ClusterPolicy::default());
    let (two, one) = (addresses(2), addresses(1));
    state.members(&two);
    for endpoint in state.endpoints() {
        state.set_health(&endpoint, 0, false);
    }
    state.members(&one);
    assert_eq!(state.members(&two).1.len(), 1);
}
