//! Changes objects at a rate.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::runtime::Builder;
use tokio::time::interval;

use super::steps::Kind;
use crate::support::writer::Writer;

/// Changes all kinds at once, each at its own rate, and prints a row of each: the changes made, and
/// how many a second that were.
pub(super) fn drive(namespace: &str, kinds: &[Kind<'_>]) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = runtime.block_on(async {
        let writer = Writer::connect(namespace).await;
        join_all(kinds.iter().map(|kind| make_all(&writer, kind))).await
    });
    println!();
    for (kind, (took, slowest)) in kinds.iter().zip(rows) {
        let rate = kind.changes as f64 / took.as_secs_f64();
        let (name, changes, slowest) = (kind.name, kind.changes, slowest.as_millis());
        println!("| {name} | {changes} changes | {rate:.1} a second | slowest {slowest} ms |");
    }
}

/// How long all of them took, and the slowest. One that comes late doesn't delay the others.
async fn make_all(writer: &Writer, kind: &Kind<'_>) -> (Duration, Duration) {
    let start = Instant::now();
    let schedule = stream::unfold(interval(kind.period), |mut schedule| async move {
        schedule.tick().await;
        Some(((), schedule))
    });
    let changes = schedule.take(kind.changes).enumerate().map(|(step, ())| async move {
        let asked = Instant::now();
        let step = (kind.step)(step);
        if let Err(error) = writer.make(&step).await {
            panic!("{:?} {}: {error}", step.verb, step.object);
        }
        asked.elapsed()
    });
    // In order: one begins only when that many steps before it have ended.
    let took: Vec<Duration> = changes.buffered(kind.at_a_time).collect().await;
    (start.elapsed(), took.into_iter().max().unwrap_or_default())
}
