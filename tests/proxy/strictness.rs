//! What a gateway must not misread: framing, hosts, line ends, limits, slow clients.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::Limit;

use crate::support::{
    Backend, Gateway, ask, connect, header, options, read_all, read_until, route, status,
};

/// What comes back for bytes sent raw: the statuses of all answers until the connection ends.
fn statuses(answer: &str) -> Vec<&str> {
    answer
        .match_indices("HTTP/1.1 ")
        .filter(|(at, _)| *at == 0 || !answer[..*at].ends_with("/x "))
        .map(|(at, _)| &answer[at + 9..at + 12])
        .collect()
}

/// What is sent, and the only status that comes back although another request follows.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    // Both lengths: read by its chunks, and nothing after it is taken for a request.
    (
        "CL and TE",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "200",
    ),
    (
        "TE and CL",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "200",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 4\r\n\r\n",
        "400",
    ),
    ("a length with a sign", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +0\r\n\r\n", "400"),
    ("TE not chunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n", "400"),
    (
        "TE gzip, chunked",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "501",
    ),
    (
        "TE twice",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "501",
    ),
    (
        "TE with a tab",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    ("a space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n", "400"),
    ("obs-fold", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", "400"),
    ("NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n", "400"),
    ("bare CR in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", "400"),
    ("no host", "GET / HTTP/1.1\r\n\r\n", "400"),
    ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
    ("a host with user information", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", "400"),
    ("a host with a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "400"),
    ("HTTP/1.0", "GET / HTTP/1.0\r\nhost: a\r\n\r\n", "426"),
    ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", "405"),
];

#[test]
fn ambiguous_requests_are_refused_or_end_the_connection() {
    // A backend that shows nothing of the request, so that each status line is the gateway's.
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = crate::support::read_head(&mut stream) {
            if header(&head, "transfer-encoding").is_some() {
                read_until(&mut stream, "0\r\n\r\n");
            }
            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(ok).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    const NEXT: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (name, request, expected) in AMBIGUOUS {
        let answer = ask(gateway.address(), format!("{request}{NEXT}").as_bytes());
        let answer = answer.replace("HTTP/1.0 ", "HTTP/1.1 ");
        assert_eq!(statuses(&answer), [*expected], "{name}: {answer}");
    }
}

#[test]
fn bad_chunks_never_become_a_request() {
    let backend = Backend::start(|mut stream, _| {
        // Never answers before the body is complete: a bad one never is.
        while let Some(head) = crate::support::read_head(&mut stream) {
            assert!(!head.starts_with("GET /smuggled"), "smuggled");
        }
    });
    let mut slow = route("/", Upstream::Address(backend.address));
    Arc::make_mut(&mut slow.policy).idle_timeout = Some(Limit::After(Duration::from_millis(300)));
    let gateway = Gateway::start(vec![slow]);
    for (name, body) in [
        ("a size that isn't one", "xyz\r\nabc\r\n0\r\n\r\n"),
        ("a size too large", "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-1\r\nabc\r\n0\r\n\r\n"),
        ("more data than the size", "2\r\nabc\r\n0\r\n\r\n"),
        ("no line end after the data", "3\r\nabc0\r\n\r\n"),
        ("a bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("a bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}\
             GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        let answer = ask(gateway.address(), request.as_bytes());
        let found = statuses(&answer);
        assert_eq!(found, ["400"], "{name}: {answer}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let answer = gateway.ask(
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi\
         GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    let places: Vec<usize> = ["GET /1 ", "POST /2 ", "\r\n\r\nhi", "GET /3 "]
        .iter()
        .filter_map(|text| answer.find(text))
        .collect();
    assert!(places.len() == 4 && places.is_sorted(), "{answer}");
}

#[test]
fn hop_by_hop_headers_end_here() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = crate::support::read_head(&mut stream) {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=9\r\n\
                 server: own\r\nx-open: 1\r\ncontent-length: {}\r\n\r\n{head}",
                head.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let answer = gateway.ask(
        "GET http://real:81/p HTTP/1.1\r\nhost: fake\r\nconnection: close, x-hop\r\nx-hop: 1\r\n\
         keep-alive: 1\r\nproxy-connection: 1\r\nte: gzip, trailers\r\nupgrade: h2c\r\n\
         x-envoy-retry-on: 5xx\r\nx-envoy-internal: true\r\nx-request-id: mine\r\n\
         x-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n\r\n",
    );
    let (head, seen) = answer.split_once("\r\n\r\n").expect("a body");
    for (name, value) in [
        ("host", Some("real:81")),
        ("x-hop", None),
        ("keep-alive", None),
        ("proxy-connection", None),
        ("te", Some("trailers")),
        ("upgrade", None),
        ("connection", None),
        ("x-envoy-retry-on", None),
        ("x-envoy-internal", None),
        ("x-forwarded-for", Some("9.9.9.9,127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
    ] {
        assert_eq!(header(seen, name), value, "request {name}: {seen}");
    }
    assert!(seen.starts_with("GET /p HTTP/1.1"), "{seen}");
    assert_ne!(header(seen, "x-request-id"), Some("mine"));
    for (name, value) in
        [("x-secret", None), ("keep-alive", None), ("server", Some("envoy")), ("x-open", Some("1"))]
    {
        assert_eq!(header(head, name), value, "response {name}: {head}");
    }
}

#[test]
fn upgrades_are_refused() {
    let gateway = Gateway::start(vec![route("/", Upstream::Address(([127, 0, 0, 1], 9).into()))]);
    let answer = gateway.ask(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n\
         GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nupgrade: websocket\r\n\r\n",
    );
    // The second names no upgrade in Connection: it is an ordinary request.
    assert_eq!(statuses(&answer), ["403", "503"], "{answer}");
}

#[test]
fn heads_have_limits() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let many = |count: usize| -> String { (0..count).map(|n| format!("x-{n}: 1\r\n")).collect() };
    let large = |bytes: usize| format!("x: {}\r\n", "v".repeat(bytes));
    for (name, headers, expected) in [
        ("99 headers", many(97), "200"),
        ("101 headers", many(101), "431"),
        ("50 KiB", large(50 * 1024), "200"),
        ("61 KiB", large(61 * 1024), "431"),
        ("1 MiB", large(1024 * 1024), "431"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        let mut client = connect(gateway.address());
        // The gateway may close before it has read all.
        let _ = client.write_all(request.as_bytes());
        let answer = read_all(&mut client);
        // A reset can overtake the answer to one that is far too large.
        let reset = answer.is_empty() && name == "1 MiB";
        assert!(reset || status(&answer) == expected, "{name}: {:.100}", answer);
    }
}

#[test]
fn slow_heads_and_silent_clients_are_cut_idle_ones_stay() {
    let backend = Backend::echo();
    let mut options = options();
    options.limits.header_timeout = Duration::from_millis(300);
    options.limits.first_byte_timeout = Duration::from_millis(300);
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    let mut silent = connect(gateway.address());
    let mut slow = connect(gateway.address());
    let mut idle = connect(gateway.address());
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    read_until(&mut idle, "x-envoy-expected-rq-timeout-ms: 3000\r\n");
    slow.write_all(b"GET / HT").expect("writes");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(100));
        // Each byte would begin the time anew if it were one between bytes.
        let _ = slow.write_all(b"T");
    }
    assert_eq!(read_all(&mut silent), "");
    assert_eq!(read_all(&mut slow), "");
    idle.write_all(b"GET /again HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("writes");
    assert!(read_all(&mut idle).contains("GET /again"));
}
