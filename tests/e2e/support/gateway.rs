//! The gateway under test: where it is, what it measures, what it logs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::client::Client;
use super::kubectl::{kubectl, run};
use super::{PATIENCE, wait_until};

/// Its namespace, Deployment and Service, as tests/e2e/run installs them.
pub(crate) const NAMESPACE: &str = "nuncio";
const SELECTOR: &str = "app.kubernetes.io/name=nuncio";

/// Where it takes requests: its Service's address, or the near end of a port-forward.
pub(crate) fn address() -> SocketAddr {
    let text = std::env::var("NUNCIO_E2E_ADDRESS").expect("tests/e2e/run sets NUNCIO_E2E_ADDRESS");
    text.parse().expect("NUNCIO_E2E_ADDRESS is ADDRESS:PORT")
}

/// Its image: repository and tag.
pub(crate) fn image() -> (String, String) {
    let text = std::env::var("NUNCIO_IMAGE").expect("tests/e2e/run sets NUNCIO_IMAGE");
    let (repository, tag) = text.rsplit_once(':').expect("NUNCIO_IMAGE has a tag");
    (repository.to_owned(), tag.to_owned())
}

/// Whether requests go through its Service, so that they survive one pod.
pub(crate) fn is_behind_service() -> bool {
    !address().ip().is_loopback()
}

/// The test cluster of cluster/, where it is that one: its components can be stopped, and
/// pods be reached by their own addresses.
pub(crate) fn own_cluster() -> Option<PathBuf> {
    std::env::var_os("NUNCIO_E2E_CLUSTER").map(PathBuf::from)
}

/// `cluster stop|start COMPONENT`.
pub(crate) fn cluster(action: &str, component: &str) {
    let script = own_cluster().expect("asked before");
    run(Command::new(script).args([action, component]), "").succeed();
}

/// Waits until a rollout is over and the pods before it are gone.
pub(crate) fn wait_for_rollout() {
    let deployment = "deployment/nuncio";
    let arguments = ["--namespace", NAMESPACE, "rollout", "status", deployment, "--timeout=120s"];
    kubectl(&arguments).succeed();
    wait_until("the old pods are gone", Duration::from_secs(90), || {
        let arguments = ["--namespace", NAMESPACE, "get", "pods", "-l", SELECTOR, "-o", "name"];
        let left = kubectl(&arguments).succeed();
        if left.lines().count() == pods().len() { Ok(()) } else { Err(left) }
    });
    // The only pod was away: its Service needs a moment to know the next one.
    wait_until("its Service answers", Duration::from_secs(90), || {
        Client::new().try_get("/").map(drop)
    });
}

/// Its pods that have not been told to end.
pub(crate) fn pods() -> Vec<Value> {
    let arguments = ["--namespace", NAMESPACE, "get", "pods", "-l", SELECTOR, "-o", "json"];
    let list = kubectl(&arguments).json().expect("pods");
    let all = list["items"].as_array().expect("a list").iter();
    all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect()
}

/// Changes the number of its pods, and waits until that is so.
pub(crate) fn scale(replicas: u32) {
    let count = format!("--replicas={replicas}");
    kubectl(&["-n", NAMESPACE, "scale", "deployment/nuncio", &count]).succeed();
    wait_for_rollout();
}

/// The names of its pods, each with a client of its own that asks it directly.
pub(crate) fn addresses() -> Vec<(String, Client)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |pod: &Value| {
        let ip: IpAddr = text(&pod["status"]["podIP"]).parse().expect("a running pod");
        (text(&pod["metadata"]["name"]), Client::to(SocketAddr::new(ip, 8080)))
    };
    pods().iter().map(of).collect()
}

/// A pod that has taken the place of another.
#[derive(Debug)]
pub(crate) struct NewPod {
    /// Where it takes requests itself.
    pub(crate) http: SocketAddr,
    /// From the first answer of its admin port, which opens first, until that says ready.
    pub(crate) start_to_ready: Duration,
}

/// Deletes the pod, and comes back in the moment in which the next one says that it is ready:
/// before Kubernetes knows. Pods must be reachable by their own addresses.
pub(crate) fn replace_pod() -> NewPod {
    assert_no_refusals(); // the log goes with the pod
    let old = pods()[0]["metadata"]["name"].clone();
    let name = old.as_str().expect("pods have names");
    kubectl(&["--namespace", NAMESPACE, "delete", "pod", name, "--wait=false"]).succeed();
    let ip: IpAddr = wait_until("a new pod has an address", PATIENCE, || {
        let pods = pods();
        let new = pods.iter().find(|pod| pod["metadata"]["name"] != old).ok_or("no new pod")?;
        let ip = new["status"]["podIP"].as_str().ok_or("no address")?;
        ip.parse().map_err(|_| format!("{ip} is no address"))
    });
    let mut admin = Client::to(SocketAddr::new(ip, 8877)).impatient();
    let mut first_answer = None;
    wait_until("it says that it is ready", Duration::from_secs(120), || {
        let answer = admin.try_get("/ambassador/v0/check_ready")?;
        first_answer.get_or_insert_with(Instant::now);
        if answer.status == 200 { Ok(()) } else { Err(answer.shown()) }
    });
    let start_to_ready = first_answer.expect("it has answered").elapsed();
    NewPod { http: SocketAddr::new(ip, 8080), start_to_ready }
}

/// What it logged of being refused something; every pod that still is there is asked.
pub(crate) fn refusals() -> Vec<String> {
    let arguments =
        ["--namespace", NAMESPACE, "logs", "-l", SELECTOR, "--tail=-1", "--ignore-errors"];
    let logs = kubectl(&arguments).text();
    let excused = EXCUSED.lock();
    let refused =
        |line: &&str| line.to_lowercase().contains("forbidden") && !excused.contains(*line);
    logs.lines().filter(refused).map(str::to_owned).collect()
}

/// Refusals that nobody is to blame for.
static EXCUSED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// An API server refuses everything from its first answer until it has read the roles: what it
/// refused before `ready` doesn't count. Log lines begin with their time.
pub(crate) fn excuse_refusals_before(ready: Timestamp) {
    let is_early = |line: &String| {
        let time = line.split_whitespace().next().and_then(|time| time.parse::<Timestamp>().ok());
        time.is_some_and(|time| time < ready)
    };
    let early: Vec<String> = refusals().into_iter().filter(is_early).collect();
    EXCUSED.lock().extend(early);
}

/// Fails the test where the gateway was refused something.
#[track_caller]
pub(crate) fn assert_no_refusals() {
    let refusals = refusals();
    assert!(refusals.is_empty(), "refused: {}", refusals.join("\n"));
}

/// What it measures: every line of /metrics by name and labels.
pub(crate) fn metrics() -> BTreeMap<String, f64> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/nuncio-admin:8877/proxy/metrics");
    let text = kubectl(&["get", "--raw", &path]).succeed();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}
