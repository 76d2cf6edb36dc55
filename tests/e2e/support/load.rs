//! Load that counts what it loses: the program `hold` of backends/.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::gateway;
use super::kubectl::run;

/// A running `hold`.
#[derive(Debug)]
pub(crate) struct Hold {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    name: String,
}

/// What became of the requests.
#[derive(Debug, Clone, Default, Deserialize)]
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
    /// How many took so many microseconds, from when each was due.
    pub(crate) latency_us: BTreeMap<u64, u64>,
    pub(crate) seconds: f64,
    /// The first hundred.
    #[serde(default)]
    pub(crate) failures: Vec<Failure>,
}

/// A request that failed.
#[derive(Debug, Clone, Deserialize)]
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
        let mut child = Command::new("hold")
            .args(["-url", url])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("hold: {e}"));
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output, name: name.to_owned() }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells it to end, without waiting for that.
    pub(crate) fn interrupt(&self) {
        run(Command::new("kill").args(["-INT", &self.child.id().to_string()]), "").succeed();
    }

    /// What became of the requests that have ended since it was last asked.
    pub(crate) fn so_far(&mut self) -> Tally {
        self.input.write_all(b"\n").expect("hold runs");
        self.read()
    }

    /// Ends it and says what became of the requests.
    pub(crate) fn stop(self) -> Tally {
        self.interrupt();
        self.wait()
    }

    /// Waits for its end, and says what became of the requests.
    pub(crate) fn wait(mut self) -> Tally {
        self.read()
    }

    fn read(&mut self) -> Tally {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output");
        serde_json::from_str(&line).expect("hold prints JSON")
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
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Tally {
    /// Takes in what became of other requests.
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.asked += other.asked;
        self.failed += other.failed;
        self.connections += other.connections;
        self.closed_idle += other.closed_idle;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.seconds = self.seconds.max(other.seconds);
        self.failures.extend(other.failures);
        sum(&mut self.status, other.status);
        sum(&mut self.errors, other.errors);
        sum(&mut self.pods, other.pods);
        sum(&mut self.latency_us, other.latency_us);
    }

    /// In how many milliseconds that share of the requests was answered.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let total: u64 = self.latency_us.values().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.latency_us.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0.0, |(micros, _)| *micros as f64 / 1e3)
    }
}

fn sum<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key).or_default() += count;
    }
}

/// The time in which a fault is left alone with the load: a length of the experiment.
pub(crate) fn let_it_run(time: Duration) {
    std::thread::sleep(time);
}
