//! Replacing, scaling and moving the gateway costs no request: each change is made under
//! constant load through its Service, by clients that tell every request they lose.
//!
//! One line of the table that is printed is one kind of client during one change.

mod release;
mod routes;
mod traffic;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::run;
use crate::support::status::is_ready as is_told_ready;
use crate::support::{Namespace, scenario, wait_until};
use release::{Release, Version};
use routes::{ENDLESS_BYTES, flip, prepare};
use traffic::Traffic;

/// How long a change may take to be told of while two versions run side by side: one of them
/// can't confirm what the other asks, which is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn an_upgrade_and_its_way_back_lose_nothing() {
    if is_foreign() {
        return;
    }
    let before = Version::before();
    scenario("upgrade", |namespace| {
        before.define();
        let release = Release::install(namespace, before, &[]);
        prepare(namespace, &release, 2);
        let mut flips = Flips::new(namespace, &release);

        let traffic = Traffic::start(release.address(), before);
        flips.during(&mut release.upgrade(Version::Present, &[]));
        release.settle();
        traffic.stop("helm upgrade, definitions of before");

        let traffic = Traffic::start(release.address(), Version::Present);
        flips.during(&mut release.rollback());
        release.settle();
        traffic.stop("helm rollback");

        let traffic = Traffic::start(release.address(), before);
        Version::Present.define();
        flips.once();
        flips.during(&mut release.upgrade(Version::Present, &[]));
        release.settle();
        flips.once();
        traffic.stop("new definitions, then helm upgrade");
    });
    Version::Present.define();
}

#[test]
fn a_restart_and_scaling_lose_nothing() {
    if is_foreign() {
        return;
    }
    scenario("scaling", |namespace| {
        let release = Release::install(namespace, Version::Present, &[]);
        prepare(namespace, &release, 2);
        let deployment = release.workload();

        let traffic = Traffic::start(release.address(), Version::Present);
        namespace.kubectl(&["rollout", "restart", &deployment]);
        release.settle();
        traffic.stop("rolling restart");

        let traffic = Traffic::start(release.address(), Version::Present);
        for replicas in ["--replicas=6", "--replicas=1", "--replicas=3"] {
            namespace.kubectl(&["scale", &deployment, replicas]);
            release.settle();
        }
        traffic.stop("scaled to 6, 1 and 3");
    });
}

#[test]
fn a_restart_on_every_node_loses_nothing() {
    if !has_second_node() {
        return;
    }
    scenario("daemons", |namespace| {
        let release = Release::install(namespace, Version::Present, &["daemonSet=true"]);
        prepare(namespace, &release, 2);

        let traffic = Traffic::start(release.address(), Version::Present);
        namespace.kubectl(&["rollout", "restart", &release.workload()]);
        release.settle();
        traffic.stop("rolling restart of a DaemonSet");
    });
}

#[test]
fn draining_a_node_loses_nothing() {
    if !has_second_node() {
        return;
    }
    let node = SecondNode;
    scenario("drain", |namespace| {
        let release = Release::install(namespace, Version::Present, &[]);
        prepare(namespace, &release, 4);
        let there = release.pods().iter().filter(|pod| pod["spec"]["nodeName"] == "node-2").count();
        assert!(there > 0, "no pod of the gateway is on the node that is to be drained");

        let traffic = Traffic::start(release.address(), Version::Present);
        let drain = ["drain", "node-2", "--ignore-daemonsets", "--delete-emptydir-data", "--force"];
        let mut drain = start(Command::new("kubectl").args(drain).arg("--timeout=240s"));
        let mut fewest = usize::MAX;
        while is_running(&mut drain) {
            fewest = fewest.min(release.pods().iter().filter(|pod| is_ready(pod)).count());
        }
        assert!(drain.wait().expect("it was started").success(), "kubectl drain failed");
        println!("{there} of 3 pods had to leave; at least {fewest} were ready all the time");
        assert!(fewest >= 2, "the disruption budget was not honoured: {fewest} were ready");
        release.settle();
        drop(node);
        traffic.stop("kubectl drain and uncordon");
    });
}

#[test]
fn what_outlasts_the_drain_is_cut_and_told() {
    if is_foreign() {
        return;
    }
    scenario("cut", |namespace| {
        let values = ["replicaCount=1", "drain.delaySeconds=1", "drain.timeSeconds=4"];
        let release = Release::install(namespace, Version::Present, &values);
        prepare(namespace, &release, 1);
        let pod = release.pods().remove(0)["metadata"]["name"].clone();
        let pod = pod.as_str().expect("pods have names");
        let following = Command::new("kubectl")
            .args(["-n", &namespace.name, "logs", "--follow", pod])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl is there");
        let mut stream = TcpStream::connect(release.address()).expect("connects");
        stream.write_all(b"GET /endless/ HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
        let mut answer = vec![0; 1];
        stream.read_exact(&mut answer).expect("it begins to answer");
        namespace.kubectl(&["delete", "pod", pod]); // returns when it is gone

        let _ = stream.read_to_end(&mut answer); // an end or a reset
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer.split_once("\r\n\r\n").expect("a whole head").1;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!((1..ENDLESS_BYTES).contains(&body.len()), "not cut: {answer}");
        let log = following.wait_with_output().expect("its output").stdout;
        let log = String::from_utf8_lossy(&log).into_owned();
        let told = log.lines().find(|line| line.contains("the drain time is over"));
        println!("{}", told.unwrap_or_else(|| panic!("it was not told: {log}")));
    });
}

/// Takes pods again when it is dropped.
struct SecondNode;

impl Drop for SecondNode {
    fn drop(&mut self) {
        run(Command::new("kubectl").args(["uncordon", "node-2"]), "");
    }
}

/// Gives the test cluster its second node; no node of a foreign cluster is touched.
fn has_second_node() -> bool {
    let Some(cluster) = gateway::own_cluster() else {
        println!("not run: the nodes of a foreign cluster are left alone");
        return false;
    };
    run(Command::new(cluster).arg("add-node"), "").succeed();
    true
}

fn is_foreign() -> bool {
    let foreign = gateway::own_cluster().is_none();
    if foreign {
        println!("not run: Services of a foreign cluster can't be reached by their addresses");
    }
    foreign
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// Starts a command that goes on beside the test.
fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().expect("it was started").is_none()
}

/// A route that changes all the time, and must be told of and served each time.
struct Flips<'a> {
    namespace: &'a Namespace,
    address: SocketAddr,
    count: u32,
}

impl<'a> Flips<'a> {
    fn new(namespace: &'a Namespace, release: &Release<'_>) -> Self {
        Self { namespace, address: release.address(), count: 0 }
    }

    /// Changes it as long as a command runs, which must succeed.
    fn during(&mut self, command: &mut Command) {
        let mut child = start(command);
        let before = self.count;
        while is_running(&mut child) {
            self.once();
        }
        assert!(child.wait().expect("it was started").success(), "{command:?}");
        println!("{} changes of a route meanwhile", self.count - before);
    }

    fn once(&mut self) {
        self.count += 1;
        let version = if self.count.is_multiple_of(2) { "v1" } else { "v2" };
        self.namespace.apply(&[flip(self.namespace, version)]);
        wait_until("the change is served", PATIENCE, || {
            // A connection each, as this client can't see that one ends while it waits.
            Client::to(self.address).get("/flip/").expect_of(version)
        });
        // Ready is the summary of all conditions, Programmed among them, for this generation.
        wait_until("the change is told of", PATIENCE, || {
            let object = self.namespace.get("mapping/flip")?;
            if is_told_ready(&object) { Ok(()) } else { Err(object["status"].to_string()) }
        });
    }
}
