//! A flood at its height, and after it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Flood;
use super::admin::Admin;
use super::well_behaved::WellBehaved;

/// How long a flood lasts when it is at its height.
const HEIGHT: Duration = Duration::from_secs(4);

/// Holds a flood for a while. `watch` looks at the gateway meanwhile, often. In the end the gateway
/// is calm and serves; a well-behaved client was never told anything but its answer, or when to
/// come back.
pub(crate) async fn endure(
    name: &str,
    mut flood: Flood,
    gateway: SocketAddr,
    admin: Admin,
    mut watch: impl FnMut(),
) {
    let client = WellBehaved::start(gateway);
    client.wait_served(1).await;
    let mut crowd = loop {
        tokio::select! {
            crowd = &mut flood => break crowd,
            () = sleep(Duration::from_millis(10)) => watch(),
        }
    };
    let until = Instant::now() + HEIGHT;
    while Instant::now() < until && !crowd.is_empty() {
        while crowd.try_join_next().is_some() {}
        watch();
        sleep(Duration::from_millis(10)).await;
    }
    let left = crowd.len();
    let level = admin.metric("nuncio_overload_level").await;
    println!("{name}: level {level:?} in the end, {left} still there");
    drop(crowd);
    admin.wait_calm().await;
    client.wait_served(5).await;
    let (served, put_off) = client.finish().await;
    println!("{name}: others were served {served} times and put off {put_off} times");
    admin.wait_forgotten().await;
}
