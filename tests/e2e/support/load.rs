//! Load that counts what it loses: the program `hold` of backends/.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::gateway;
use super::kubectl::run;

/// A running `hold`.
#[derive(Debug)]
pub(crate) struct Hold {
    child: Option<Child>,
    path: String,
}

/// What became of the requests.
#[derive(Debug, Deserialize)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) status: BTreeMap<String, u64>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) pods: BTreeMap<String, u64>,
    pub(crate) connections: u64,
    pub(crate) slowest_ms: u64,
    pub(crate) seconds: f64,
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
        let child = Command::new("hold")
            .args(["-url", &url, "-connections", &connections.to_string()])
            .args(["-rate", &rate.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("hold: {e}"));
        Self { child: Some(child), path: path.to_owned() }
    }

    /// Ends it and says what became of the requests.
    pub(crate) fn stop(mut self) -> Tally {
        let child = self.child.take().expect("it is taken only here and in drop");
        run(Command::new("kill").args(["-INT", &child.id().to_string()]), "").succeed();
        let output = child.wait_with_output().expect("its output");
        serde_json::from_slice(&output.stdout).expect("hold prints JSON")
    }

    /// Ends it; not one request may have failed.
    #[track_caller]
    pub(crate) fn stop_lossless(self, during: &str) -> Tally {
        let path = self.path.clone();
        let tally = self.stop();
        println!(
            "{during}: {} of {} requests to {path} failed in {:.1} s, slowest {} ms, {} connections",
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
