//! How fast writes may begin.

use std::time::Duration;

use tokio::time::Instant;

/// Writes a second in the long run: ten thousand first statuses in 25 seconds.
const RATE: f64 = 400.0;
/// Writes that may begin at once after a rest.
const BURST: f64 = 50.0;
/// The shortest wait, a tick of tokio's timer: a token that lacks less than a nanosecond would
/// otherwise be asked for again and again at the same instant.
const TICK: Duration = Duration::from_millis(1);

/// A token bucket.
#[derive(Debug)]
pub(super) struct Pace {
    tokens: f64,
    filled: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now }
    }

    /// Whether a write may begin `now`, or when one may.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Instant> {
        let rest = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + rest * RATE).min(BURST);
        self.filled = now;
        if self.tokens >= 1.0 {
            return Ok(());
        }
        Err(now + Duration::from_secs_f64((1.0 - self.tokens) / RATE).max(TICK))
    }

    /// Counts a write that begins.
    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_writes_keep_the_rate() {
        let start = Instant::now();
        let (mut pace, mut now, mut begun) = (Pace::new(start), start, 0);
        while now < start + Duration::from_secs(10) {
            match pace.ask(now) {
                Ok(()) => {
                    pace.take();
                    begun += 1;
                }
                Err(at) => {
                    assert!(at > now, "it would be asked again at once");
                    now = at;
                }
            }
        }
        assert!((4040..=4060).contains(&begun), "{begun}");
    }
}
