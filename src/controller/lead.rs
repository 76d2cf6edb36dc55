//! What all duties of the leader have in common: they begin when the lease is won, and end the
//! moment it is lost.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::rebuild::Built;

/// Follows what is being served.
pub type Builds = watch::Receiver<Arc<Built>>;
/// Follows whether this replica holds the lease.
pub type Leader = watch::Receiver<Leadership>;

/// Whether this replica holds the lease, and for how long it may believe so without a renewal.
///
/// A process that was frozen finds the time over before it hears that another has taken the
/// lease; so ask again before each step, not only when this changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    until: Option<Instant>,
}

impl Leadership {
    /// Held until then.
    pub fn until(end: Instant) -> Self {
        Self { until: Some(end) }
    }

    /// Whether it is held now.
    pub fn is_held(self) -> bool {
        self.until.is_some_and(|end| Instant::now() < end)
    }
}

/// Something that only the leader does.
pub(super) trait Duty {
    /// Takes it up, with what is being served; `None` before anything is.
    fn begin(&mut self, built: Option<Arc<Built>>);

    /// Does it until nothing is built any more. Dropped at any moment.
    fn work(&mut self, builds: &mut Builds) -> impl Future<Output = ()> + Send;

    /// Lays it down: what is under way is given up.
    fn end(&mut self);
}

/// Does a duty whenever the lease is held, until one of the senders is gone.
pub(super) async fn run(mut duty: impl Duty, mut builds: Builds, mut leader: Leader) {
    loop {
        if leader.wait_for(|lease| lease.is_held()).await.is_err() {
            return;
        }
        duty.begin(published(&mut builds));
        let lease = leader.clone();
        let has_ended = {
            let mut work = pin!(duty.work(&mut builds));
            // A frozen process wakes with everything to do at once, and hears last of its lease.
            let guarded = poll_fn(|context| match lease.borrow().is_held() {
                true => work.as_mut().poll(context).map(|()| true),
                false => Poll::Ready(false),
            });
            tokio::select! {
                biased;
                lost = leader.wait_for(|lease| !lease.is_held()) => lost.is_err(),
                ended = guarded => ended,
            }
        };
        duty.end();
        if has_ended {
            return;
        }
    }
}

/// The build that is being served now, marked as seen; `None` before the first is published.
/// Before that nothing may be written: an empty build would take everything away.
pub(super) fn published(builds: &mut Builds) -> Option<Arc<Built>> {
    let built = Arc::clone(&builds.borrow_and_update());
    (built.generation > 0).then_some(built)
}

/// The next of a stream, not before `resume`: after an error the next attempt takes its time.
pub(super) async fn next_after<S: Stream + Unpin>(
    resume: Instant,
    stream: &mut S,
) -> Option<S::Item> {
    tokio::time::sleep_until(resume).await;
    stream.next().await
}

/// Sleeps until then; for ever where there is no such moment.
pub(super) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    /// Counts what it may do.
    struct Count(watch::Sender<(u32, u32, u32)>);

    impl Duty for Count {
        fn begin(&mut self, _: Option<Arc<Built>>) {
            self.0.send_modify(|(begun, ..)| *begun += 1);
        }

        async fn work(&mut self, _: &mut Builds) {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.0.send_modify(|(_, done, _)| *done += 1);
            }
        }

        fn end(&mut self) {
            self.0.send_modify(|(.., ended)| *ended += 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_runs_out_unheard_ends_the_work() {
        let (counts, count) = watch::channel((0, 0, 0));
        let (lease, leader) = watch::channel(Leadership::default());
        let (_builds, build_reader) = watch::channel(Arc::default());
        let mut task = JoinSet::new();
        task.spawn(run(Count(counts), build_reader, leader));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*count.borrow(), (0, 0, 0), "without a lease nothing is done");

        let renew = |seconds_tenths: u64| {
            lease.send_replace(Leadership::until(
                Instant::now() + Duration::from_millis(100 * seconds_tenths),
            ));
        };
        renew(25);
        tokio::time::sleep(Duration::from_secs(1)).await;
        renew(25);
        // Nobody says that it is lost.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*count.borrow(), (1, 3, 1));

        renew(15);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*count.borrow(), (2, 4, 2), "and it begins anew");
        drop(lease);
        assert!(task.join_next().await.is_some());
    }
}
