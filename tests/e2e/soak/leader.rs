//! The replica that leads is killed without notice.

use std::process::Command;
use std::time::{Duration, Instant};

use super::memory::processes;
use super::stage::{REPLICAS, Stage};
use super::{Disturbance, Unavoidable};
use crate::support::kubectl::run;
use crate::support::wait_until;

/// How long a lease holds that nobody renews, how long candidates take to see it, and a pod to start.
const TAKEOVER: Duration = Duration::from_secs(60);

pub(super) const KILLED: Disturbance = Disturbance {
    name: "leader killed",
    make: killed,
    unavoidable: Some(Unavoidable {
        // What was on its way there, and what Kubernetes went on sending there until it knew.
        kinds: &["connect", "read", "write", "close"],
        why: "(sent to a process that is gone)",
    }),
};

fn killed(stage: &Stage<'_>) -> String {
    let before = holder(stage).expect("one leads");
    let pod = before.split_once('_').map_or(&*before, |(pod, _)| pod);
    let all = processes(stage);
    let (_, process) = all.iter().find(|(name, _)| name == pod).expect("its process runs");
    let id = process.file_name().and_then(|name| name.to_str()).expect("a number");
    run(Command::new("kill").args(["-KILL", id]), "").succeed();
    let start = Instant::now();
    wait_until("another leads", TAKEOVER, || {
        let now = holder(stage)?;
        if now.is_empty() || now == before { Err(now) } else { Ok(()) }
    });
    let led = start.elapsed().as_secs();
    wait_until("all replicas are ready", TAKEOVER, || {
        let status = stage.namespace.get("deployment/nuncio")?["status"].clone();
        let is_ready = status["readyReplicas"].as_u64() == u64::try_from(REPLICAS).ok();
        if is_ready { Ok(()) } else { Err(status.to_string()) }
    });
    stage.assert_follows("v2");
    stage.assert_follows("v1");
    format!("another led after {led} s")
}

/// Who holds the Lease: the pod's name, and what tells its lives apart.
fn holder(stage: &Stage<'_>) -> Result<String, String> {
    let lease = stage.namespace.get(&format!("lease/nuncio-{}", stage.namespace.name))?;
    Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}
