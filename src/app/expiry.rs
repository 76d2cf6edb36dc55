//! Tells the rebuild loop the time when there is something to say of a certificate: that it
//! expires soon, has expired, or is valid from now on.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Duration;

use crate::admin::seconds_now;
use crate::controller::rebuild::{Arrival, Built};
use crate::model::report::EXPIRY_STAGES;
use crate::source::Event;

const DAY: i64 = 86_400;
/// The longest sleep: the clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(600);

/// Runs until the rebuild loop ends.
pub(super) async fn run(
    mut builds: watch::Receiver<Arc<Built>>,
    arrivals: mpsc::Sender<Arrival>,
) -> anyhow::Result<()> {
    let mut told = seconds_now();
    if arrivals.send(Event::Now(told).into()).await.is_err() {
        return Ok(());
    }
    loop {
        let next = {
            let built = builds.borrow_and_update();
            next_moment(validities(&built), told)
        };
        let now = seconds_now();
        if next.is_some_and(|next| next <= now) {
            told = now;
            if arrivals.send(Event::Now(now).into()).await.is_err() {
                return Ok(());
            }
            continue;
        }
        let wait = next.map(|next| u64::try_from(next - now).unwrap_or(0)).map(Duration::from_secs);
        tokio::select! {
            changed = builds.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(wait.unwrap_or(LONGEST).min(LONGEST)) => {}
        }
    }
}

/// From when and until when each certificate is valid that is served, or would be.
fn validities(built: &Built) -> impl Iterator<Item = (i64, i64)> {
    let certificates = built.last_good.values().filter_map(|good| good.certificate.as_ref());
    certificates.map(|certificate| (certificate.not_before, certificate.not_after))
}

/// The first moment after `told` at which there is something new to say.
fn next_moment(validities: impl Iterator<Item = (i64, i64)>, told: i64) -> Option<i64> {
    let moments = validities.flat_map(|(not_before, not_after)| {
        let warnings = EXPIRY_STAGES.map(|days| not_after.saturating_sub(i64::from(days) * DAY));
        // In its last second it is still valid.
        warnings.into_iter().chain([not_before, not_after.saturating_add(1)])
    });
    moments.filter(|moment| *moment > told).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_a_warning_an_end_or_a_beginning() {
        let (from, to) = (100 * DAY, 200 * DAY);
        let next = |told: i64| next_moment([(from, to)].into_iter(), told);
        let moments = [from, 170 * DAY, 186 * DAY, 193 * DAY, 199 * DAY, to + 1];
        let mut told = 0;
        for moment in moments {
            assert_eq!(next(told), Some(moment));
            assert_eq!(next(moment - 1), Some(moment));
            told = moment;
        }
        assert_eq!(next(told), None);
        assert_eq!(next_moment([].into_iter(), 0), None);
    }

    #[test]
    fn the_earliest_of_all_certificates_counts() {
        let all = [(0, 500 * DAY), (0, 100 * DAY), (90 * DAY, 300 * DAY)];
        assert_eq!(next_moment(all.into_iter(), 72 * DAY), Some(86 * DAY));
        assert_eq!(next_moment(all.into_iter(), 86 * DAY), Some(90 * DAY));
        assert_eq!(next_moment([(i64::MIN, i64::MAX)].into_iter(), i64::MAX), None);
    }
}
