//! A gateway of a test's own, installed by the chart beside the one that all share.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};

use super::kubectl::{Outcome, run};
use super::{Namespace, PATIENCE, gateway, wait_until};

const RELEASE: &str = "nuncio";
const SELECTOR: &str = "app.kubernetes.io/name=nuncio";

/// The release `nuncio` in a namespace, until it is dropped. It serves the objects of all
/// namespaces that are for its `ambassador_id`, which is the namespace's name.
#[derive(Debug)]
pub(crate) struct Release<'a> {
    pub(crate) namespace: &'a Namespace,
}

impl<'a> Release<'a> {
    /// Installs it and waits until it is ready. `values` are more of the chart's, in JSON.
    pub(crate) fn install(namespace: &'a Namespace, values: &Value) -> Self {
        let release = Self { namespace };
        let (repository, tag) = gateway::image();
        let mut all = json!({
            "image": {"repository": repository, "tag": tag},
            "env": {"AMBASSADOR_ID": namespace.name, "NUNCIO_ACCESS_LOG": "json"},
            "admission": {"enabled": false},
            "resources": {"requests": {"cpu": "20m"}},
            "drain": {"delaySeconds": 1},
            "minReadySeconds": 0,
        });
        let object = all.as_object_mut().expect("it is one");
        object.extend(values.as_object().expect("an object").clone());
        let install = ["install", RELEASE, "charts/nuncio", "--wait", "--values", "-"];
        release.helm(&install, &all.to_string()).succeed();
        release
    }

    /// One pod that goes at once, that a busy machine doesn't take away (without it there is no
    /// gateway at all), and that keeps no access log, which load would fill.
    pub(crate) fn install_alone(namespace: &'a Namespace, values: &Value) -> Self {
        let probe = json!({"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 10});
        let mut all = json!({
            "replicaCount": 1, "drain": {"delaySeconds": 0},
            "env": {"AMBASSADOR_ID": namespace.name, "NUNCIO_ACCESS_LOG": "off"},
            "readinessProbe": probe, "livenessProbe": probe,
        });
        let object = all.as_object_mut().expect("it is one");
        object.extend(values.as_object().expect("an object").clone());
        Self::install(namespace, &all)
    }

    /// Changes values, in JSON, and waits until they are in force in every pod.
    pub(crate) fn upgrade(&self, values: &Value) {
        let upgrade = ["upgrade", RELEASE, "charts/nuncio", "--wait", "--values", "-"];
        self.helm(&[&upgrade[..], &["--reset-then-reuse-values"]].concat(), &values.to_string())
            .succeed();
        let status = ["rollout", "status", "deployment/nuncio", "--timeout=120s"];
        self.namespace.kubectl(&status);
    }

    fn helm(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = Command::new("helm");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
        run(command.args(["--namespace", &self.namespace.name, "--timeout", "120s"]), input)
    }

    /// An object for this gateway.
    pub(crate) fn object(&self, kind: &str, name: &str, mut spec: Value) -> Value {
        spec["ambassador_id"] = json!([self.namespace.name]);
        json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        })
    }

    /// Its Service's address.
    pub(crate) fn address(&self) -> IpAddr {
        wait_until("its Service has an address", PATIENCE, || {
            let service = self.namespace.get("service/nuncio")?;
            let given = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
            given.as_str().and_then(|ip| ip.parse().ok()).ok_or_else(|| service.to_string())
        })
    }

    /// Its pods: the name of each, and its own address with this port.
    pub(crate) fn pods(&self, port: u16) -> Vec<(String, SocketAddr)> {
        let of = |pod: &Value| {
            let name = pod["metadata"]["name"].as_str()?.to_owned();
            let ip: IpAddr = pod["status"]["podIP"].as_str()?.parse().ok()?;
            Some((name, SocketAddr::new(ip, port)))
        };
        self.list(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .iter()
            .filter_map(of)
            .collect()
    }

    /// The name of each pod and its uid, also of those that are about to end.
    pub(crate) fn identities(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |pod: &Value| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
        self.list(|_| true).iter().map(of).collect()
    }

    /// Its pods as they are that are wanted.
    pub(crate) fn list(&self, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let outcome = self.namespace.try_kubectl(&["get", "pods", "-l", SELECTOR, "-o", "json"]);
        let list = outcome.json().expect("pods");
        let pods = list["items"].as_array().expect("a list").iter();
        pods.filter(|pod| is_wanted(pod)).cloned().collect()
    }

    /// Waits until a rollout is over and the pods before it are gone.
    #[track_caller]
    pub(crate) fn settle(&self) {
        self.namespace.kubectl(&["rollout", "status", "deployment/nuncio", "--timeout=300s"]);
        wait_until("the old pods are gone", 3 * PATIENCE, || {
            let wanted = self.namespace.get("deployment/nuncio")?["spec"]["replicas"].as_u64();
            let left = self.list(|_| true).len() as u64;
            if Some(left) == wanted { Ok(()) } else { Err(format!("{left} of {wanted:?}")) }
        });
    }

    /// What the access log says of requests for a path, oldest first for each pod.
    pub(crate) fn access(&self, path: &str) -> Vec<Value> {
        let logs = self.try_logs().succeed();
        let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["path"] == *path).collect()
    }

    /// All that its pods have logged.
    pub(crate) fn log(&self) -> String {
        self.try_logs().text()
    }

    fn try_logs(&self) -> Outcome {
        self.namespace.try_kubectl(&["logs", "-l", SELECTOR, "--tail=-1"])
    }
}

impl Drop for Release<'_> {
    /// Parts of it belong to the whole cluster.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.try_logs().text();
            let own: Vec<&str> = logs.lines().filter(|line| !line.starts_with('{')).collect();
            let last = &own[own.len().saturating_sub(60)..];
            println!("--- what the gateway logged\n{}\n--- end", last.join("\n"));
        }
        self.helm(&["uninstall", RELEASE, "--wait", "--ignore-not-found"], "");
    }
}
