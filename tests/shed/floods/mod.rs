//! Clients that mean no good, and one that does. Raw bytes: no library would send these.
#![allow(clippy::disallowed_methods, reason = "tasks end with their test's runtime")]

pub(crate) mod admin;
mod endure;
pub(crate) mod http1;
mod http2;
pub(crate) mod upstream;
pub(crate) mod well_behaved;

use std::fs;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use endure::endure;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that are begun at a time: the kernel's queue of a port is not what is tried.
const AT_A_TIME: usize = 200;

/// Sockets that this process needs, and the gateway.
const FILES: u64 = 16_000;

/// Begins to do harm; the clients that do are what comes of it.
pub(crate) type Flood = Pin<Box<dyn Future<Output = JoinSet<()>> + Send>>;

/// Clients that take their time.
pub(crate) fn slow_clients(at: SocketAddr) -> Vec<(&'static str, Flood)> {
    vec![
        ("10,000 half heads", Box::pin(http1::half_heads(at, 10_000))),
        ("10,000 slow bodies", Box::pin(http1::slow_bodies(at, 10_000))),
        ("300 slow readers", Box::pin(http1::slow_readers(at, 300))),
        ("300 slow streams", Box::pin(http2::slow_readers(at, 10, 30))),
    ]
}

/// Clients that send what costs them little.
pub(crate) fn frames_and_heads(at: SocketAddr) -> Vec<(&'static str, Flood)> {
    vec![
        ("endless heads", Box::pin(http1::endless_heads(at, 500))),
        ("rapid resets", Box::pin(http2::rapid_resets(at, 50))),
        ("continuations", Box::pin(http2::continuations(at, 50))),
        ("empty continuations", Box::pin(http2::empty_continuations(at, 50))),
        ("header bombs", Box::pin(http2::header_bombs(at, 50))),
        ("pings", Box::pin(http2::pings(at, 200))),
        ("long frames", Box::pin(http2::long_frames(at, 50))),
    ]
}

/// Opens `count` connections, each on a task of its own; `serve` is what it does, with its number.
pub(crate) async fn crowd<F>(
    count: usize,
    address: SocketAddr,
    serve: impl Fn(TcpStream, usize) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 0..count {
        // Who isn't let in has nothing to do.
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(5), TcpStream::connect(address)).await {
            crowd.spawn(serve(stream, number));
        }
        if number % AT_A_TIME == 0 {
            tokio::task::yield_now().await;
        }
    }
    crowd
}

/// A connection whose kernel takes as little as it can.
pub(crate) async fn connect_narrow(address: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("settable");
    timeout(Duration::from_secs(5), socket.connect(address)).await.ok()?.ok()
}

/// Writes until it is told to stop, or `most` times.
pub(crate) async fn write_on(stream: &mut TcpStream, bytes: &[u8], most: usize) {
    for _ in 0..most {
        if !matches!(timeout(PATIENCE, stream.write_all(bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// All that comes until the end, as text; at most a mebibyte.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count @ 1..)) = timeout(PATIENCE, stream.read(&mut buffer)).await {
        all.extend_from_slice(&buffer[..count]);
        if all.len() > 1 << 20 {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Ten thousand clients are ten thousand files here.
pub(crate) fn raise_file_limit() {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if soft.is_some_and(|soft| soft >= FILES) {
        return;
    }
    let own = std::process::id().to_string();
    let raised =
        Command::new("prlimit").args(["--pid", &own, &format!("--nofile={FILES}:")]).status();
    assert!(raised.is_ok_and(|code| code.success()), "ulimit -n has to be {FILES} at least");
}
