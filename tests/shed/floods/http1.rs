//! HTTP/1.1: slow ones, and too much of everything.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, connect_narrow, crowd, read_to_end};

/// How often a slow client says a little more.
const PAUSE: Duration = Duration::from_millis(500);

/// Clients that never come to the end of their head.
pub(crate) async fn half_heads(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |mut stream, _| async move {
        if stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await.is_ok() {
            while stream.write_all(b"a").await.is_ok() {
                sleep(PAUSE).await;
            }
        }
    })
    .await
}

/// Clients that never come to the end of their body, and read no answer.
pub(crate) async fn slow_bodies(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |mut stream, _| async move {
        let head = b"POST /small HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n";
        if stream.write_all(head).await.is_ok() && stream.write_all(&[b'a'; 1024]).await.is_ok() {
            while stream.write_all(b"a").await.is_ok() {
                sleep(PAUSE).await;
            }
        }
    })
    .await
}

/// Clients that ask for much and read none of it.
pub(crate) async fn slow_readers(address: SocketAddr, count: usize) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        crowd.spawn(async move {
            let Some(mut stream) = connect_narrow(address).await else { return };
            if stream.write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n").await.is_ok() {
                // A byte at times, so that it isn't silent.
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte).await {
                    sleep(PAUSE).await;
                }
            }
        });
        tokio::task::yield_now().await;
    }
    crowd
}

/// Sends requests of which each has too much of something, and expects to be told so.
pub(crate) async fn refuse_oversized(at: SocketAddr) {
    for (what, bytes, allowed) in oversized() {
        let answer = send_whole(at, bytes).await;
        let status = answer.get(9..12).unwrap_or("");
        println!("too long: {what}: {status:?}");
        assert!(status.is_empty() || allowed.contains(&status), "{what}: {answer}");
    }
}

/// Requests of which each has too much of something, and the statuses that say so.
fn oversized() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let head = |rest: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{rest}\r\n").into_bytes();
    let many: String = (0..10_000).map(|n| format!("x-{n}: a\r\n")).collect();
    let post = |rest: &str| format!("POST /small HTTP/1.1\r\nhost: a\r\n{rest}").into_bytes();
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    vec![
        ("a header", head(&format!("x-long: {}\r\n", "a".repeat(1 << 20))), &["431"]),
        ("a header's name", head(&format!("{}: a\r\n", "a".repeat(1 << 20))), &["431"]),
        ("headers", head(&many), &["431"]),
        (
            "a URL",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(1 << 20)).into_bytes(),
            &["414", "431"],
        ),
        (
            "a method",
            format!("{} / HTTP/1.1\r\n", "A".repeat(1 << 20)).into_bytes(),
            &["431", "400"],
        ),
        ("a length", post("content-length: 99999999999999999999999\r\n\r\n"), &["400"]),
        ("a chunk's size", post(&format!("{chunked}ffffffffffffffffff\r\n")), &["400", "503"]),
        (
            "a chunk's extension",
            post(&format!("{chunked}1;{}\r\n", "a".repeat(1 << 20))),
            &["400", "503"],
        ),
        (
            "trailers",
            post(&format!("{chunked}0\r\nx: {}\r\n\r\n", "a".repeat(1 << 20))),
            &["400", "503"],
        ),
    ]
}

/// Sends one of them; what is answered. An end without a word is one, too: who is still being sent
/// to when it closes resets, and the answer may be lost on the way.
async fn send_whole(address: SocketAddr, bytes: Vec<u8>) -> String {
    let connected = timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await;
    let mut stream = connected.expect("in time").expect("connects");
    let _ =
        timeout(PATIENCE, stream.write_all(&bytes)).await.expect("the gateway takes or refuses");
    read_to_end(&mut stream).await
}

/// Clients whose heads have no end.
pub(crate) async fn endless_heads(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |mut stream, number| async move {
        if stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.is_err() {
            return;
        }
        let line = format!("x-flood-{number}: {}\r\n", "a".repeat(2000));
        super::write_on(&mut stream, line.as_bytes(), 10_000).await;
    })
    .await
}
