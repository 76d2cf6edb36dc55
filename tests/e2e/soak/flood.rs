//! Many changes at a time: good ones, and bad ones.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::stage::Stage;
use crate::support::status::is_ready;
use crate::support::writer::{Step, Verb};
use crate::support::{PATIENCE, wait_until};

/// Routes that are changed in turns.
const ROUTES: usize = 100;
/// Changes a second that are asked for. What is reached is told: it is the API server that limits.
const RATE: u32 = 1000;
/// Requests to the API server that may be under way.
const AT_A_TIME: usize = 64;

/// A thousand changes a second, and the last of each route is served.
pub(super) fn changes(stage: &Stage<'_>) -> String {
    let count = RATE as usize * stage.length.pick(3, 60);
    let name = |index: usize| format!("flood-{}", index % ROUTES);
    let routes = (0..ROUTES).map(|index| {
        let object = stage.route(&name(index), &format!("/flood/{index}/"), "v1", &json!({}));
        Step { verb: Verb::Create, object }
    });
    drive(stage, &routes.collect::<Vec<_>>());
    let change = |index: usize| {
        let version = if (index / ROUTES).is_multiple_of(2) { "v2" } else { "v1" };
        Step { verb: Verb::Change, object: stage.to(&name(index), version) }
    };
    let seconds = drive(stage, &(0..count).map(change).collect::<Vec<_>>());
    let last = if (count / ROUTES - 1).is_multiple_of(2) { "v2" } else { "v1" };
    let behind = Instant::now();
    let mut client = stage.client();
    for index in 0..ROUTES {
        wait_until(&format!("the last change of route {index} is served"), PATIENCE, || {
            stage.ask(&mut client, &format!("/flood/{index}/")).expect_of(last)
        });
    }
    let behind = behind.elapsed().as_millis();
    wait_all_told(stage);
    remove(stage, ROUTES, &name);
    let rate = count as f64 / seconds.as_secs_f64();
    format!("{count} changes, {rate:.0} a second; the last were served after {behind} ms")
}

/// One tenant's mistakes: others' changes are served and told meanwhile.
pub(super) fn broken(stage: &Stage<'_>) -> String {
    let count = stage.length.pick(300, 10_000);
    let name = |index: usize| format!("broken-{index}");
    let broken = |index: usize| {
        let more = json!({"prefix_regex": true});
        let object = stage.route(&name(index), &format!("/broken(/{index}"), "v1", &more);
        Step { verb: Verb::Create, object }
    };
    drive(stage, &(0..count).map(broken).collect::<Vec<_>>());
    let start = Instant::now();
    stage.assert_follows("v2");
    let followed = start.elapsed().as_millis();
    let last = format!("mapping/{}", name(count - 1));
    wait_until("the last one is told what is wrong", 4 * PATIENCE, || {
        let object = stage.namespace.get(&last)?;
        let is_told = object["status"]["conditions"].is_array() && !is_ready(&object);
        if is_told { Ok(()) } else { Err(object["status"].to_string()) }
    });
    let told = start.elapsed().as_secs();
    stage.assert_follows("v1");
    remove(stage, count, &name);
    format!(
        "{count} of them; another's change was served and told in {followed} ms; all were told after {told} s"
    )
}

/// Makes steps at the rate, in order; how long that took.
fn drive(stage: &Stage<'_>, steps: &[Step]) -> Duration {
    let start = Instant::now();
    stage.runtime.block_on(async {
        let mut schedule = interval(Duration::from_secs(1) / RATE);
        // Late ones are made up for.
        schedule.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let schedule = stream::unfold(schedule, |mut schedule| async move {
            schedule.tick().await;
            Some(((), schedule))
        });
        let made = schedule.zip(stream::iter(steps)).map(|((), step)| async move {
            if let Err(error) = stage.writer.make(step).await {
                panic!("{:?} {}: {error}", step.verb, step.object);
            }
        });
        // Two changes of one route are further apart than these.
        made.buffered(AT_A_TIME).collect::<Vec<_>>().await
    });
    start.elapsed()
}

fn wait_all_told(stage: &Stage<'_>) {
    wait_until("all Mappings are Ready", PATIENCE, || {
        let list = stage.namespace.get("mappings")?;
        let mut objects = list["items"].as_array().ok_or("no list")?.iter();
        objects.find(|object| !is_ready(object)).map_or(Ok(()), |one: &Value| Err(one.to_string()))
    });
}

fn remove(stage: &Stage<'_>, count: usize, name: &dyn Fn(usize) -> String) {
    let gone = |index: usize| {
        let object = stage.release.object("Mapping", &name(index), json!({}));
        Step { verb: Verb::Delete, object }
    };
    drive(stage, &(0..count).map(gone).collect::<Vec<_>>());
}
