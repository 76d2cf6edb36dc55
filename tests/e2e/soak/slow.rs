//! Clients that take their time, and many that do nothing.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::clients::client;
use super::stage::{HOST, Stage};
use crate::support::load::{Hold, Tally, let_it_run};
use crate::support::{PATIENCE, wait_until};

/// What slow readers are sent: more than buffers on the way take.
const BYTES: u32 = 8 << 20;

pub(super) fn readers(stage: &Stage<'_>) -> String {
    let slow = slow_readers(stage, stage.length.pick(40, 200));
    let_it_run(Duration::from_secs(stage.length.pick(5, 60)));
    let tally = lossless(slow);
    format!("{} slow answers of {} MiB", tally.requests, BYTES >> 20)
}

fn slow_readers(stage: &Stage<'_>, count: usize) -> Hold {
    let url = format!("http://{}/steady/?bytes={BYTES}", stage.address());
    client("slow readers", &url, &format!("-connections {count} -download 4s"))
}

/// Some send their body slowly, which is their right, and others their head, which isn't.
pub(super) fn writers(stage: &Stage<'_>) -> String {
    let count = stage.length.pick(100, 1000);
    let url = format!("http://{}/steady/", stage.address());
    let slow = client("slow writers", &url, "-connections 40 -upload 4s");
    let mut heads: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(stage.http()).expect("connections are taken"))
        .collect();
    let until = Instant::now() + Duration::from_secs(stage.length.pick(5, 60));
    let mut head = format!("GET /steady/ HTTP/1.1\r\nhost: {HOST}\r\nx-slow: ").into_bytes();
    while Instant::now() < until {
        // One that was closed for being slow comes no more.
        heads.retain_mut(|stream| stream.write_all(&head).is_ok());
        head = b"x".to_vec();
        let_it_run(Duration::from_millis(250));
    }
    let tally = lossless(slow);
    format!("{} slow bodies; {count} heads of a byte at a time", tally.requests)
}

/// As many connections as there is room for, with answers that nobody fetches on some of them.
pub(super) fn memory(stage: &Stage<'_>) -> String {
    let count = stage.length.pick(1200, 6000);
    let url = format!("https://{}/steady/", stage.address());
    let seconds = stage.length.pick(8, 60);
    let idle = client("idle", &url, &format!("-connections {count} -rate {}", count / seconds));
    let slow = slow_readers(stage, stage.length.pick(100, 400));
    let_it_run(Duration::from_secs(seconds));
    // Each has asked once.
    let (slow, idle) = (lossless(slow), lossless(idle));
    assert!(idle.connections >= count, "{} of {count} connections", idle.connections);
    assert_alive(stage);
    format!("{count} idle connections with TLS, {} slow answers meanwhile", slow.requests)
}

fn lossless(client: Hold) -> Tally {
    let name = client.name().to_owned();
    let tally = client.stop();
    assert!(tally.requests > 0, "{name}: nothing was requested");
    assert_eq!(tally.failed, 0, "{name}: {:?} {:?}", tally.status, tally.errors);
    tally
}

/// No pod was ended by the kernel.
fn assert_alive(stage: &Stage<'_>) {
    wait_until("all pods run, and none was ended", PATIENCE, || {
        let pods = stage.release.list(|_| true);
        let of = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0].clone();
        let mut containers = pods.iter().map(of);
        let killed = containers.find(|one| {
            one["lastState"]["terminated"]["reason"] == "OOMKilled" || one["ready"] != true
        });
        killed.map_or(Ok(()), |one| Err(one.to_string()))
    });
}
