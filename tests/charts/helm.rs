//! Helm itself, in both its majors.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::project;

/// People have both.
pub(crate) const MAJORS: [&str; 2] = ["helm3", "helm4"];

/// Runs a test with Helm's directory, or says that it is skipped. The first time in a checkout
/// Helm is compiled, which takes minutes.
pub(crate) fn with_tools(test: impl FnOnce(&Tools)) {
    static TOOLS: OnceLock<Option<Tools>> = OnceLock::new();
    match TOOLS.get_or_init(Tools::build) {
        Some(tools) => test(tools),
        None => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "Go is needed for Helm");
            eprintln!("skipped: there is no Go to compile Helm with");
        }
    }
}

/// Where the programs are.
pub(crate) struct Tools {
    bin: PathBuf,
}

impl Tools {
    fn build() -> Option<Self> {
        Command::new("go").arg("version").output().ok()?;
        let output = Command::new(project("tests/e2e/cluster/cluster")).arg("tools").output();
        let bin = stdout(output.expect("the script runs"));
        Some(Self { bin: bin.trim().into() })
    }

    /// One program with arguments, in the project's directory.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.bin.join(program));
        // What somebody has set for their own Helm must not decide.
        command.env_clear().env("HOME", "/nonexistent").current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    /// What a chart renders as a release `nuncio` in the namespace `nuncio`, without its tests.
    pub(crate) fn template(&self, helm: &str, chart: &str, values: &[&Path]) -> String {
        stdout(self.try_template(helm, chart, values))
    }

    /// The same, or what is wrong with it.
    pub(crate) fn try_template(&self, helm: &str, chart: &str, values: &[&Path]) -> Output {
        let mut arguments = vec!["template", "nuncio", chart, "--namespace", "nuncio"];
        arguments.push("--skip-tests");
        for file in values {
            arguments.extend(["--values", file.to_str().expect("a path in UTF-8")]);
        }
        self.run(helm, &arguments)
    }
}

/// What a program wrote, which must have succeeded.
pub(crate) fn stdout(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{error}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The objects of a rendered chart, without Helm's remarks on where they came from.
pub(crate) fn documents(rendered: &str) -> Vec<String> {
    let documents = rendered.split("\n---\n").map(|document| {
        let lines =
            document.lines().filter(|line| !line.starts_with("# Source:") && *line != "---");
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    });
    documents.filter(|document| !document.is_empty()).collect()
}

/// The kind and name of an object, as `KIND/NAME`.
pub(crate) fn name_of(document: &str) -> String {
    let value = |key: &str| {
        let found = document.lines().find_map(|line| line.strip_prefix(key));
        found.unwrap_or_else(|| panic!("no {key:?} in\n{document}")).trim().to_owned()
    };
    format!("{}/{}", value("kind: "), value("  name: "))
}
