//! A gateway with little memory, as a process, under those who want it to have too little: it stays
//! within its budget, serves others or tells them when to come back, and is as before when the
//! flood has passed.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test crate: a panic is how it says no, what it prints is for who reads a failure, and its \
              runtimes end with each test"
)]

mod floods;
mod gateway;

use floods::well_behaved::WellBehaved;
use floods::{Flood, endure, http1};
use gateway::{BUDGET, Gateway};

/// Lets a gateway endure floods within its budget.
async fn endure_all(gateway: &Gateway, floods: Vec<(&'static str, Flood)>) {
    for (name, flood) in floods {
        let mut most = 0;
        let watch = || most = most.max(gateway.memory());
        endure(name, flood, gateway.http, gateway.admin, watch).await;
        let mib = most >> 20;
        println!("{name}: {mib} MiB at most");
        assert!(most <= BUDGET, "{name}: {mib} MiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients() {
    let gateway = Gateway::start().await;
    endure_all(&gateway, floods::slow_clients(gateway.http)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_and_heads() {
    let gateway = Gateway::start().await;
    endure_all(&gateway, floods::frames_and_heads(gateway.http)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_everything_is_refused() {
    let gateway = Gateway::start().await;
    http1::refuse_oversized(gateway.http).await;
    let client = WellBehaved::start(gateway.http);
    client.wait_served(3).await;
    client.finish().await;
    assert!(gateway.memory() < BUDGET / 2);
}
