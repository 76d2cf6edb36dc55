//! A release of its own, installed by Helm as people do it: the gateway of the other tests is
//! not touched. Its objects are called `edge-nuncio`. Its AMBASSADOR_ID is its namespace's name, so
//! that it doesn't serve what is left of an earlier test.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::kubectl::{kubectl, run};
use crate::support::{Namespace, PATIENCE, wait_until};

/// The release's name.
const NAME: &str = "edge";
/// Its workload and its Service.
const OBJECT: &str = "edge-nuncio";
const SELECTOR: &str = "app.kubernetes.io/instance=edge";

/// A rollout of several pods, each with its drain, on a machine that has other work.
const ROLLOUT: Duration = Duration::from_secs(300);

/// Which gateway, with which chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// What was released before; see previous/.
    Previous,
    /// What is here.
    Present,
    /// What is here under the name of the version before. Its chart is that of the present: a
    /// pod that may not read what its version reads is never ready.
    PresentAsPrevious,
}

/// The release.
#[derive(Debug)]
pub(super) struct Release<'a> {
    namespace: &'a Namespace,
}

impl<'a> Release<'a> {
    /// Installs it, with three replicas if no value says otherwise, and waits until they are ready.
    pub(super) fn install(namespace: &'a Namespace, version: Version, values: &[&str]) -> Self {
        let release = Self { namespace };
        let outcome = run(&mut release.upgrade(version, values), "");
        if !outcome.ok {
            // It is uninstalled with this value, and what its pods said goes with it.
            release.describe();
        }
        outcome.succeed();
        release.settle();
        release
    }

    fn describe(&self) {
        for arguments in [
            ["describe", "pods", "-l", SELECTOR].as_slice(),
            &["logs", "-l", SELECTOR, "--prefix", "--tail=40"],
        ] {
            println!("{}", self.namespace.try_kubectl(arguments).text());
        }
    }

    /// `helm upgrade --install` to a version, with more values; ready to be started.
    pub(super) fn upgrade(&self, version: Version, values: &[&str]) -> Command {
        let mut helm = self.helm(&["upgrade", "--install", NAME]);
        helm.arg(version.chart()).args(["--wait", "--timeout", "300s"]);
        let image = version.image();
        let (repository, tag) = image.rsplit_once(':').expect("an image has a tag");
        let all = [
            format!("image.repository={repository}"),
            format!("image.tag={tag}"),
            format!("env.AMBASSADOR_ID={}", self.namespace.name),
            "env.NUNCIO_ACCESS_LOG=off".to_owned(),
            "service.type=ClusterIP".to_owned(),
            "replicaCount=3".to_owned(),
        ];
        for value in all.iter().map(String::as_str).chain(values.iter().copied()) {
            helm.args(["--set", value]);
        }
        helm
    }

    /// `helm rollback` to the revision before; ready to be started.
    pub(super) fn rollback(&self) -> Command {
        self.helm(&["rollback", NAME, "--wait", "--timeout", "300s"])
    }

    fn helm(&self, arguments: &[&str]) -> Command {
        let mut helm = Command::new("helm");
        helm.args(arguments).args(["--namespace", &self.namespace.name]);
        helm
    }

    /// Where its Service takes requests.
    pub(super) fn address(&self) -> SocketAddr {
        let service = self.namespace.get(&format!("service/{OBJECT}")).expect("it is installed");
        let ip = service["spec"]["clusterIP"].as_str().expect("it has an address");
        SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), 80)
    }

    /// Its pods, also those that are about to end.
    pub(super) fn pods(&self) -> Vec<Value> {
        let arguments = ["get", "pods", "-l", SELECTOR, "-o", "json"];
        let list = self.namespace.try_kubectl(&arguments).json().expect("pods");
        list["items"].as_array().expect("a list").clone()
    }

    /// Waits until each of its pods answers these paths with 200: a status tells only of the pod
    /// that writes it, in the version before.
    #[track_caller]
    pub(super) fn serves(&self, paths: &[&str]) {
        for pod in self.pods() {
            let ip: IpAddr =
                pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok()).expect("it runs");
            for path in paths {
                let what = format!("{} answers {path}", pod["metadata"]["name"]);
                let mut late = None;
                wait_until(&what, PATIENCE, || {
                    let answer = Client::to(SocketAddr::new(ip, 8080)).try_get(path)?;
                    if answer.status == 200 {
                        return Ok(());
                    }
                    late = Some(answer.shown());
                    Err(answer.shown())
                });
                if let Some(answer) = late {
                    println!("{what}, but late: {answer}");
                }
            }
        }
    }

    /// Its Deployment or DaemonSet, as kubectl takes it.
    pub(super) fn workload(&self) -> String {
        let deployment = format!("deployment/{OBJECT}");
        if self.namespace.get(&deployment).is_ok() {
            deployment
        } else {
            format!("daemonset/{OBJECT}")
        }
    }

    /// Waits until all replicas are ready and those before them are gone.
    #[track_caller]
    pub(super) fn settle(&self) {
        let limit = format!("--timeout={}s", ROLLOUT.as_secs());
        let workload = self.workload();
        self.namespace.kubectl(&["rollout", "status", &workload, &limit]);
        let object = self.namespace.get(&workload).expect("it is installed");
        let wanted = object["spec"]["replicas"]
            .as_u64()
            .or_else(|| object["status"]["desiredNumberScheduled"].as_u64());
        wait_until("the old pods are gone", ROLLOUT, || {
            let left = self.pods().len() as u64;
            if Some(left) == wanted { Ok(()) } else { Err(format!("{left} of {wanted:?}")) }
        });
    }
}

impl Drop for Release<'_> {
    /// What isn't in the namespace would stay.
    fn drop(&mut self) {
        run(&mut self.helm(&["uninstall", NAME, "--ignore-not-found", "--wait"]), "");
    }
}

impl Version {
    /// What upgrades begin with.
    pub(super) fn before() -> Self {
        if std::env::var_os("NUNCIO_E2E_PREVIOUS_IS_THIS").is_none() {
            return Self::Previous;
        }
        println!("not run: an upgrade from the version before, whose history isn't here");
        println!("this version replaces itself instead");
        Self::PresentAsPrevious
    }

    fn chart(self) -> PathBuf {
        match self {
            Self::Previous => root().join("tests/e2e/previous/chart"),
            Self::Present | Self::PresentAsPrevious => root().join("charts/nuncio"),
        }
    }

    fn image(self) -> String {
        let variable = match self {
            Self::Previous | Self::PresentAsPrevious => "NUNCIO_E2E_PREVIOUS",
            Self::Present => "NUNCIO_IMAGE",
        };
        std::env::var(variable).unwrap_or_else(|_| panic!("tests/e2e/run sets {variable}"))
    }

    /// Whether its pods tell a client that is idle before they go. Those of 0.1.0 close its
    /// connection half a second after the drain delay, in which a request can be lost. This goes
    /// when 0.1.0 is no longer the version before.
    pub(super) fn tells_idle_clients(self) -> bool {
        self != Self::Previous
    }

    /// Puts the definitions of this version in place, for everybody.
    pub(super) fn define(self) {
        let crds = match self {
            Self::Previous => root().join("tests/e2e/previous/crds"),
            Self::Present | Self::PresentAsPrevious => root().join("crds"),
        };
        let crds = crds.to_str().expect("a path in UTF-8");
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", crds]).succeed();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
