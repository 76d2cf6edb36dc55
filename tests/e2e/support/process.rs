//! Replicas of a gateway as processes beside the tests, in the cluster's network: they can be
//! frozen, killed, and given a wrong clock. What Kubernetes does for pods, the tests do for them:
//! the EndpointSlices of their admin Service are written by hand.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::kubectl::run;
use super::{Namespace, PATIENCE, wait_until};

/// The node's address, where processes of the host listen.
const NODE: [u8; 4] = [10, 77, 0, 1];
/// The Service by which they find each other.
const SERVICE: &str = "replicas-admin";
/// Where Debian's package `faketime` has its library.
pub(crate) const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// How long a status waits for a replica that doesn't confirm it.
pub(crate) const GRACE: Duration = Duration::from_secs(6);

/// The gateway's binary, where the tests run beside the cluster's network.
pub(crate) fn binary() -> Option<PathBuf> {
    std::env::var_os("NUNCIO_E2E_BINARY").map(PathBuf::from)
}

/// Replicas of one gateway.
#[derive(Debug)]
pub(crate) struct Fleet<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) replicas: Vec<Replica>,
    /// Selects their Mappings, and names their Lease.
    pub(crate) ambassador_id: String,
    logs: TempDir,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
}

impl<'a> Fleet<'a> {
    /// Starts replicas called `a`, `b`, …, each with these variables more, and waits until they
    /// are ready and one of them leads.
    pub(crate) fn start(namespace: &'a Namespace, variables: &[&[(&str, &str)]]) -> Self {
        let logs = tempfile::tempdir().expect("a folder");
        let ambassador_id = namespace.name.clone();
        let mut fleet = Self { namespace, replicas: Vec::new(), ambassador_id, logs };
        namespace.apply(&[json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
            "spec": {"ports": [{"name": "admin", "port": 8877}]},
        })]);
        for (index, variables) in (0_u16..).zip(variables) {
            let replica = fleet.launch(index, variables);
            fleet.replicas.push(replica);
            fleet.set_serving(index.into(), true);
        }
        for replica in &fleet.replicas {
            replica.wait_ready();
        }
        fleet.leader();
        fleet
    }

    fn launch(&self, index: u16, variables: &[(&str, &str)]) -> Replica {
        let letter = (b'a' + u8::try_from(index).expect("a few")) as char;
        let name = format!("replica-{letter}");
        let (http, admin) = (21_000 + index, 21_100 + index);
        let log = File::create(self.logs.path().join(&name)).expect("a log file");
        let child = Command::new(binary().expect("asked before"))
            .args(["run", "--http-port", &http.to_string()])
            .env("AMBASSADOR_ID", &self.ambassador_id)
            .env("AMBASSADOR_NAMESPACE", &self.namespace.name)
            .env("AMBASSADOR_HEALTHCHECK_BIND_PORT", admin.to_string())
            .env("POD_NAME", &name)
            .env("NUNCIO_ADMIN_SERVICE", SERVICE)
            .env("NUNCIO_REPLICA_GRACE", GRACE.as_secs().to_string())
            .env("NUNCIO_ACCESS_LOG", "off")
            .env("NUNCIO_DRAIN_DELAY", "0")
            .env("ENVOY_CONCURRENCY", "1")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let (http, admin) = ((NODE, http).into(), (NODE, admin).into());
        Replica { name, http, admin, child }
    }

    /// Writes a replica's EndpointSlice, as Kubernetes does when a pod's readiness changes.
    pub(crate) fn set_serving(&self, index: usize, serving: bool) {
        let replica = &self.replicas[index];
        self.namespace.apply(&[json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": replica.name, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "admin", "port": replica.admin.port(), "protocol": "TCP"}],
            "endpoints": [{
                "addresses": [replica.admin.ip().to_string()],
                "conditions": {"ready": serving, "serving": serving, "terminating": false},
                "targetRef": {"kind": "Pod", "name": replica.name, "namespace": self.namespace.name},
            }],
        })]);
    }

    /// Takes a replica's EndpointSlice away, as Kubernetes does when a pod is gone.
    pub(crate) fn remove(&self, index: usize) {
        self.namespace.kubectl(&["delete", "endpointslice", &self.replicas[index].name]);
    }

    /// Which one holds the Lease, once one does.
    #[track_caller]
    pub(crate) fn leader(&self) -> usize {
        wait_until("one replica leads", PATIENCE, || {
            let (holder, _) = self.lease()?;
            let is_holder = |replica: &Replica| {
                holder.strip_prefix(&replica.name).is_some_and(|rest| rest.starts_with('_'))
            };
            self.replicas.iter().position(is_holder).ok_or(format!("held by {holder:?}"))
        })
    }

    /// Who holds the Lease, and how often it has changed hands.
    pub(crate) fn lease(&self) -> Result<(String, i64), String> {
        let lease = self.namespace.get(&format!("lease/nuncio-{}", self.ambassador_id))?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        Ok((holder, lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default()))
    }

    /// What a replica has logged.
    pub(crate) fn log(&self, index: usize) -> String {
        let path = self.logs.path().join(&self.replicas[index].name);
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Replica {
    #[track_caller]
    fn wait_ready(&self) {
        let mut admin = Client::to(self.admin).impatient();
        wait_until(&format!("{} is ready", self.name), PATIENCE, || {
            let answer = admin.try_get("/ambassador/v0/check_ready")?;
            if answer.status == 200 { Ok(()) } else { Err(answer.shown()) }
        });
    }

    /// Whether it says itself that it leads.
    pub(crate) fn leads(&self) -> Result<bool, String> {
        Ok(self.metric("nuncio_leader")? > 0.0)
    }

    /// A number of its /metrics.
    pub(crate) fn metric(&self, name: &str) -> Result<f64, String> {
        let answer = Client::to(self.admin).try_get("/metrics")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut samples = text.lines().filter_map(|line| line.split_once(' '));
        let found = samples.find(|(known, _)| *known == name);
        found.and_then(|(_, number)| number.parse().ok()).ok_or(format!("no metric {name}"))
    }

    /// Sends it a signal: `STOP`, `CONT`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        run(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]), "")
            .succeed();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for index in 0..self.replicas.len() {
                println!("--- log of {}\n{}", self.replicas[index].name, self.log(index));
            }
        }
    }
}
