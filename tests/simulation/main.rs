//! Three gateways and an API server in simulated time. Each seed is another order of what people
//! write, of delays, of requests and watches that break, of replicas that are killed or cut off.
//! When all that ends, everything must come to rest in the state that a gateway finds that has
//! seen nothing of it.
//!
//! The API server is simulated: that the real one is understood is what tests/e2e shows. A seed
//! repeats all decisions made here, though not the order in which tokio polls what is ready at the
//! same moment. `NUNCIO_SIMULATION_SEED=7` runs one seed, `NUNCIO_SIMULATION_SEEDS=5000` so many.

mod checks;
mod faults;
mod network;
mod replica;
mod server;
mod storage;
mod users;

use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use checks::{Served, Total};
use network::Network;
use replica::Replica;
use server::ApiServer;
use storage::Storage;

/// Gateways at the same time.
const REPLICAS: usize = 3;
/// Seeds that every run of the tests goes through.
const SEEDS: u64 = 25;
/// Longer than a silent watch is kept, and than any pause between attempts.
const REST: Duration = Duration::from_secs(400);
/// At rest nothing but the lease is written.
const WATCHED: Duration = Duration::from_secs(100);

#[test]
fn whatever_happens_everything_comes_to_rest_in_the_same_state() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match (number("NUNCIO_SIMULATION_SEED"), number("NUNCIO_SIMULATION_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let mut total = Total::default();
    for seed in seeds {
        println!("NUNCIO_SIMULATION_SEED={seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        total.add(&runtime.block_on(simulate(seed)));
    }
    println!("{total}");
}

async fn simulate(seed: u64) -> Total {
    // The jitter of all delays.
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed.wrapping_add(1));
    let server = ApiServer::new(seed.wrapping_add(2));
    let network = Network::default();
    let told_early = checks::watch_promises(&server, &network);
    let mut kubernetes = JoinSet::new();
    kubernetes.spawn(network.clone().keep_slice(server.clone()));
    let mut replicas: Vec<Replica> =
        (0..REPLICAS).map(|number| Replica::start(&server, &network, number)).collect();
    let changes = storm(&mut random, &server, &network, &mut replicas).await;

    server.disturb(faults::Faults::end);
    network.heal();
    server.change(users::put_secrets_right);
    sleep(REST).await;
    let rest = Instant::now();
    let served: Vec<Served> = replicas.iter().map(|replica| Served::of(&replica.built)).collect();
    sleep(WATCHED).await;
    checks::at_rest(&server, rest);
    checks::one_leads(&replicas);
    for replica in replicas {
        replica.end().await;
    }

    let before = server.writes().len();
    let fresh = Replica::start(&server, &network, REPLICAS);
    sleep(WATCHED).await;
    checks::wrote_nothing_but_the_lease(&server, before);
    let oracle = Served::of(&fresh.built);
    for (number, served) in served.iter().enumerate() {
        served.must_be(&oracle, number);
    }
    checks::told(&server, &oracle);
    fresh.end().await;
    told_early.must_be_none();
    Total::of(&server, changes)
}

/// A minute in which everything happens; returns how many changes people made.
async fn storm(
    random: &mut Rng,
    server: &ApiServer,
    network: &Network,
    replicas: &mut [Replica],
) -> usize {
    let (end, mut changes) = (Instant::now() + Duration::from_secs(60), 0);
    while Instant::now() < end {
        match random.u32(0..100) {
            0..4 => {
                let number = random.usize(..REPLICAS);
                // Killed: it gives nothing back, and its requests stop in the middle.
                replicas[number] = Replica::start(server, network, number);
            }
            4..8 => {
                let number = random.usize(..REPLICAS);
                let cut = random.bool();
                server.disturb(|faults| faults.partition(number, cut));
            }
            8..10 => {
                let down = random.bool();
                server.disturb(|faults| faults.set_down(down));
            }
            10..13 => network.cut(random.usize(..REPLICAS), random.bool()),
            13..16 => server.change(Storage::compact),
            _ => {
                for _ in 0..random.u32(1..5) {
                    server.change(|storage| users::change(random, storage));
                    changes += 1;
                }
            }
        }
        sleep(Duration::from_millis(random.u64(0..1500))).await;
        replicas.iter_mut().for_each(Replica::check);
    }
    changes
}
