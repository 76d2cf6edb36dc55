//! What an idle connection holds in memory: bytes asked of the allocator by a connection that has
//! been answered one request. What the system holds of its socket isn't in it, nor what aws-lc
//! holds of a session's keys. To see the table: `cargo test --test connections -- --nocapture`; by
//! who holds it: the same with `OWNERS=HTTP/2`, and dhat's viewer for the file that it writes.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test tells and fails")]

#[path = "proxy/support.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "proxy/tls_support.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod tls_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use dhat::{HeapStats, Profiler};
use nuncio::model::cluster::Upstream;
use nuncio::model::policy::HttpPolicy;
use support::{Backend, Gateway, connect, options, route, table_with};
use tls_support::{Authority, Tls, client, connect_tls, host, https, termination};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// As many of each kind are open at a time.
const CONNECTIONS: usize = 200;

/// What a connection of a kind may hold, in bytes: what it does hold, and 10 % for small change.
/// Raise it with the reason in the commit.
const LIMITS: [(&str, usize); 4] = [
    ("HTTP/1.1", 4_450),
    ("HTTP/2", 41_200),
    ("HTTP/1.1 in TLS", 11_700),
    ("HTTP/2 in TLS", 48_200),
];

const NAME: &str = "a.example";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// The preface, empty SETTINGS, and a GET of / on stream 1: what stands in RFC 7541's static table,
/// and the authority in full.
const REQUEST_H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x0e\x01\x05\0\0\0\x01\x82\x84\x86\x41\x09a.example";

#[test]
fn an_idle_connection_holds_no_more_than_it_did() {
    let owners = std::env::var("OWNERS").ok();
    let profiler = match owners {
        None => Profiler::builder().testing().build(),
        Some(_) => Profiler::builder().trim_backtraces(Some(50)).build(),
    };
    let authority = Authority::new("the test's");
    let issued = authority.issue(&[NAME]);
    let backend = Backend::echo();
    let routes = vec![route("/", Upstream::Address(backend.address))];
    let listener = https(0, vec![host(NAME, Some(termination(&issued, None)))]);
    let table = table_with(HttpPolicy::default(), vec![listener], routes);
    let mut options = options();
    options.limits.rest_after = Duration::ZERO;
    let gateway = Gateway::with_table(options, table);
    let address = gateway.address();
    let mut over = Vec::new();
    for (kind, limit) in LIMITS {
        if owners.as_ref().is_some_and(|one| one != kind) {
            continue;
        }
        // What the first one leaves behind is nobody's.
        let mut first = Client::open(kind, address, &authority);
        let before = settled();
        let open: Vec<_> = (0..CONNECTIONS)
            .map(|_| Client::open(kind, address, &authority).into_socket())
            .collect();
        let each = (settled() - before) / CONNECTIONS;
        println!("{kind:<16} {each:>6} bytes");
        if owners.is_some() {
            return drop(profiler);
        }
        if each > limit {
            over.push((kind, each));
        }
        // It has slept like the others.
        if !kind.starts_with("HTTP/2") {
            first.ask();
        }
        drop(open);
        settled();
    }
    assert_eq!(over, [], "more than {LIMITS:?}");
}

/// A client whose connection stays open.
enum Client {
    Plain(TcpStream),
    Secure(Box<Tls>),
}

impl Client {
    /// Connects and asks, once.
    fn open(kind: &str, address: SocketAddr, authority: &Authority) -> Self {
        let is_http2 = kind.starts_with("HTTP/2");
        let mut client = if kind.ends_with("TLS") {
            let config = client(authority, None, &[if is_http2 { "h2" } else { "http/1.1" }]);
            Self::Secure(Box::new(connect_tls(address, &config, NAME).expect("TLS")))
        } else {
            Self::Plain(connect(address))
        };
        match &mut client {
            Self::Plain(stream) if is_http2 => ask_http2(stream),
            Self::Secure(stream) if is_http2 => ask_http2(stream),
            _ => client.ask(),
        }
        client
    }

    /// Asks by HTTP/1.1.
    fn ask(&mut self) {
        match self {
            Self::Plain(stream) => ask_http1(stream),
            Self::Secure(stream) => ask_http1(stream),
        }
    }

    /// Its own memory goes; no word of that reaches the gateway.
    fn into_socket(self) -> TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.sock,
        }
    }
}

fn ask_http1(stream: &mut (impl Read + Write)) {
    stream.write_all(REQUEST).expect("writes");
    let mut answer = Vec::new();
    // The backend answers with the head that it got, which ends as a head does.
    while answer.windows(4).filter(|window| window == b"\r\n\r\n").count() < 2 {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).expect("reads");
        assert!(length > 0, "no answer: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// Reads frames (RFC 9113 section 4.1) until one ends stream 1.
fn ask_http2(stream: &mut (impl Read + Write)) {
    const SETTINGS: u8 = 4;
    const ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    stream.write_all(REQUEST_H2).expect("writes");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("reads");
        let [a, b, c, kind, flags, stream_id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).expect("reads");
        if kind == SETTINGS && flags == 0 {
            stream.write_all(ACK).expect("writes");
        }
        if kind <= 1 && flags & 1 == 1 && stream_id == [0, 0, 0, 1] {
            return;
        }
        assert!(kind != 3 && kind != 7, "the stream was ended: {head:?} {payload:?}");
    }
}

/// The bytes that are held once they change no more: over more than one of the worker's sweeps,
/// which let connections rest.
fn settled() -> usize {
    const SAME: usize = 20;
    let held = || HeapStats::get().curr_bytes;
    let (mut last, mut same) = (held(), 0);
    while same < SAME {
        std::thread::sleep(Duration::from_millis(50));
        let now = held();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}
