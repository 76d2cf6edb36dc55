//! The one set of tasks, so that no panic and no end goes unseen.

use anyhow::anyhow;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

/// The tasks of the gateway. None should end before it does.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

impl Tasks {
    /// Cancelled when the gateway ends.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that is dropped when the gateway ends.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let stop = self.stop();
        self.spawn_ending(name, async move {
            stop.run_until_cancelled_owned(task).await.unwrap_or(Ok(()))
        });
    }

    /// Starts a task that sees to its own end once [`Tasks::stop`] is cancelled.
    pub(super) fn spawn_ending(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits for a task to end, which is a defect.
    pub(super) async fn defect(&mut self) -> anyhow::Error {
        match self.set.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow!("task {name} has ended"),
            Some(Ok((name, Err(error)))) => error.context(format!("task {name} has failed")),
            Some(Err(panicked)) => anyhow!(panicked).context("a task has panicked"),
            None => anyhow!("no task is left"),
        }
    }

    /// Ends all tasks, those that take longer than `limit` by force.
    pub(super) async fn end(mut self, limit: Duration) {
        self.stop.cancel();
        let ended = timeout(limit, async { while self.set.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::debug!("some tasks had to be aborted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ends_and_panics_are_seen() {
        let mut tasks = Tasks::default();
        tasks.spawn("forever", std::future::pending());
        tasks.spawn("ends", async { Ok(()) });
        assert_eq!(tasks.defect().await.to_string(), "task ends has ended");
        tasks.spawn("fails", async { Err(anyhow!("no luck")) });
        assert_eq!(format!("{:#}", tasks.defect().await), "task fails has failed: no luck");
        tasks.spawn("panics", async { panic!("on purpose") });
        assert!(format!("{:#}", tasks.defect().await).starts_with("a task has panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_those_that_have_something_to_do() {
        let mut tasks = Tasks::default();
        let (done, was_done) = tokio::sync::oneshot::channel();
        let stop = tasks.stop();
        tasks.spawn("forever", std::future::pending());
        tasks.spawn_ending("tidy", async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.send(()).map_err(|()| anyhow!("nobody waits"))
        });
        tasks.end(Duration::from_secs(5)).await;
        assert!(was_done.await.is_ok());

        let mut tasks = Tasks::default();
        tasks.spawn_ending("deaf", std::future::pending());
        tasks.end(Duration::from_secs(5)).await;
    }
}
