//! Every command of the documentation: the ```sh blocks of these pages are run in the order in
//! which they are read, in a cluster of their own, from the project's directory. What a page sets
//! or installs is there for its next blocks, and what it leaves in the cluster for the next page.
//!
//! A fence can say more: of ```sh error the last command has to fail, and ```sh norun=REASON names
//! what a test can't do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::fences::{Fence, fences, pages};
use crate::support::gateway::own_cluster;
use crate::support::kubectl::run;

/// The pages, in an order in which one could read them. The cluster is empty at first; the gateway
/// is there from docs/install.md on, until docs/uninstall.md takes it away.
const PAGES: &[&str] = &[
    "docs/manifests.md",
    "docs/install.md",
    "docs/security.md",
    "docs/high-availability.md",
    "docs/troubleshooting.md",
    "docs/migrate-from-emissary.md",
    "docs/argocd/README.md",
    "docs/upgrade.md",
    "docs/uninstall.md",
];

/// What a page takes for granted, and how a test makes it so.
const PREPARED: &[(&str, &str)] = &[("docs/argocd/README.md", "kubectl create namespace argocd")];

/// Pages whose commands are run elsewhere, or can't be.
const ELSEWHERE: &[(&str, &str)] = &[
    ("docs/explain.md", "tests/docs runs its commands, and compares what they print"),
    ("docs/older-versions.md", "it needs definitions that were Emissary's"),
    ("docs/image.md", "an optimised build takes minutes"),
    ("README.md", "an optimised build takes minutes; the rest is in docs/install.md"),
];

/// Where the chart takes the image from when nothing else is said.
const IMAGE: &str = concat!("ghcr.io/nuncio/nuncio:", env!("CARGO_PKG_VERSION"));

/// How long a page may take.
const PATIENCE_SECONDS: &str = "900";

#[test]
fn every_command_of_the_documentation_works() {
    let Some(script) = own_cluster() else {
        println!("documentation: skipped: it needs a cluster of its own");
        return;
    };
    assert_every_page_is_known();
    let cluster = Cluster::start(script);
    for page in PAGES {
        let started = Instant::now();
        let blocks = commands(page);
        let (run, left): (Vec<_>, Vec<_>) =
            blocks.into_iter().partition(|block| !block.info.starts_with("norun="));
        let before =
            PREPARED.iter().find(|(one, _)| one == page).map_or("", |(_, command)| command);
        cluster.run_page(&script_of(before, &run));
        let seconds = started.elapsed().as_secs_f64();
        println!("documentation: {page}: {} blocks were run in {seconds:.0} s", run.len());
        for block in left {
            println!("not run: {}: {}", block.place(), &block.info["norun=".len()..]);
        }
    }
}

/// A new page with commands belongs in one of the lists.
fn assert_every_page_is_known() {
    for page in pages(project()) {
        let known = PAGES.contains(&page.as_str()) || ELSEWHERE.iter().any(|(one, _)| *one == page);
        assert!(known || commands(&page).is_empty(), "{page} has commands that nothing runs");
    }
    for (page, reason) in ELSEWHERE {
        println!("not run: {page}: {reason}");
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn commands(page: &str) -> Vec<Fence> {
    fences(project(), page).into_iter().filter(|block| block.language == "sh").collect()
}

/// One program of a page's blocks, which says where it is, and ends where something fails.
fn script_of(before: &str, blocks: &[Fence]) -> String {
    let mut script = format!("set -euo pipefail\n{before}\n");
    for block in blocks {
        let (place, text) = (block.place(), &block.text);
        let _ = match block.is_wrong() {
            false => write!(script, "echo '--- {place}'\n{text}"),
            true => write!(
                script,
                "echo '--- {place}'\nset +e\n( set -e\n{text})\ncode=$?\nset -e\n\
                 ((code)) || {{ echo 'this should have failed'; exit 1; }}\n"
            ),
        };
    }
    script
}

/// A cluster beside the one that the other tests share.
struct Cluster {
    script: PathBuf,
    name: String,
}

impl Cluster {
    fn start(script: PathBuf) -> Self {
        let name = std::env::var("CLUSTER_NAME").unwrap_or_else(|_| "nuncio-e2e".to_owned());
        let cluster = Self { script, name: format!("{name}-docs") };
        cluster.command(&["up"]);
        let image = match std::env::var("NUNCIO_BINARY") {
            Ok(binary) if !binary.is_empty() => ["load-binary", IMAGE, &binary].map(str::to_owned),
            _ => {
                let archive = std::env::var("NUNCIO_E2E_ARCHIVE").expect("tests/e2e/run sets it");
                ["load-archive", IMAGE, &archive].map(str::to_owned)
            }
        };
        cluster.command(&image.each_ref().map(String::as_str));
        let backends = project().join("tests/e2e/manifests/backends.yaml");
        let backends = backends.to_str().expect("paths of the project are text");
        cluster.command(&["run", "kubectl", "apply", "-f", backends]);
        cluster
    }

    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.script);
        command.args(arguments).env("CLUSTER_NAME", &self.name).env_remove("CLUSTER_DIR");
        run(command.current_dir(project()), "").succeed()
    }

    fn run_page(&self, script: &str) {
        self.command(&["run", "timeout", PATIENCE_SECONDS, "bash", "-c", script]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::env::var_os("NUNCIO_E2E_KEEP").is_none() {
            let mut command = Command::new(&self.script);
            // What it leaves shows when the next one is started.
            let _ = command
                .arg("down")
                .env("CLUSTER_NAME", &self.name)
                .env_remove("CLUSTER_DIR")
                .status();
        }
    }
}
