//! The admission webhook at the real API server: what kubectl is told, and that neither an outage
//! nor the end of a certificate gets into anybody's way.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kubectl::{Outcome, kubectl, run, with_input};
use crate::support::{
    Namespace, PATIENCE, carrier, gateway, mapping, mapping_of, scenario, wait_until,
};

const SECRET: &str = "nuncio-admission-certificate";
const CONFIGURATION: &str = "validatingwebhookconfiguration/nuncio";
/// What the API server puts before every refusal.
const DENIED: &str = r#"admission webhook "resources.nuncio.dev" denied the request: "#;
const DENIED_ANNOTATION: &str =
    r#"admission webhook "annotations.nuncio.dev" denied the request: "#;
const LOOK_AROUND: &str = "prefix: is not a regular expression in RE2's syntax: look-around, \
    including look-ahead and look-behind, is not supported";

/// Two documents, the second of which is broken.
const ANNOTATION: &str = "\
---
apiVersion: ambassador/v1
kind: Mapping
name: good
prefix: /admission/good/
service: echo-v1.backends
---
apiVersion: ambassador/v1
kind: Mapping
name: bad
prefix: \"/bad/(?!0)\"
prefix_regex: true
service: echo-v1.backends
";
const ANNOTATION_ERROR: &str = "getambassador.io/config line 11 column 1: ";

fn bad_mapping(name: &str) -> Value {
    let prefix = "/item/(?!0)[0-9]+";
    let spec =
        json!({"hostname": "*", "prefix": prefix, "prefix_regex": true, "service": "a:http"});
    mapping_of(name, &spec)
}

fn apply(namespace: &Namespace, object: &Value, more: &[&str]) -> Outcome {
    let mut arguments = vec!["--namespace", &namespace.name, "apply", "-f", "-"];
    arguments.extend_from_slice(more);
    with_input(&arguments, &object.to_string())
}

/// Waits until a bad Mapping is refused: the API server follows a change of whom to trust, and a
/// pod that comes, with some delay, and lets objects pass meanwhile.
#[track_caller]
fn wait_until_asked(namespace: &Namespace) {
    wait_until("a bad Mapping is refused", Duration::from_secs(90), || {
        let outcome = apply(namespace, &bad_mapping("probe"), &["--dry-run=server"]);
        match outcome.stderr.contains(DENIED) {
            true => Ok(()),
            false => Err(outcome.text()),
        }
    });
}

#[test]
fn what_can_never_work_is_refused() {
    scenario("admission", |namespace| {
        wait_until_asked(namespace);
        let refused = apply(namespace, &bad_mapping("items"), &[]);
        println!("{}", refused.stderr);
        assert!(!refused.ok);
        let lines = format!(
            "{DENIED}{LOOK_AROUND}\nservice: \"http\" is not a port; write a number from 1 to 65535"
        );
        assert!(refused.stderr.contains(&lines), "{}", refused.stderr);
        assert!(refused.stderr.contains("(BadRequest)"), "{}", refused.stderr);
        assert!(namespace.get("mapping/items").is_err(), "it isn't stored");

        let good = apply(namespace, &mapping("items", "/admission/", "echo-v1.backends"), &[]);
        assert!(good.ok && good.stderr.is_empty(), "{}", good.stderr);
        let update = apply(namespace, &bad_mapping("items"), &[]);
        assert!(!update.ok && update.stderr.contains(LOOK_AROUND), "{}", update.stderr);
        // What an error of another kind would do: delete the route to make it anew.
        let forced = apply(namespace, &bad_mapping("items"), &["--force"]);
        assert!(!forced.ok && forced.stderr.contains(LOOK_AROUND), "{}", forced.stderr);
        namespace.wait_ready("mapping/items");

        let mut heavy = mapping("heavy", "/admission/heavy/", "echo-v1.backends");
        heavy["spec"]["weight"] = json!(300);
        let warned = apply(namespace, &heavy, &[]);
        let warning =
            "Warning: weight: 300 is not a share in percent; write a number from 0 to 100";
        assert!(warned.ok && warned.stderr.contains(warning), "{}", warned.stderr);

        let mut others = bad_mapping("others");
        others["spec"]["ambassador_id"] = json!(["somebody-else"]);
        let passed = apply(namespace, &others, &[]);
        assert!(passed.ok && passed.stderr.is_empty(), "{}", passed.stderr);
    });
}

#[test]
fn an_object_that_is_broken_can_be_touched_but_not_made_worse() {
    scenario("admission-broken", |namespace| {
        wait_until_asked(namespace);
        namespace.leave_admission();
        let broken = bad_mapping("items");
        namespace.apply(std::slice::from_ref(&broken));
        kubectl(&["label", "namespace", &namespace.name, "nuncio.dev/admission-"]).succeed();
        wait_until_asked(namespace);

        let label = namespace.try_kubectl(&["label", "mapping/items", "team=shop"]);
        assert!(label.ok && label.stderr.is_empty(), "{}", label.stderr);
        let patch = |patch: &Value| {
            let patch = patch.to_string();
            namespace.try_kubectl(&["patch", "mapping/items", "--type=merge", "-p", &patch])
        };
        let same = patch(&json!({"spec": {"hostname": "shop.example.com"}}));
        let warning = format!("Warning: not served: {LOOK_AROUND}");
        assert!(same.ok && same.stderr.contains(&warning), "{}", same.stderr);
        let worse = patch(&json!({"spec": {"method": "(", "method_regex": true}}));
        assert!(!worse.ok && worse.stderr.contains("method: "), "{}", worse.stderr);
        let healed = patch(&json!({"spec": {"prefix": "/item/[1-9][0-9]*", "service": "a"}}));
        assert!(healed.ok && healed.stderr.is_empty(), "{}", healed.stderr);
        namespace.kubectl(&["delete", "mapping/items"]);
    });
}

#[test]
fn annotations_are_warned_of_or_refused_as_told() {
    scenario("admission-notes", |namespace| {
        wait_until_asked(namespace);
        let warned = apply(namespace, &carrier("legacy", ANNOTATION), &[]);
        println!("{}", warned.stderr);
        let warning = format!("Warning: not served: {ANNOTATION_ERROR}{LOOK_AROUND}");
        assert!(warned.ok && warned.stderr.contains(&warning), "{}", warned.stderr);
        // Who doesn't touch the annotation isn't told again.
        let label = namespace.try_kubectl(&["label", "service/legacy", "team=shop"]);
        assert!(label.ok && label.stderr.is_empty(), "{}", label.stderr);
        let plain = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"},
            "spec": {"ports": [{"port": 80}]},
        });
        let plain = apply(namespace, &plain, &[]);
        assert!(plain.ok && plain.stderr.is_empty(), "{}", plain.stderr);

        let _set = Variable::set("NUNCIO_ADMISSION_ANNOTATIONS", "Deny", "Warn");
        wait_until_asked(namespace);
        let other = ANNOTATION.replace("name: bad", "name: other");
        let refused = apply(namespace, &carrier("refused", &other), &[]);
        println!("{}", refused.stderr);
        let message = format!("{DENIED_ANNOTATION}{ANNOTATION_ERROR}{LOOK_AROUND}");
        assert!(!refused.ok && refused.stderr.contains(&message), "{}", refused.stderr);
        let ports = json!({"spec": {"ports": [{"port": 81}]}}).to_string();
        let untouched = ["patch", "service/legacy", "--type=merge", "-p", &ports];
        assert!(namespace.try_kubectl(&untouched).ok, "its annotation was there before");
    });
}

/// A variable of the gateway's that has another value for a while.
struct Variable {
    name: &'static str,
    usual: &'static str,
}

impl Variable {
    fn set(name: &'static str, value: &str, usual: &'static str) -> Self {
        let set = Self { name, usual };
        set.write(value);
        gateway::wait_for_rollout();
        set
    }

    fn write(&self, value: &str) {
        let variable = format!("{}={value}", self.name);
        in_gateway(&["set", "env", "deployment/nuncio", &variable]);
    }
}

impl Drop for Variable {
    fn drop(&mut self) {
        self.write(self.usual);
        if !std::thread::panicking() {
            gateway::wait_for_rollout();
        }
    }
}

fn in_gateway(arguments: &[&str]) -> String {
    let mut all = vec!["--namespace", gateway::NAMESPACE];
    all.extend_from_slice(arguments);
    kubectl(&all).succeed()
}

/// The gateway with another number of pods for a while.
struct Scale;

impl Scale {
    fn to(replicas: u32) -> Self {
        let replicas = format!("--replicas={replicas}");
        in_gateway(&["scale", "deployment/nuncio", &replicas]);
        in_gateway(&["rollout", "status", "deployment/nuncio", "--timeout=120s"]);
        Self
    }
}

impl Drop for Scale {
    fn drop(&mut self) {
        in_gateway(&["scale", "deployment/nuncio", "--replicas=1"]);
        if !std::thread::panicking() {
            gateway::wait_for_rollout();
        }
    }
}

#[test]
fn without_a_gateway_everything_passes() {
    scenario("admission-away", |namespace| {
        wait_until_asked(namespace);
        gateway::assert_no_refusals(); // the log goes with the pod
        let away = Scale::to(0);
        wait_until("the pods are gone", Duration::from_secs(90), || {
            let left =
                in_gateway(&["get", "pods", "-l", "app.kubernetes.io/name=nuncio", "-o", "name"]);
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        let passed = apply(namespace, &bad_mapping("items"), &[]);
        assert!(passed.ok, "{}", passed.stderr);
        drop(away);
        namespace.told("mapping/items", "Ready", ("False", "Invalid"));
        wait_until_asked(namespace);
    });
}

fn secret() -> Value {
    kubectl(&["--namespace", gateway::NAMESPACE, "get", "secret", SECRET, "-o", "json"])
        .json()
        .unwrap_or_default()
}

/// What both webhooks trust, still in base64.
fn bundle() -> String {
    let configuration = kubectl(&["get", CONFIGURATION, "-o", "json"]).json().expect("installed");
    let bundle =
        |index: usize| configuration["webhooks"][index]["clientConfig"]["caBundle"].clone();
    assert_eq!(bundle(0), bundle(1));
    bundle(0).as_str().unwrap_or_default().to_owned()
}

/// Waits until there is a certificate other than `before`, which is trusted and used.
fn wait_for_another(namespace: &Namespace, before: &Value) {
    wait_until("another certificate", PATIENCE, || {
        let now = secret()["data"]["tls.crt"].clone();
        let is_pem = now.as_str().is_some_and(|text| text.len() > 100);
        match is_pem && now != *before && now == bundle() {
            true => Ok(()),
            false => Err(format!("{now} and {}", bundle())),
        }
    });
    wait_until_asked(namespace);
}

#[test]
fn a_certificate_that_is_lost_or_broken_comes_back() {
    scenario("admission-secret", |namespace| {
        wait_until_asked(namespace);
        let first = secret();
        assert_eq!(first["data"]["tls.crt"], bundle());
        in_gateway(&["delete", "secret", SECRET]);
        wait_for_another(namespace, &first["data"]["tls.crt"]);

        let second = secret()["data"]["tls.crt"].clone();
        let broken = json!({"data": {"tls.crt": "aGVsbG8=", "tls.key": "aGVsbG8="}}).to_string();
        in_gateway(&["patch", "secret", SECRET, "--type=merge", "-p", &broken]);
        wait_for_another(namespace, &second);
        let logs = in_gateway(&["logs", "deployment/nuncio", "--tail=-1"]);
        assert!(logs.contains("couldn't be used; made a new certificate"), "it is told");
        assert!(!logs.contains("PRIVATE KEY"), "a key is in the log");

        let third = secret()["data"]["tls.crt"].clone();
        let nobody = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
            {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]);
        kubectl(&["patch", CONFIGURATION, "--type=json", "-p", &nobody.to_string()]).succeed();
        wait_until("trust comes back", PATIENCE, || {
            if third == bundle() { Ok(()) } else { Err(bundle()) }
        });
        wait_until_asked(namespace);
    });
}

/// Whoever else applies the configuration leaves `caBundle` alone, because they don't name it.
#[test]
fn the_trust_is_the_gateways_own_field() {
    scenario("admission-fields", |namespace| {
        wait_until_asked(namespace);
        let arguments = ["get", CONFIGURATION, "-o", "json", "--show-managed-fields"];
        let configuration = kubectl(&arguments).json().expect("installed");
        let fields = configuration["metadata"]["managedFields"].as_array().expect("a list");
        let owners: Vec<&Value> = fields
            .iter()
            .filter(|entry| entry["fieldsV1"].to_string().contains("f:caBundle"))
            .map(|entry| &entry["manager"])
            .collect();
        assert_eq!(owners, ["nuncio-admission"]);
    });
}

#[test]
fn replicas_agree_on_one_certificate() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods can't be reached by their own addresses");
        return;
    }
    scenario("admission-replicas", |namespace| {
        wait_until_asked(namespace);
        let _two = Scale::to(2);
        assert_eq!(gateway::pods().len(), 2);
        wait_until("both serve what is trusted", PATIENCE, both_are_trusted);
        let before = secret()["data"]["tls.crt"].clone();
        in_gateway(&["delete", "secret", SECRET]);
        wait_for_another(namespace, &before);
        wait_until("both serve the new one", PATIENCE, both_are_trusted);
        gateway::assert_no_refusals(); // one of the logs goes with its pod
    });
}

/// Asks each pod over TLS, trusting what the API server trusts and nothing else.
fn both_are_trusted() -> Result<(), String> {
    let mut authorities = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let decoded: k8s_openapi::ByteString =
        serde_json::from_value(json!(bundle())).map_err(|error| error.to_string())?;
    authorities.write_all(&decoded.0).map_err(|error| error.to_string())?;
    for pod in gateway::pods() {
        let ip = pod["status"]["podIP"].as_str().ok_or("no address")?.to_owned();
        let host = "nuncio-admission.nuncio.svc";
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "5", "--write-out", "%{http_code}"]);
        curl.arg("--cacert").arg(authorities.path());
        curl.args(["--resolve", &format!("{host}:8444:{ip}")]);
        curl.arg(format!("https://{host}:8444/validate"));
        let outcome = run(&mut curl, "");
        if !outcome.ok || outcome.stdout != "405" {
            return Err(format!("{ip}: {}", outcome.text()));
        }
    }
    Ok(())
}
