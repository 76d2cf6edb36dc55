//! The charts, as their users meet them: installed, tested, upgraded, rolled back and removed by
//! Helm 3 and Helm 4, beside the gateway of the other tests and out of its way.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::{Outcome, kubectl, run};
use crate::support::{Namespace, PATIENCE, mapping_of, scenario, wait_until};

pub(crate) const RELEASE: &str = "edge";
pub(crate) const GATEWAY: &str = "edge-nuncio";
pub(crate) const DEFINITIONS: &str = "nuncio-crds";

#[test]
fn from_install_to_uninstall_by_helm_3() {
    live_with("helm3");
}

#[test]
fn from_install_to_uninstall_by_helm_4() {
    live_with("helm4");
}

fn live_with(program: &'static str) {
    if gateway::own_cluster().is_none() {
        println!("not run: the definitions of a foreign cluster are not taken over");
        return;
    }
    scenario(program, |namespace| {
        let enforce = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&["label", "namespace", &namespace.name, enforce]).succeed();
        let helm = Helm { program, namespace };
        let _definitions = Definitions::take(&helm);
        let _release = Release(&helm);
        install(&helm);
        let mut client = Client::to(helm.address());
        serve(&helm, &mut client);
        helm.run(&["test", RELEASE]);
        change(&helm, &mut client);
        remove(&helm);
    });
}

/// Until Helm itself says that all is ready.
fn install(helm: &Helm<'_>) {
    let start = Instant::now();
    helm.run(&["install", RELEASE, "charts/nuncio", "--wait", "--set", &helm.values()]);
    let took = start.elapsed().as_secs_f64();
    println!("{}: {took:.1} s from `helm install` to two replicas Ready", helm.program);
    assert_eq!(helm.replicas(), Ok(2));
}

/// A first Mapping for this gateway alone.
fn serve(helm: &Helm<'_>, client: &mut Client) {
    let spec = json!({
        "ambassador_id": [helm.namespace.name],
        "hostname": "*",
        "prefix": "/first/",
        "service": "echo-v1.backends",
    });
    helm.namespace.apply(&[mapping_of("first", &spec)]);
    helm.namespace.wait_ready("mapping/first");
    wait_until("the gateway answers", PATIENCE, || {
        client.try_get("/first/").and_then(|answer| answer.expect_of("v1"))
    });
}

/// An upgrade that changes pods and Service, and back again.
fn change(helm: &Helm<'_>, client: &mut Client) {
    let values = "replicaCount=3,env.AES_LOG_LEVEL=debug,service.annotations.team=edge,\
                  serviceAccount.projectedToken.enabled=true";
    let upgrade = ["upgrade", RELEASE, "charts/nuncio", "--wait", "--reset-then-reuse-values"];
    helm.run(&[&upgrade[..], &["--set", values]].concat());
    helm.wait_for_replicas(3);
    assert_eq!(helm.variable("AES_LOG_LEVEL"), Some("debug".into()));
    assert_eq!(helm.service()["metadata"]["annotations"]["team"], "edge");
    assert!(client.get("/first/").is_of("v1"));
    // The token that the chart asked for is good for reading and for writing.
    let second = json!({
        "ambassador_id": [helm.namespace.name],
        "hostname": "*",
        "prefix": "/second/",
        "service": "echo-v2.backends",
    });
    helm.namespace.apply(&[mapping_of("second", &second)]);
    helm.namespace.wait_ready("mapping/second");
    assert!(client.get("/second/").is_of("v2"));

    helm.run(&["rollback", RELEASE, "1", "--wait"]);
    helm.wait_for_replicas(2);
    assert_eq!(helm.variable("AES_LOG_LEVEL"), None);
    assert_eq!(helm.service()["metadata"]["annotations"]["team"], Value::Null);
    assert!(client.get("/first/").is_of("v1"));
}

/// Nothing of the release is left, and of the definitions' release only they.
fn remove(helm: &Helm<'_>) {
    helm.run(&["uninstall", RELEASE, "--wait"]);
    wait_until("nothing is left of the gateway", Duration::from_secs(90), || {
        match labelled(&format!("app.kubernetes.io/instance={RELEASE}")) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    helm.run(&["uninstall", DEFINITIONS, "--wait"]);
    let left = labelled(&format!("app.kubernetes.io/instance={DEFINITIONS}"));
    for line in left.lines() {
        assert!(line.starts_with("customresourcedefinition"), "{left}");
    }
    let definitions = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"));
    assert_eq!(left.lines().count(), definitions.expect("is there").count(), "{left}");
    helm.namespace.get("mapping/first").expect("Mappings stay when the charts go");
}

/// The names of all objects of all kinds with a label.
fn labelled(selector: &str) -> String {
    let listed = ["api-resources", "--verbs=list", "--output=name"];
    let kinds = kubectl(&listed).succeed().lines().collect::<Vec<_>>().join(",");
    kubectl(&["get", &kinds, "-A", "-l", selector, "-o", "name", "--ignore-not-found"]).succeed()
}

/// One major of Helm, in a namespace.
pub(crate) struct Helm<'a> {
    pub(crate) program: &'static str,
    pub(crate) namespace: &'a Namespace,
}

impl Helm<'_> {
    /// `helm ARGUMENTS…`, which must succeed.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        helm(self.program, &self.namespace.name, arguments).succeed()
    }

    /// An id and an image of the tests.
    pub(crate) fn values(&self) -> String {
        let (repository, tag) = gateway::image();
        let id = &self.namespace.name;
        format!(
            "env.AMBASSADOR_ID={id},replicaCount=2,image.repository={repository},image.tag={tag}"
        )
    }

    fn deployment(&self) -> Value {
        self.namespace.get(&format!("deployment/{GATEWAY}")).expect("a Deployment")
    }

    fn service(&self) -> Value {
        self.namespace.get(&format!("service/{GATEWAY}")).expect("a Service")
    }

    /// How many pods there are, where all of them are of the last revision and ready.
    fn replicas(&self) -> Result<i64, String> {
        let deployment = self.deployment();
        let status = &deployment["status"];
        let wanted = &deployment["spec"]["replicas"];
        let settled = ["replicas", "updatedReplicas", "readyReplicas"];
        match wanted.as_i64() {
            Some(count) if settled.iter().all(|which| status[which] == *wanted) => Ok(count),
            _ => Err(format!("{wanted} wanted: {status}")),
        }
    }

    /// Helm 3 waits for enough pods, whichever revision they are of.
    #[track_caller]
    fn wait_for_replicas(&self, count: i64) {
        wait_until("the rollout is over", Duration::from_secs(120), || match self.replicas()? {
            replicas if replicas == count => Ok(()),
            replicas => Err(format!("{replicas} replicas")),
        });
    }

    /// What the gateway's environment says.
    fn variable(&self, name: &str) -> Option<String> {
        let deployment = self.deployment();
        let variables =
            deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array()?;
        let found = variables.iter().find(|variable| variable["name"] == name)?;
        Some(found["value"].as_str()?.to_owned())
    }

    /// Its Service's address in the cluster.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.service()["spec"]["clusterIP"].as_str().expect("an address").to_owned();
        format!("{address}:80").parse().expect("an address and a port")
    }
}

/// `helm ARGUMENTS…` in the project's directory.
fn helm(program: &str, namespace: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    run(command.args(["--namespace", namespace, "--timeout", "120s"]), "")
}

/// A release that a test which fails must not leave: parts of it belong to the whole cluster.
pub(crate) struct Release<'a>(pub(crate) &'a Helm<'a>);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let uninstall = ["uninstall", RELEASE, "--ignore-not-found"];
        helm(self.0.program, &self.0.namespace.name, &uninstall);
    }
}

/// The definitions, which belong to this test's release until it is dropped. There is one of them
/// in a cluster.
struct Definitions;

impl Definitions {
    fn take(new: &Helm<'_>) -> Self {
        new.run(&["install", DEFINITIONS, "charts/nuncio-crds", "--take-ownership", "--wait"]);
        Self
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        let arguments = ["upgrade", "--install", DEFINITIONS, "charts/nuncio-crds"];
        helm("helm4", gateway::NAMESPACE, &[&arguments[..], &["--take-ownership"]].concat());
    }
}
