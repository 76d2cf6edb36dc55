//! What the tests stand on: a namespace each, waiting for conditions, and objects to apply.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) mod account;
pub(crate) mod artifacts;
pub(crate) mod backends;
pub(crate) mod certificate;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod kubectl;
pub(crate) mod load;
pub(crate) mod lone;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod release;
pub(crate) mod status;
pub(crate) mod traffic;
pub(crate) mod writer;

use kubectl::kubectl;

/// How long a single change may take to be seen before the test gives up. Not an expectation:
/// the machine may be busy with builds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Tries until it succeeds; fails the test with the last complaint when the time is up. Attempts
/// that take long are made less often, so that watching doesn't slow what is watched.
#[track_caller]
pub(crate) fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        let attempted = Instant::now();
        match attempt() {
            Ok(value) => return value,
            Err(complaint) if start.elapsed() > limit => {
                panic!("{what}: not within {} s: {complaint}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(attempted.elapsed().max(Duration::from_millis(10))),
        }
    }
}

/// Runs a test in a namespace of its own, which goes with it. At the end nothing that the
/// gateway wanted to do may have been refused.
pub(crate) fn scenario(name: &str, test: impl FnOnce(&Namespace)) {
    let namespace = Namespace::create(&format!("e2e-{name}"));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        test(&namespace);
        gateway::assert_no_refusals();
    }));
    if let Err(panic) = outcome {
        namespace.describe();
        resume_unwind(panic);
    }
}

/// A namespace that is deleted with this value.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn create(name: &str) -> Self {
        // One of an earlier run may still be on its way out.
        kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=180s"]).succeed();
        kubectl(&["create", "namespace", name]).succeed();
        Self { name: name.to_owned() }
    }

    /// From now on nothing here is asked of the admission webhook. The API server follows a label
    /// with some delay, so that it is waited for until a bad Mapping passes.
    pub(crate) fn leave_admission(&self) {
        kubectl(&["label", "namespace", &self.name, "nuncio.dev/admission=off"]).succeed();
        let bad = json!({"hostname": "*", "prefix": "[", "prefix_regex": true, "service": "a"});
        let bad = mapping_of("probe", &bad).to_string();
        wait_until("the webhook is off", PATIENCE, || {
            let arguments = ["-n", &self.name, "apply", "--dry-run=server", "-f", "-"];
            let outcome = kubectl::with_input(&arguments, &bad);
            if outcome.ok { Ok(()) } else { Err(outcome.stderr) }
        });
    }

    /// `kubectl -n NAMESPACE ARGUMENTS…`, which must succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).succeed()
    }

    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> kubectl::Outcome {
        let mut all = vec!["--namespace", &self.name];
        all.extend_from_slice(arguments);
        kubectl(&all)
    }

    /// `kubectl apply` of objects as JSON; namespaces written in them stay.
    #[track_caller]
    pub(crate) fn apply(&self, objects: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        kubectl::with_input(&["--namespace", &self.name, "apply", "-f", "-"], &list.to_string())
            .succeed();
    }

    /// One object as JSON, or what kubectl says instead.
    pub(crate) fn get(&self, what: &str) -> Result<Value, String> {
        self.try_kubectl(&["get", what, "-o", "json"]).json()
    }

    /// What there is when a test has failed.
    fn describe(&self) {
        println!("--- what is in {}", self.name);
        for what in ["mappings", "annotatedresources", "services", "pods"] {
            let shown = self.try_kubectl(&["get", what, "-o", "wide"]);
            println!("{}", shown.text().lines().take(25).collect::<Vec<_>>().join("\n"));
        }
        let list = self.get("mappings,annotatedresources").unwrap_or_default();
        let objects = list["items"].as_array().into_iter().flatten();
        for object in objects.filter(|object| !status::is_ready(object)).take(10) {
            println!("{} {}", object["metadata"]["name"], object["status"]);
        }
        println!("--- end of {}", self.name);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A Mapping for every host.
pub(crate) fn mapping(name: &str, prefix: &str, service: &str) -> Value {
    mapping_of(name, &json!({"hostname": "*", "prefix": prefix, "service": service}))
}

/// A Mapping of a whole spec.
pub(crate) fn mapping_of(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A Service that carries configuration and nothing else.
pub(crate) fn carrier(name: &str, annotation: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": {"getambassador.io/config": annotation}},
        "spec": {"ports": [{"port": 80}]},
    })
}
