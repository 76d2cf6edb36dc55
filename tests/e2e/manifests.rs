//! What the charts render and what deploy/ holds, before a real API server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway;
use crate::support::kubectl::{kubectl, run, with_input};
use crate::support::scenario;

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every case of values gives objects that the API server takes, down to the last field.
#[test]
fn every_case_of_values_is_valid() {
    let Some(cluster) = gateway::own_cluster() else {
        println!("not run: definitions of other projects are not put into a foreign cluster");
        return;
    };
    let definitions = run(Command::new(cluster).arg("definitions"), "").succeed();
    let _definitions = Applied::all_of(definitions.trim());
    scenario("values", |namespace| {
        let mut cases = 0;
        for entry in fs::read_dir(project("charts/nuncio/ci")).expect("cases") {
            let case = entry.expect("a case").path();
            let (chart, case) = (project("charts/nuncio"), case.to_string_lossy().into_owned());
            let mut template = Command::new("helm");
            template.args(["template", "nuncio"]).arg(chart).args(["--values", &case]);
            let objects = into_namespace(&run(&mut template, "").succeed(), &namespace.name);
            let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict"];
            let applied = with_input(&[&apply[..], &["-f", "-"]].concat(), &objects);
            assert!(applied.ok, "{case}: {}", applied.text());
            cases += 1;
        }
        assert!(cases > 5, "{cases} cases");
    });
}

/// All objects in one namespace, which exists, whatever the case says.
fn into_namespace(objects: &str, namespace: &str) -> String {
    let lines = objects.lines().map(|line| match line.trim_start().strip_prefix("namespace: ") {
        Some(_) => {
            let indent = line.len() - line.trim_start().len();
            format!("{:indent$}namespace: {namespace}\n", "")
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// The base, with other names so that it stands beside the gateway of the other tests.
const OVERLAY: &str = "
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: e2e-plain
nameSuffix: -plain
resources: [../../deploy/base]
images: [{name: ghcr.io/nuncio/nuncio, newName: REPOSITORY, newTag: TAG}]
replicas: [{name: nuncio, count: 1}]
patches:
  - target: {kind: Deployment, name: nuncio}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/env/-
        value: {name: AMBASSADOR_ID, value: plain}
";

#[test]
fn plain_manifests_install_a_gateway() {
    // Beside deploy/, since kustomize takes relative paths only.
    fs::create_dir_all(project("target")).expect("a directory for what is built");
    let directory = tempfile::tempdir_in(project("target")).expect("a directory");
    let (repository, tag) = gateway::image();
    let overlay = OVERLAY.replace("REPOSITORY", &repository).replace("TAG", &tag);
    fs::write(directory.path().join("kustomization.yaml"), overlay).expect("a file is written");
    scenario("plain", |namespace| {
        let path = directory.path().to_string_lossy();
        let _applied = Applied::kustomization(&path);
        let rollout = ["rollout", "status", "deployment/nuncio-plain", "--timeout=120s"];
        namespace.kubectl(&rollout);
    });
}

#[test]
fn the_example_overlay_and_the_definitions_are_valid() {
    for path in ["deploy/overlays/example", "deploy/crds"] {
        let path = project(path).to_string_lossy().into_owned();
        // Fields of objects that are there belong to Helm.
        let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k"];
        kubectl(&[&apply[..], &[&path, "--validate=strict"]].concat()).succeed();
    }
}

/// What was applied, until this is dropped.
struct Applied {
    what: [String; 2],
}

impl Applied {
    /// The files of a directory.
    fn all_of(directory: &str) -> Self {
        Self::apply("-f", directory)
    }

    fn kustomization(directory: &str) -> Self {
        Self::apply("-k", directory)
    }

    fn apply(how: &str, directory: &str) -> Self {
        kubectl(&["apply", "--server-side", how, directory]).succeed();
        Self { what: [how.to_owned(), directory.to_owned()] }
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        let [how, directory] = &self.what;
        kubectl(&["delete", "--ignore-not-found", "--wait=false", how, directory]);
    }
}
