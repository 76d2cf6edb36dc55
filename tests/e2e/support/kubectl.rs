//! kubectl, as people use it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    command: String,
    pub(crate) ok: bool,
    /// `None` where a signal has ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Its output, if it succeeded; else the test fails.
    #[track_caller]
    pub(crate) fn succeed(self) -> String {
        assert!(self.ok, "{}: {}{}", self.command, self.stdout, self.stderr);
        self.stdout
    }

    /// Its output as JSON, or its complaint.
    pub(crate) fn json(self) -> Result<Value, String> {
        if !self.ok {
            return Err(self.stderr);
        }
        serde_json::from_str(&self.stdout).map_err(|e| format!("{}: {e}", self.command))
    }

    /// All that it said.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs kubectl to its end.
pub(crate) fn kubectl(arguments: &[&str]) -> Outcome {
    run(Command::new("kubectl").args(arguments), "")
}

/// The same with something to read.
pub(crate) fn with_input(arguments: &[&str], input: &str) -> Outcome {
    run(Command::new("kubectl").args(arguments), input)
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, input: &str) -> Outcome {
    let shown = format!("{command:?}").replace('"', "");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // Beside it: a program that writes much before it has read all would block both.
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let _ = writing.join(); // one that didn't read its input says so by its exit code
    Outcome {
        command: shown,
        ok: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
