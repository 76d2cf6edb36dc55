//! A cluster that had Emissary's definitions, which store v2: the way to v3alpha1 and back out of
//! all older versions, as docs/older-versions.md has it.

mod objects;
mod reader;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chart::{self, Helm, Release};
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::{Outcome, kubectl, run, with_input};
use crate::support::load::Hold;
use crate::support::lone::binary;
use crate::support::{Namespace, PATIENCE, scenario, wait_until};
use objects::{Snapshot, apply_all, apply_later, versions_in_etcd};
use reader::Reader;

/// The Service of the webhooks, and the Secret of their certificate.
const SERVICE: &str = "edge-nuncio-admission";
const SECRET: &str = "edge-nuncio-admission-certificate";
/// What may take several steps of several programs.
const STEP: Duration = Duration::from_secs(120);

/// One test, because there is one set of definitions.
#[test]
fn a_cluster_with_v2_moves_and_loses_nothing() {
    if gateway::own_cluster().is_none() {
        println!("not run: the definitions of a foreign cluster are not taken over");
        return;
    }
    scenario("conversion", |namespace| {
        let helm = Helm { program: "helm4", namespace };
        let _release = Release(&helm);
        install(&helm);
        let _definitions = Definitions;
        emissary_stored_v2(namespace);
        apply_all(namespace);
        let stored = versions_in_etcd(namespace);
        assert!(stored.values().all(|version| version == "v2"), "{stored:?}");
        let mut client = Client::to(helm.address());
        serves(&mut client, &["/v1/", "/v2/", "/v3/"]);
        without_a_gateway_v2_is_told_and_heals(&helm, &mut client);

        stage_next_certificate(namespace);
        let load = loads(&helm);
        let reader = Reader::start(namespace);
        move_definitions(&helm);
        let before = edit_in_all_versions(namespace, &mut client);
        migrate(namespace, &before);
        wait_for_next_certificate(namespace);
        reader.stop("certificate and storage are replaced");
        for hold in load {
            hold.stop_lossless("older versions move");
        }
        leave_older_versions(&helm, &before);
    });
}

/// The gateway comes before the definitions that need it.
fn install(helm: &Helm<'_>) {
    let values = format!("{},conversion.enabled=true", helm.values());
    helm.run(&["install", chart::RELEASE, "charts/nuncio", "--wait", "--set", &values]);
}

/// The definitions as Emissary's chart leaves them: v2 is stored, and nothing else ever was.
fn emissary_stored_v2(namespace: &Namespace) {
    let flags = ["--enable-legacy-versions", "--enable-v1", "--conversion-service", SERVICE];
    let printed =
        nuncio(&[&["crds", "--conversion-namespace", &namespace.name], &flags[..]].concat());
    let mut all = Vec::new();
    for document in printed.succeed().split("---\n").filter(|text| !text.is_empty()) {
        let mut definition: Value = serde_saphyr::from_str(document).expect("YAML");
        let versions = definition["spec"]["versions"].as_array_mut().expect("a list");
        if versions.len() > 1 {
            for version in versions {
                version["storage"] = json!(version["name"] == "v2");
            }
            all.push(definition);
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string();
    with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &list).succeed();
    for definition in &all {
        let name = definition["metadata"]["name"].as_str().expect("a name");
        wait_until(&format!("{name} trusts the gateway"), PATIENCE, || {
            let path = "{.spec.conversion.webhook.clientConfig.caBundle}";
            match kubectl(&["get", "crd", name, "-o", &format!("jsonpath={path}")]).succeed() {
                bundle if bundle.is_empty() => Err("no caBundle".to_owned()),
                _ => Ok(()),
            }
        });
        let status = r#"{"status": {"storedVersions": ["v2"]}}"#;
        let patch = ["patch", "crd", name, "--subresource=status", "--type=merge", "-p", status];
        kubectl(&patch).succeed();
    }
}

/// Waits until these paths are answered.
fn serves(client: &mut Client, paths: &[&str]) {
    for path in paths {
        wait_until(&format!("{path} is served"), PATIENCE, || {
            client.try_get(path).and_then(|answer| answer.expect_of("v1"))
        });
    }
}

/// Nobody converts: who reads is told why, and a gateway that comes back needs no help, although
/// what it reads has to be converted by itself.
fn without_a_gateway_v2_is_told_and_heals(helm: &Helm<'_>, client: &mut Client) {
    let deployment = format!("deployment/{}", chart::GATEWAY);
    helm.namespace.kubectl(&["scale", &deployment, "--replicas=0"]);
    helm.namespace.kubectl(&[
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app.kubernetes.io/instance=edge",
        "--timeout=120s",
    ]);
    let told = wait_until("it is told", PATIENCE, || {
        let read = helm.namespace.try_kubectl(&["get", "mappings.v3alpha1.getambassador.io/v2"]);
        if read.ok { Err("it can be read".to_owned()) } else { Ok(read.stderr) }
    });
    println!("without a gateway: {told}");
    assert!(told.contains("conversion webhook") && told.contains("failed"), "{told}");
    helm.namespace.kubectl(&["get", "mappings.v2.getambassador.io"]);
    helm.namespace.kubectl(&["scale", &deployment, "--replicas=2"]);
    helm.namespace.kubectl(&["rollout", "status", &deployment, "--timeout=120s"]);
    serves(client, &["/v1/", "/v2/", "/v3/"]);
}

/// A certificate that the gateway replaces its own by, as it does when that grows old.
fn stage_next_certificate(namespace: &Namespace) {
    let name = format!("{SERVICE}.{}.svc", namespace.name);
    let made = rcgen::generate_simple_self_signed(vec![name]).expect("a certificate");
    let patch = json!({"stringData": {
        "next.crt": made.cert.pem(), "next.key": made.signing_key.serialize_pem(),
    }});
    namespace.kubectl(&["patch", "secret", SECRET, "--type=merge", "-p", &patch.to_string()]);
}

/// The API server trusts both for a minute before it is shown the new one.
fn wait_for_next_certificate(namespace: &Namespace) {
    wait_until("the next certificate is served", STEP, || {
        let data = namespace.get(&format!("secret/{SECRET}"))?["data"].clone();
        match (data.get("next.crt"), data.get("old.crt")) {
            (None, Some(_)) => Ok(()),
            _ => Err("not yet".to_owned()),
        }
    });
    // Read with it, not only with connections from before.
    namespace.kubectl(&["get", "mappings.v2.getambassador.io"]);
}

fn loads(helm: &Helm<'_>) -> Vec<Hold> {
    let of = |path: &str| {
        let url = format!("http://{}{path}", helm.address());
        Hold::with(path, &url, &["-connections", "2", "-rate", "50"])
    };
    ["/v1/", "/v2/", "/v3/"].map(of).into()
}

/// From what Emissary left to the chart's: v3alpha1 is stored.
fn move_definitions(helm: &Helm<'_>) {
    let conversion =
        format!("conversion.service={SERVICE},conversion.namespace={}", helm.namespace.name);
    let older = ["--set", "enableLegacyVersions=true,enableV1=true", "--set", &conversion];
    upgrade(helm, "helm4", &[&older[..], &["--force-conflicts"]].concat());
    let created = apply_later(helm.namespace);
    wait_until("the API server stores v3alpha1", STEP, || {
        helm.namespace.kubectl(&[
            "annotate",
            "--overwrite",
            &created,
            &format!("at={}", jiff::Timestamp::now()),
        ]);
        match versions_in_etcd(helm.namespace).get("mappings/later") {
            Some(version) if version == "v3alpha1" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let stored = versions_in_etcd(helm.namespace);
    assert!(stored.values().any(|version| version == "v2"), "nobody has written it: {stored:?}");
}

/// What is written in one version is read in the others, and served.
fn edit_in_all_versions(namespace: &Namespace, client: &mut Client) -> Snapshot {
    for (version, name) in [("v1", "by-v1"), ("v2", "by-v2"), ("v3alpha1", "by-v3")] {
        let patch = json!({"spec": {"prefix": format!("/{name}-edited/")}}).to_string();
        let what = format!("mappings.{version}.getambassador.io/{name}");
        namespace.kubectl(&["patch", &what, "--type=merge", "-p", &patch]);
    }
    serves(client, &["/by-v1-edited/", "/by-v2-edited/", "/by-v3-edited/"]);
    let headers = |version: &str| {
        let what = format!("mappings.{version}.getambassador.io/by-v3");
        namespace.get(&what).expect("it is there")["spec"]["remove_request_headers"].clone()
    };
    assert_eq!(headers("v2"), json!("x-a"), "as its user wrote it, after an edit as v3alpha1");
    assert_eq!(headers("v3alpha1"), json!(["x-a"]));
    Snapshot::take(namespace)
}

/// Everything is stored anew, and is what it was in every version.
fn migrate(namespace: &Namespace, before: &Snapshot) {
    let planned = nuncio(&["migrate-storage", "--dry-run"]).succeed();
    assert!(planned.contains("to write back, stored as v2 or v3alpha1"), "{planned}");
    let moved = nuncio(&["migrate-storage"]).succeed();
    println!("{moved}");
    let lines = moved.lines().filter(|line| line.contains("no longer stored: v2"));
    assert_eq!(lines.count(), objects::KINDS.len(), "{moved}");
    let stored = versions_in_etcd(namespace);
    assert!(stored.values().all(|version| version == "v3alpha1"), "{stored:?}");
    before.assert_is(&Snapshot::take(namespace));
    let again = nuncio(&["migrate-storage"]).succeed();
    assert!(again.lines().all(|line| line.ends_with(": stored as v3alpha1")), "{again}");
}

/// Without a gateway v3alpha1 is read and older versions go; both Helms then change definitions
/// without being refused for what `migrate-storage` has written.
fn leave_older_versions(helm: &Helm<'_>, before: &Snapshot) {
    let namespace = helm.namespace;
    helm.run(&["uninstall", chart::RELEASE, "--wait"]);
    namespace.kubectl(&["get", "mappings.v3alpha1.getambassador.io/v2"]);
    let conversion =
        format!("conversion.service={SERVICE},conversion.namespace={}", namespace.name);
    let older = ["--set", "enableLegacyVersions=true", "--set", &conversion];
    let none = ["--set", "enableLegacyVersions=false,enableV1=false"];
    for program in ["helm4", "helm3"] {
        let dropped = nuncio(&["migrate-storage", "--drop-older-versions"]).succeed();
        assert_eq!(
            dropped.matches("no longer served: v2").count(),
            objects::KINDS.len(),
            "{dropped}"
        );
        let fields = "jsonpath={.items[*].metadata.managedFields[*].manager}";
        let managers = kubectl(&["get", "crd", "--show-managed-fields", "-o", fields]).succeed();
        assert!(!managers.contains("migrate-storage"), "{managers}");
        upgrade(helm, program, &none);
        before.assert_current(&Snapshot::take(namespace));
        upgrade(helm, program, &older);
    }
}

fn upgrade(helm: &Helm<'_>, program: &'static str, values: &[&str]) {
    let upgrade = ["upgrade", "--install", chart::DEFINITIONS, "charts/nuncio-crds"];
    let all = [&upgrade[..], &["--take-ownership"], values].concat();
    Helm { program, namespace: helm.namespace }.run(&all);
}

/// `nuncio ARGUMENTS…`
fn nuncio(arguments: &[&str]) -> Outcome {
    run(Command::new(binary().expect("the test cluster has one")).args(arguments), "")
}

/// Definitions that are everybody's again once this is dropped.
struct Definitions;

impl Drop for Definitions {
    fn drop(&mut self) {
        // After a failure they may be in any state; with them goes what can't be converted.
        if !nuncio(&["migrate-storage", "--drop-older-versions"]).ok {
            let names = objects::KINDS.map(|(plural, ..)| format!("{plural}.getambassador.io"));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            kubectl(&[&["delete", "crd", "--timeout=60s"], &names[..]].concat());
        }
        let helm = ["upgrade", "--install", chart::DEFINITIONS, "charts/nuncio-crds"];
        let mut command = Command::new("helm4");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(helm);
        command.args(["--take-ownership", "--server-side=true", "--force-conflicts"]);
        command.args(["--namespace", gateway::NAMESPACE]);
        println!("{}", run(&mut command, "").text());
    }
}
