//! A gateway as a process of this machine, in the cluster's network: for what would be slow or
//! impossible to bring about in a pod.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use super::client::{Answer, Client};
use super::kubectl::run;
use super::{PATIENCE, wait_until};

/// The gateway's binary, where `tests/e2e/run` has one.
pub(crate) fn binary() -> Option<PathBuf> {
    std::env::var_os("NUNCIO_E2E_BINARY").map(PathBuf::from)
}

/// A directory that goes with this value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn create(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nuncio-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left of it is below the temporary directory
    }
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
    http: SocketAddr,
}

/// Ports of this network that nothing else uses.
static NEXT_PORT: AtomicU16 = AtomicU16::new(19_000);

impl Process {
    /// `nuncio run` with this environment, which logs to `directory`.
    pub(crate) fn run(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let log = directory.join("log");
        let errors = File::create(&log).expect("a log can be made");
        Self::start(
            Command::new(binary().expect("asked before")).arg("run"),
            environment,
            errors,
            log,
        )
    }

    /// Any command of ours that serves.
    pub(crate) fn start(
        command: &mut Command,
        environment: &[(&str, &str)],
        errors: File,
        log: PathBuf,
    ) -> Self {
        let port = NEXT_PORT.fetch_add(2, Ordering::Relaxed);
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = command
            .args(["--http-port", &port.to_string(), "--admin-port", &(port + 1).to_string()])
            .args(["--drain-delay", "0", "--workers", "1"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, log, admin: at(port + 1), http: at(port) }
    }

    /// A client of its port for requests.
    pub(crate) fn client(&self) -> Client {
        Client::to(self.http)
    }

    /// What it answers on its admin port.
    pub(crate) fn admin(&self, path: &str) -> Result<Answer, String> {
        Client::to(self.admin).try_get(path)
    }

    /// Status and text of `check_ready`.
    pub(crate) fn readiness(&self) -> Result<(u16, String), String> {
        let answer = self.admin("/ambassador/v0/check_ready")?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is there")
    }

    /// Waits until it is ready; fails with what it says instead.
    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        wait_until("the process is ready", PATIENCE, || match self.readiness()? {
            (200, _) => Ok(()),
            (_, text) => Err(format!("{text}{}", self.log())),
        });
    }

    /// Waits for a line of its log with all of these words, and gives it.
    #[track_caller]
    pub(crate) fn wait_logged(&self, words: &[&str]) -> String {
        wait_until(&format!("a line with {words:?}"), PATIENCE, || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned).ok_or(log)
        })
    }

    /// Waits for check_ready to answer this code with all of these words.
    #[track_caller]
    pub(crate) fn wait_told(&self, code: u16, words: &[&str]) -> String {
        wait_until(&format!("check_ready: {code} with {words:?}"), PATIENCE, || {
            let (got, text) = self.readiness()?;
            let is_it = got == code && words.iter().all(|word| text.contains(word));
            if is_it { Ok(text) } else { Err(format!("{got} {text}{}", self.log())) }
        })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("the process ends", PATIENCE, || {
            self.child.try_wait().expect("a child can be asked").ok_or_else(|| self.log())
        })
    }

    /// Kills it without notice, as a node that fails does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(&mut self) {
        let id = self.child.id().to_string();
        run(Command::new("kill").args(["-TERM", &id]), "").succeed();
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- what the process logged\n{}--- end", self.log());
        }
        self.kill();
    }
}
