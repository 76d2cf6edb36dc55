//! Ten thousand Mappings: correctness is asserted, times and memory are printed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, pin_mut, stream};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::support::client::Client;
use crate::support::load::Hold;
use crate::support::status::is_ready;
use crate::support::{Namespace, PATIENCE, gateway, mapping, scenario};

const MAPPINGS: usize = 10_000;
/// Requests to the API server at a time.
const WRITERS: usize = 16;
/// Changes of one Mapping, timed.
const CHANGES: usize = 100;
/// For everything that ten thousand objects take part in.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn ten_thousand_mappings() {
    scenario("scale", |namespace| {
        namespace.apply(&[mapping("neighbour", "/scale-neighbour/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/neighbour");
        let neighbour = Hold::neighbour("/scale-neighbour/");
        let mut table = Table::default();
        let cluster = Cluster::connect(namespace);
        table.memory("memory with a few Mappings");

        let start = Instant::now();
        cluster.create_all();
        table.row("10,000 Mappings created", seconds(start));
        cluster.wait_all_ready();
        table.row("all of them Ready, after", seconds(start));
        table.memory("memory with 10,000");
        assert_sampled(&mut Client::new());

        cluster.time_changes(&mut table);
        let tally = neighbour.stop_lossless("10,000 Mappings and 100 changes");
        table.row("slowest request of a neighbour meanwhile", format!("{} ms", tally.slowest_ms));
        restart(&mut table);
        assert_sampled(&mut Client::new());
        table.print();
    });
}

fn name(index: usize) -> String {
    format!("route-{index:05}")
}

fn prefix(index: usize) -> String {
    format!("/scale/{index:05}/")
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

/// Every 97th route answers, from its own path; what is beside them doesn't.
fn assert_sampled(client: &mut Client) {
    for index in (0..MAPPINGS).step_by(97) {
        let answer = client.get(&format!("{}x", prefix(index)));
        assert!(answer.is_of("v1"), "{index}: {}", answer.shown());
        assert_eq!(answer.json()["url"], "/x", "{index}");
    }
    assert_eq!(client.get("/scale/99999/").status, 404);
}

/// The API server, without the cost of starting kubectl each time.
struct Cluster {
    runtime: Runtime,
    mappings: Api<DynamicObject>,
    kind: ApiResource,
}

impl Cluster {
    fn connect(namespace: &Namespace) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(kube::Client::try_default()).expect("KUBECONFIG is valid");
        let kind = GroupVersionKind::gvk("getambassador.io", "v3alpha1", "Mapping");
        let kind = ApiResource::from_gvk_with_plural(&kind, "mappings");
        let mappings = Api::namespaced_with(client, &namespace.name, &kind);
        Self { runtime, mappings, kind }
    }

    fn create_all(&self) {
        let creations = stream::iter(0..MAPPINGS).map(|index| async move {
            let object = DynamicObject::new(&name(index), &self.kind).data(json!({
                "spec": {
                    "hostname": "*", "prefix": prefix(index), "service": "echo-v1.backends",
                },
            }));
            self.mappings.create(&PostParams::default(), &object).await
        });
        self.runtime
            .block_on(creations.buffer_unordered(WRITERS).try_for_each(|_| async { Ok(()) }))
            .expect("Mappings can be created");
    }

    fn wait_all_ready(&self) {
        let mut ready = HashSet::new();
        let waiting = async {
            let events = watcher(self.mappings.clone(), watcher::Config::default());
            pin_mut!(events);
            while ready.len() < MAPPINGS {
                let event = events.next().await.expect("a watch doesn't end");
                let Ok(Event::InitApply(object) | Event::Apply(object)) = event else { continue };
                let object = serde_json::to_value(&object).expect("it came as JSON");
                let name = object["metadata"]["name"].as_str().expect("it has a name");
                if name.starts_with("route-") && is_ready(&object) {
                    ready.insert(name.to_owned());
                }
            }
        };
        let done = self.runtime.block_on(async { tokio::time::timeout(LONG, waiting).await });
        assert!(done.is_ok(), "{} of {MAPPINGS} are Ready", ready.len());
    }

    /// From the PATCH until the first request that follows it.
    fn time_changes(&self, table: &mut Table) {
        let inside = Inside::read();
        let mut client = Client::new();
        let mut times = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            let index = change / 2 * 191 % MAPPINGS;
            let version = if change % 2 == 0 { "v2" } else { "v1" };
            let patch = json!({"spec": {"service": format!("echo-{version}.backends")}});
            let (name, path) = (name(index), prefix(index));
            let start = Instant::now();
            let params = PatchParams::default();
            self.runtime
                .block_on(self.mappings.patch(&name, &params, &Patch::Merge(patch)))
                .expect("a Mapping can be changed");
            while !client.get(&path).is_of(version) {
                assert!(start.elapsed() < PATIENCE, "{name} doesn't follow");
            }
            times.push(start.elapsed());
        }
        times.sort_unstable();
        for (what, rank) in [("p50", CHANGES / 2), ("p99", CHANGES - 2), ("slowest", CHANGES - 1)] {
            let time = times[rank].as_secs_f64() * 1e3;
            table.row(&format!("one change, API to answer, {what}"), format!("{time:.1} ms"));
        }
        table.row("the same inside, event to swap, mean", Inside::read().mean_since(&inside));
    }
}

/// What the gateway itself measures of its changes.
struct Inside {
    sum: f64,
    count: f64,
}

impl Inside {
    fn read() -> Self {
        let metrics = gateway::metrics();
        let of = |end: &str| metrics[&format!("nuncio_config_change_seconds_{end}")];
        Self { sum: of("sum"), count: of("count") }
    }

    fn mean_since(&self, before: &Self) -> String {
        let count = self.count - before.count;
        format!("{:.2} ms ({count} rebuilds)", (self.sum - before.sum) / count * 1e3)
    }
}

/// How long a new pod takes until it serves all of that.
fn restart(table: &mut Table) {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster can't be reached by their addresses");
        return;
    }
    let pod = gateway::replace_pod();
    assert_sampled(&mut Client::to(pod.http));
    let time = pod.start_to_ready.as_millis();
    table.row("restart, admin port open to ready", format!("{time} ms"));
    gateway::wait_for_rollout();
    table.memory("memory after a restart with 10,000");
}

/// What is printed at the end.
#[derive(Default)]
struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    fn row(&mut self, what: &str, value: String) {
        println!("{what}: {value}");
        self.rows.push((what.to_owned(), value));
    }

    fn memory(&mut self, when: &str) {
        let bytes = gateway::metrics()["process_resident_memory_bytes"];
        self.row(when, format!("{:.0} MiB", bytes / 1024.0 / 1024.0));
    }

    fn print(&self) {
        println!("\n| {MAPPINGS} Mappings | |\n|---|---|");
        for (what, value) in &self.rows {
            println!("| {what} | {value} |");
        }
    }
}
