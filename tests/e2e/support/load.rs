//! Load that counts what it loses: the program `hold` of backends/.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::gateway;
use super::kubectl::run;

/// A running `hold`.
#[derive(Debug)]
pub(crate) struct Hold {
    child: Option<Child>,
    name: String,
}

/// What became of the requests.
#[derive(Debug, Deserialize)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Those that were begun before it was told to end.
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) status: BTreeMap<String, u64>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) pods: BTreeMap<String, u64>,
    pub(crate) connections: u64,
    /// Connections that the gateway closed while no request was on its way.
    pub(crate) closed_idle: u64,
    pub(crate) slowest_ms: u64,
    pub(crate) seconds: f64,
    /// The first hundred of each connection.
    #[serde(default)]
    pub(crate) failures: Vec<Failure>,
}

/// A request that failed.
#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) took_ms: u64,
    pub(crate) kind: String,
}

impl Hold {
    /// A neighbour of what is changed, who must notice nothing.
    pub(crate) fn neighbour(path: &str) -> Self {
        Self::start(path, 2, 50)
    }

    /// Four connections that are busy, but leave the machine something.
    pub(crate) fn busy(path: &str) -> Self {
        Self::start(path, 4, 400)
    }

    fn start(path: &str, connections: u32, rate: u32) -> Self {
        let url = format!("http://{}{path}", gateway::address());
        let (connections, rate) = (connections.to_string(), rate.to_string());
        Self::with(path, &url, &["-connections", &connections, "-rate", &rate])
    }

    /// Any load: `arguments` of `hold`, and a name for messages.
    pub(crate) fn with(name: &str, url: &str, arguments: &[&str]) -> Self {
        let child = Command::new("hold")
            .args(["-url", url])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("hold: {e}"));
        Self { child: Some(child), name: name.to_owned() }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells it to end, without waiting for that.
    pub(crate) fn interrupt(&self) {
        let child = self.child.as_ref().expect("it is taken only when it ends");
        run(Command::new("kill").args(["-INT", &child.id().to_string()]), "").succeed();
    }

    /// Ends it and says what became of the requests.
    pub(crate) fn stop(self) -> Tally {
        self.interrupt();
        self.wait()
    }

    /// Waits for its end, and says what became of the requests.
    pub(crate) fn wait(mut self) -> Tally {
        let child = self.child.take().expect("it is taken only here and in drop");
        let output = child.wait_with_output().expect("its output");
        serde_json::from_slice(&output.stdout).expect("hold prints JSON")
    }

    /// Ends it; not one request may have failed.
    #[track_caller]
    pub(crate) fn stop_lossless(self, during: &str) -> Tally {
        let name = self.name.clone();
        let tally = self.stop();
        println!(
            "{during}: {} of {} requests to {name} failed in {:.1} s, slowest {} ms, {} connections",
            tally.failed, tally.requests, tally.seconds, tally.slowest_ms, tally.connections
        );
        assert!(tally.requests > 0, "{during}: nothing was requested");
        assert_eq!(tally.failed, 0, "{during}: {:?} {:?}", tally.status, tally.errors);
        tally
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The time in which a fault is left alone with the load: a length of the experiment.
pub(crate) fn let_it_run(time: Duration) {
    std::thread::sleep(time);
}
