//! Changes objects at a rate, through the API server and without a process each.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::interval;

use super::steps::{Kind, Step, Verb};

/// Changes all kinds at once, each at its own rate, and prints a row of each: the changes made, and
/// how many a second that were.
pub(super) fn drive(namespace: &str, kinds: &[Kind<'_>]) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = runtime.block_on(async {
        let client = kube::Client::try_default().await.expect("KUBECONFIG is valid");
        let writer = Writer { client, namespace };
        join_all(kinds.iter().map(|kind| writer.make_all(kind))).await
    });
    println!();
    for (kind, (took, slowest)) in kinds.iter().zip(rows) {
        let rate = kind.changes as f64 / took.as_secs_f64();
        let (name, changes, slowest) = (kind.name, kind.changes, slowest.as_millis());
        println!("| {name} | {changes} changes | {rate:.1} a second | slowest {slowest} ms |");
    }
}

struct Writer<'a> {
    client: kube::Client,
    namespace: &'a str,
}

impl Writer<'_> {
    /// How long all of them took, and the slowest. One that comes late doesn't delay the others.
    async fn make_all(&self, kind: &Kind<'_>) -> (Duration, Duration) {
        let start = Instant::now();
        let schedule = stream::unfold(interval(kind.period), |mut schedule| async move {
            schedule.tick().await;
            Some(((), schedule))
        });
        let changes = schedule.take(kind.changes).enumerate().map(|(step, ())| async move {
            let asked = Instant::now();
            let step = (kind.step)(step);
            if let Err(error) = self.make(&step).await {
                panic!("{:?} {}: {error}", step.verb, step.object);
            }
            asked.elapsed()
        });
        // In order: one begins only when that many steps before it have ended.
        let took: Vec<Duration> = changes.buffered(kind.at_a_time).collect().await;
        (start.elapsed(), took.into_iter().max().unwrap_or_default())
    }

    async fn make(&self, step: &Step) -> kube::Result<()> {
        let object = &step.object;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace, &resource(object));
        let name = object["metadata"]["name"].as_str().expect("it has a name");
        match step.verb {
            Verb::Create => {
                let object = serde_json::from_value(object.clone()).expect("an object");
                api.create(&PostParams::default(), &object).await?;
            }
            Verb::Change => {
                api.patch(name, &PatchParams::default(), &Patch::Merge(object)).await?;
            }
            Verb::Delete => {
                api.delete(name, &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }
}

fn resource(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().expect("it says what it is");
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("kind"));
    ApiResource::from_gvk_with_plural(&kind, &format!("{}s", text("kind").to_lowercase()))
}
