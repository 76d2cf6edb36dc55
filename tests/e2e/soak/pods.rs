//! Pods come and go: those of an upstream, and those of the gateway.

use std::collections::BTreeSet;

use serde_json::Value;

use super::stage::{REPLICAS, Stage};
use crate::support::{PATIENCE, wait_until};

/// All pods of the upstream are replaced, and then there are more and fewer.
pub(super) fn upstream(stage: &Stage<'_>) -> String {
    let namespace = stage.namespace;
    let rounds = stage.length.pick(1, 3);
    for _ in 0..rounds {
        let before = echo_pods(stage);
        namespace.kubectl(&["rollout", "restart", "deployment/echo"]);
        namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=180s"]);
        let after = wait_for_pods(stage, 2);
        assert!(before.is_disjoint(&after), "not replaced: {before:?}, {after:?}");
        for replicas in [4, 1, 2] {
            namespace.kubectl(&["scale", "deployment/echo", &format!("--replicas={replicas}")]);
            wait_for_pods(stage, replicas);
        }
    }
    format!("{} pods came and went", rounds * 9)
}

/// Waits until so many run, and exactly these answer.
fn wait_for_pods(stage: &Stage<'_>, count: usize) -> BTreeSet<String> {
    let mut client = stage.client();
    wait_until(&format!("{count} pods answer"), 3 * PATIENCE, || {
        let pods = echo_pods(stage);
        let asked = (0..10 * count).map(|_| stage.ask(&mut client, "/steady/").pod());
        let answering: BTreeSet<String> = asked.flatten().collect();
        let is_so = pods.len() == count && answering == pods;
        if is_so { Ok(pods) } else { Err(format!("of {pods:?} answer {answering:?}")) }
    })
}

/// Those that are there and are not about to end.
fn echo_pods(stage: &Stage<'_>) -> BTreeSet<String> {
    let outcome = stage.namespace.try_kubectl(&["get", "pods", "-l", "app=echo", "-o", "json"]);
    let list = outcome.json().expect("pods");
    let pods = list["items"].as_array().expect("a list").iter();
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    let name = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
    pods.filter(stays).map(name).collect()
}

/// All pods of the gateway are replaced, and then there are more and fewer.
pub(super) fn gateway(stage: &Stage<'_>) -> String {
    let rounds = stage.length.pick(1, 3);
    for _ in 0..rounds {
        let before = stage.release.identities();
        stage.namespace.kubectl(&["rollout", "restart", "deployment/nuncio"]);
        stage.release.settle();
        let after = stage.release.identities();
        assert!(after.iter().all(|pod| !before.contains(pod)), "not replaced: {after:?}");
        for replicas in [REPLICAS + 2, 1, REPLICAS] {
            let replicas = format!("--replicas={replicas}");
            stage.namespace.kubectl(&["scale", "deployment/nuncio", &replicas]);
            stage.release.settle();
        }
        stage.assert_follows("v2");
        stage.assert_follows("v1");
    }
    format!("{} pods of the gateway came and went", rounds * (REPLICAS + 6))
}
