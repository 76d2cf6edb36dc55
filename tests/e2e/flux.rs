//! Flux's own kustomize-controller installs the gateway and keeps an application's routes.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::gitops;
use crate::support::artifacts::Artifacts;
use crate::support::client::Client;
use crate::support::kubectl::{kubectl, run, with_input};
use crate::support::status::condition;
use crate::support::{Namespace, carrier, gateway, mapping_of, scenario, wait_until};

/// How long a revision may take: Flux looks every five seconds.
const PATIENCE: Duration = Duration::from_secs(180);
/// The gateway that Flux installs, apart from the one that all tests share.
const GATEWAY: &str = "flux";

#[test]
fn flux_installs_updates_refuses_heals_and_prunes() {
    let (Some(tools), Some(_)) = (gitops::tools(), gateway::own_cluster()) else {
        println!("not run: Flux is started in the test cluster only");
        return;
    };
    scenario("flux", |namespace| {
        let flux = Flux::start(namespace, &tools);
        flux.artifacts.publish(namespace, "crds", &definitions());
        flux.artifacts.publish(namespace, "gateway", &[("gateway.yaml", chart(namespace))]);
        flux.artifacts.publish(namespace, "routes", &[routes(&good(), true)]);
        installs_in_order(&flux);

        let mut client = Client::to(address(namespace));
        wait_until("both routes", PATIENCE, || {
            client.get("/flux/").expect_of("v1")?;
            client.get("/flux-legacy/").expect_of("v1")
        });
        admission_fails_the_revision(&flux);
        client.get("/flux/").expect_of("v1").expect("what was there before is served");
        a_broken_route_fails_the_revision(&flux);
        a_refused_route_fails_the_revision(&flux);

        flux.artifacts.publish(namespace, "routes", &[routes(&good(), true)]);
        flux.wait_ready("routes");
        wait_until("the route is back", PATIENCE, || client.get("/flux/").expect_of("v1"));

        flux.artifacts.publish(namespace, "routes", &[routes(&good(), false)]);
        flux.wait_ready("routes");
        wait_until("the pruned route is gone", PATIENCE, || {
            match client.get("/flux-legacy/").status {
                404 => Ok(()),
                status => Err(format!("{status}")),
            }
        });
        client.get("/flux/").expect_of("v1").expect("what is still there is served");
    });
}

/// Definitions, gateway and routes: each waits until the one before it is healthy.
fn installs_in_order(flux: &Flux<'_>) {
    flux.reconcile_as_documented();
    for name in ["crds", "gateway", "routes"] {
        flux.wait_ready(name);
    }
    let get = |what: &str| flux.namespace.get(what).expect("it is there");
    let ready_since = |name: &str| {
        let object = get(&format!("kustomization/{name}"));
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        ready.expect("it is")["lastTransitionTime"].as_str().unwrap_or_default().to_owned()
    };
    let made = |what: &str| {
        get(what)["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned()
    };
    // All in UTC with seconds, so that they compare as texts.
    assert!(made("deployment/flux-nuncio") >= ready_since("crds"), "the definitions come first");
    assert!(made("mapping/route") >= ready_since("gateway"), "the gateway comes before routes");
}

/// What admission refuses fails with its message, and nothing is applied.
fn admission_fails_the_revision(flux: &Flux<'_>) {
    flux.artifacts.publish(flux.namespace, "routes", &[routes(&broken(), true)]);
    let (reason, message) = flux.wait_failed("routes", "look-around");
    println!("refused by admission: {reason}: {message}");
    assert_ne!(reason, "HealthCheckFailed", "{message}");
}

/// Without admission it is the gateway's to reject. Flux then names the object, which says why,
/// and doesn't wait until its time is up.
fn a_broken_route_fails_the_revision(flux: &Flux<'_>) {
    flux.namespace.leave_admission();
    flux.artifacts.publish(flux.namespace, "routes", &[routes(&broken(), false)]);
    let failed = format!("Mapping/{}/route status: 'Failed'", flux.namespace.name);
    let (reason, message) = flux.wait_failed("routes", &failed);
    println!("a broken route: {reason}: {message}");
    assert_eq!(reason, "HealthCheckFailed", "{message}");
    assert!(message.contains("failed early"), "{message}");
    let object = flux.namespace.get("mapping/route").expect("it was applied");
    let stalled = condition(&object, "Stalled").expect("it is stalled");
    assert!(stalled.message.contains("look-around"), "{stalled:?}");
}

/// What the definition refuses fails with the message of the definition.
fn a_refused_route_fails_the_revision(flux: &Flux<'_>) {
    let refused = json!({
        "host": "*.example.com", "prefix": "/flux/", "service": "echo-v1.backends",
        "ambassador_id": [GATEWAY],
    });
    flux.artifacts.publish(flux.namespace, "routes", &[routes(&refused, true)]);
    let (reason, message) = flux.wait_failed("routes", "write hostname for a wildcard");
    println!("refused by the definition: {reason}: {message}");
    assert_ne!(reason, "HealthCheckFailed", "{message}");
}

fn broken() -> Value {
    json!({
        "hostname": "*", "prefix": "/flux/(?!0)", "prefix_regex": true,
        "service": "echo-v1.backends", "ambassador_id": [GATEWAY],
    })
}

fn good() -> Value {
    json!({
        "hostname": "*", "prefix": "/flux/", "service": "echo-v1.backends",
        "ambassador_id": [GATEWAY],
    })
}

/// The application's manifests: a Mapping, and perhaps a Service with an annotation.
fn routes(spec: &Value, legacy: bool) -> (&'static str, String) {
    let mut objects = vec![mapping_of("route", spec)];
    if legacy {
        let annotation = format!(
            "apiVersion: ambassador/v1\nkind: Mapping\nname: legacy\nambassador_id: {GATEWAY}\n\
             prefix: /flux-legacy/\nservice: echo-v1.backends\n"
        );
        objects.push(carrier("legacy", &annotation));
    }
    let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
    ("routes.yaml", documents.join("\n---\n"))
}

fn definitions() -> Vec<(&'static str, String)> {
    let read = |name: &'static str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(name);
        (name, std::fs::read_to_string(path).expect("a definition"))
    };
    let names = [
        "getambassador.io_hosts.yaml",
        "getambassador.io_kubernetesendpointresolvers.yaml",
        "getambassador.io_kubernetesserviceresolvers.yaml",
        "getambassador.io_listeners.yaml",
        "getambassador.io_mappings.yaml",
        "getambassador.io_modules.yaml",
        "getambassador.io_tcpmappings.yaml",
        "getambassador.io_tlscontexts.yaml",
        "nuncio.dev_annotatedresources.yaml",
    ];
    names.into_iter().map(read).collect()
}

/// The chart as plain manifests, for a gateway of this test's own.
fn chart(namespace: &Namespace) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/nuncio");
    let image = std::env::var("NUNCIO_IMAGE").unwrap_or("localhost/nuncio:dev".to_owned());
    let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    let values = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        format!("env.AMBASSADOR_ID={GATEWAY}"),
        "replicaCount=1".to_owned(),
        "service.type=ClusterIP".to_owned(),
    ];
    let mut helm = Command::new("helm");
    helm.args(["template", "--skip-tests", GATEWAY])
        .arg(chart)
        .args(["--namespace", &namespace.name]);
    for value in values {
        helm.args(["--set", &value]);
    }
    run(&mut helm, "").succeed()
}

fn address(namespace: &Namespace) -> std::net::SocketAddr {
    let service = namespace.get("service/flux-nuncio").expect("Flux has made it");
    let ip = service["spec"]["clusterIP"].as_str().expect("an address");
    format!("{ip}:80").parse().expect("an address")
}

/// A running kustomize-controller, for one namespace.
struct Flux<'a> {
    namespace: &'a Namespace,
    artifacts: Artifacts,
    controller: Child,
    folder: tempfile::TempDir,
}

impl<'a> Flux<'a> {
    fn start(namespace: &'a Namespace, tools: &Path) -> Self {
        let crds = tools.join("flux-crds.yaml");
        kubectl(&["apply", "--server-side", "-f", &crds.to_string_lossy()]).succeed();
        for name in [
            "kustomizations.kustomize.toolkit.fluxcd.io",
            "externalartifacts.source.toolkit.fluxcd.io",
        ] {
            let crd = format!("crd/{name}");
            kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=60s"]).succeed();
        }
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let controller = Command::new(tools.join("kustomize-controller"))
            .args(["--watch-all-namespaces=false", "--feature-gates=ExternalArtifact=true"])
            .args(["--requeue-dependency=1s", "--metrics-addr=0", "--health-addr=0"])
            .env("RUNTIME_NAMESPACE", &namespace.name)
            .env("TMPDIR", folder.path())
            .stdout(log.try_clone().expect("a log"))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap_or_else(|e| panic!("kustomize-controller: {e}"));
        Self { namespace, artifacts: Artifacts::serve(), controller, folder }
    }

    /// Applies the Kustomizations of docs/flux.md, with the harness's sources in place of Git.
    fn reconcile_as_documented(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flux.md");
        let text = std::fs::read_to_string(path).expect("the documentation");
        let block = text.split("```yml\n").nth(1).and_then(|rest| rest.split("```").next());
        for document in block.expect("an example").split("---\n") {
            let mut object: Value = serde_saphyr::from_str(document).expect("it is YAML");
            let name = object["metadata"]["name"].clone();
            object["metadata"]["namespace"] = json!(self.namespace.name);
            object["spec"]["sourceRef"] = json!({"kind": "ExternalArtifact", "name": name});
            object["spec"]["path"] = json!("./");
            if name == "routes" {
                // Its Mappings name no namespace.
                object["spec"]["targetNamespace"] = json!(self.namespace.name);
            }
            with_input(&["apply", "--server-side", "-f", "-"], &object.to_string()).succeed();
        }
    }

    /// Waits until the newest revision of a source is applied and healthy.
    fn wait_ready(&self, name: &str) {
        wait_until(&format!("revision of {name}"), PATIENCE, || {
            let (kustomization, revision) = self.look(name)?;
            let ready = condition(&kustomization, "Ready").ok_or("no status")?;
            let applied = kustomization["status"]["lastAppliedRevision"] == revision;
            if applied && ready.status == "True" {
                Ok(())
            } else {
                Err(self.log(&format!("{ready:?}")))
            }
        });
    }

    /// Waits until the newest revision has failed with a message that contains this.
    fn wait_failed(&self, name: &str, says: &str) -> (String, String) {
        wait_until(&format!("failure of {name}"), PATIENCE, || {
            let (kustomization, revision) = self.look(name)?;
            let ready = condition(&kustomization, "Ready").ok_or("no status")?;
            let tried = kustomization["status"]["lastAttemptedRevision"] == revision;
            if tried && ready.status == "False" && ready.message.contains(says) {
                return Ok((ready.reason, ready.message));
            }
            Err(self.log(&format!("{ready:?}")))
        })
    }

    /// A Kustomization, and the revision that its source has.
    fn look(&self, name: &str) -> Result<(Value, Value), String> {
        let source = self.namespace.get(&format!("externalartifact/{name}"))?;
        let kustomization = self.namespace.get(&format!("kustomization/{name}"))?;
        Ok((kustomization, source["status"]["artifact"]["revision"].clone()))
    }

    /// A complaint with the end of the controller's log.
    fn log(&self, complaint: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{complaint}\n{}", lines[lines.len().saturating_sub(5)..].join("\n"))
    }
}

impl Drop for Flux<'_> {
    fn drop(&mut self) {
        // With the controller, since it has finalizers, and prunes what it has made.
        let all = ["delete", "kustomizations", "--all", "--timeout=60s"];
        self.namespace.try_kubectl(&all);
        let _ = self.controller.kill();
        let _ = self.controller.wait();
    }
}
