//! Tells the rebuild loop the time when there is something to say of a certificate: that it
//! expires soon, has expired, or is valid from now on.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Duration;

use crate::admin::seconds_now;
use crate::controller::rebuild::{Arrival, Built};
use crate::model::secret::SecretState;
use crate::source::Event;

const DAY: i64 = 86_400;
/// Days before its end at which a certificate is told of anew, so that the message counts down.
const WARNINGS: [i64; 4] = [30, 14, 7, 1];
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

/// From when and until when each certificate that was read is valid.
fn validities(built: &Built) -> impl Iterator<Item = (i64, i64)> {
    certificates(&built.secrets).chain(certificates(&built.pem_files))
}

fn certificates<K>(states: &BTreeMap<K, SecretState>) -> impl Iterator<Item = (i64, i64)> {
    states.values().filter_map(|state| {
        let SecretState::Present(contents) = state else { return None };
        let certificate = contents.certificate.as_ref().ok()?.as_ref()?;
        Some((certificate.not_before, certificate.not_after))
    })
}

/// The first moment after `told` at which there is something new to say.
fn next_moment(validities: impl Iterator<Item = (i64, i64)>, told: i64) -> Option<i64> {
    let moments = validities.flat_map(|(not_before, not_after)| {
        let warnings = WARNINGS.map(|days| not_after.saturating_sub(days * DAY));
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
