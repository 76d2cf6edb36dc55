//! How long changes take: histograms in seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds, from what one changed route of ten thousand may cost to what a flood
/// at start does.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each bound, and the last for what is above them all.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What configuration changes cost.
#[derive(Debug, Default)]
pub struct Timings {
    /// Merging the objects.
    pub build: Durations,
    /// From the arrival of the oldest event of a change to the swap.
    pub change: Durations,
    /// From a build until every replica serves it, where that was not so at once. Only the
    /// replica that writes status measures it.
    pub barrier: Durations,
}

/// The numbers of a histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationsSnapshot {
    /// Upper bound in seconds, and how many were at most that long.
    pub cumulative: Vec<(f64, u64)>,
    /// Their sum in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Durations {
    /// Counts one in.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The numbers now.
    pub fn snapshot(&self) -> DurationsSnapshot {
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(BOUNDS.len());
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            count += bucket.load(Ordering::Relaxed);
            cumulative.push((bound, count));
        }
        count += self.buckets[BOUNDS.len()].load(Ordering::Relaxed);
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        DurationsSnapshot { cumulative, sum, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for milliseconds in [1, 2, 2, 9000] {
            durations.observe(Duration::from_millis(milliseconds));
        }
        let snapshot = durations.snapshot();
        assert_eq!(snapshot.cumulative[..2], [(0.001, 1), (0.0025, 3)]);
        assert_eq!(snapshot.cumulative.last(), Some(&(5.0, 3)));
        assert_eq!(snapshot.count, 4);
        assert!((snapshot.sum - 9.005).abs() < 1e-9);
    }
}
