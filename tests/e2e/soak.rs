//! Nothing is lost: one set of clients of all kinds asks all the time, through three replicas, while
//! everything around and within the gateway is disturbed, one thing after the other. Every request
//! is counted. What a correct gateway can't avoid is said at its disturbance, with the reason.
//!
//! `make soak` goes on for `SOAK_MINUTES`, with more of everything, and writes its table to the file
//! `SOAK_REPORT`. Without these variables it is the short form: each disturbance once.

mod clients;
mod clock;
mod config;
mod control;
mod flood;
mod leader;
mod memory;
mod pods;
mod report;
mod slow;
mod stage;
mod upstreams;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::support::gateway;
use crate::support::load::let_it_run;
use crate::support::scenario;
use clients::Clients;
use report::{Report, Row};
use stage::{Length, Stage};

/// Something that happens, and is over when `make` comes back: everything that it changes is then
/// seen to be served.
struct Disturbance {
    name: &'static str,
    /// Gives what is worth knowing of it: how many changes it made, what its own clients got.
    make: fn(&Stage<'_>) -> String,
    /// Failures that no gateway can avoid.
    unavoidable: Option<Unavoidable>,
}

/// What may fail, and why.
#[derive(Debug, Clone, Copy)]
struct Unavoidable {
    /// How what failed begins, as `hold` tells it.
    kinds: &'static [&'static str],
    why: &'static str,
}

impl Disturbance {
    const fn lossless(name: &'static str, make: fn(&Stage<'_>) -> String) -> Self {
        Self { name, make, unavoidable: None }
    }
}

/// All of them; what takes longest comes last.
const DISTURBANCES: [Disturbance; 18] = [
    Disturbance::lossless("route changes", config::routes),
    Disturbance::lossless("weight shifts", config::weights),
    Disturbance::lossless("certificate rotated", config::certificates),
    Disturbance::lossless("Listener added and removed", config::listeners),
    Disturbance::lossless("flood of changed Mappings", flood::changes),
    Disturbance::lossless("a tenant's broken Mappings", flood::broken),
    Disturbance::lossless("watch connections cut", control::watches),
    Disturbance::lossless("upstream accepts, never answers", upstreams::silent),
    Disturbance::lossless("upstream resets", upstreams::resets),
    Disturbance::lossless("slow readers", slow::readers),
    Disturbance::lossless("slow writers", slow::writers),
    Disturbance::lossless("memory near the limit", slow::memory),
    Disturbance::lossless("upstream rolls and scales", pods::upstream),
    Disturbance::lossless("etcd restarted", control::etcd),
    Disturbance::lossless("API server away, changes waiting", control::api_server),
    Disturbance::lossless("wall clock jumps", clock::jumps),
    Disturbance::lossless("gateway restarts and scales", pods::gateway),
    leader::KILLED,
];

/// Between two disturbances: what is seen then is the undisturbed.
const QUIET: Duration = Duration::from_millis(1500);

/// The note of one that didn't come to its end; why is told where that happened.
const FAILED: &str = "FAILED";

#[test]
#[ignore = "make soak"]
fn nothing_is_lost() {
    if gateway::own_cluster().is_none() {
        println!("not run: a foreign cluster is not disturbed");
        return;
    }
    scenario("soak", |namespace| {
        let stage = Stage::prepare(namespace, Length::of_environment());
        let mut clients = Clients::start(stage.release.address());
        let mut report = Report::default();
        let begin = Instant::now();
        loop {
            for disturbance in DISTURBANCES.iter().filter(|one| stage.length.chooses(one.name)) {
                let row = go_through(disturbance, &stage, &mut clients);
                report.add(row);
            }
            if begin.elapsed() >= stage.length.time {
                break;
            }
        }
        report.end(clients.stop());
        report.tell(&stage);
    });
}

fn go_through(disturbance: &Disturbance, stage: &Stage<'_>, clients: &mut Clients) -> Row {
    clients.so_far();
    let_it_run(QUIET);
    let quiet = clients.so_far();
    let before = memory::of(stage);
    let start = Instant::now();
    // The others are tried all the same: the table shows what is wrong with which.
    let made = catch_unwind(AssertUnwindSafe(|| (disturbance.make)(stage)));
    let seconds = start.elapsed();
    let after = memory::of(stage);
    let row = Row {
        name: disturbance.name,
        note: made.unwrap_or_else(|_| FAILED.to_owned()),
        seconds,
        quiet,
        during: clients.so_far(),
        unavoidable: disturbance.unavoidable,
        memory: [before.now, after.peak, after.now],
    };
    println!("{}", row.line());
    row
}
