//! Bodies: streamed both ways, with trailers, with 100-continue, and what happens when they stall.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::Limit;
use nuncio::model::route::Route;

use crate::support::{
    Backend, Gateway, connect, header, read_all, read_head, read_until, route, status,
};

const CHUNKED: &str = "POST /s HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-sum\r\n\
    transfer-encoding: chunked\r\n\r\n";

#[test]
fn both_bodies_are_streamed_with_their_trailers() {
    // The backend answers each chunk before it gets the next.
    let backend = Backend::start(|mut stream, _| {
        let head = read_head(&mut stream).expect("a head");
        assert_eq!(header(&head, "trailer"), Some("x-sum"));
        read_until(&mut stream, "one\r\n");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntrailer: x-out\r\ntransfer-encoding: chunked\r\n\r\n3\r\nein\r\n")
            .expect("writes");
        read_until(&mut stream, "two\r\n");
        let end = read_until(&mut stream, "\r\n\r\n");
        let sum = if end.contains("x-sum: 7") { "yes" } else { "no" };
        let rest = format!("4\r\nzwei\r\n0\r\nx-out: {sum}\r\n\r\n");
        stream.write_all(rest.as_bytes()).expect("writes");
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut client = connect(gateway.address());
    client.write_all(CHUNKED.as_bytes()).expect("writes");
    client.write_all(b"3\r\none\r\n").expect("writes");
    // The first half of the answer comes before the second half of the request is sent.
    let first = read_until(&mut client, "ein\r\n");
    assert_eq!(status(&first), "200", "{first}");
    client.write_all(b"3\r\ntwo\r\n0\r\nx-sum: 7\r\n\r\n").expect("writes");
    let rest = read_until(&mut client, "0\r\nx-out: yes\r\n\r\n");
    assert!(rest.contains("zwei"), "{rest}");
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains("\" 200 - 6 7 "), "bytes of both bodies: {line}");
}

#[test]
fn the_gateway_answers_100_continue() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut client = connect(gateway.address());
    client
        .write_all(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n")
        .expect("writes");
    assert!(read_until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 100"));
    client.write_all(b"hi").expect("writes");
    let answer = read_all(&mut client);
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("hi") && !answer.contains("100-continue"), "{answer}");
}

#[test]
fn a_body_of_get_goes_upstream() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let answer = gateway
        .ask("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc");
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
    assert_eq!(gateway.get("/").matches("transfer-encoding").count(), 0);
}

#[test]
fn large_bodies_arrive_whole_both_ways() {
    const SIZE: usize = 20 * 1024 * 1024;
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream).expect("a head");
        let mut sender = stream.try_clone().expect("clones");
        write!(sender, "HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").expect("writes");
        let mut buffer = vec![0; 64 * 1024];
        let mut left = SIZE;
        while left > 0 {
            let count = stream.read(&mut buffer).expect("reads");
            sender.write_all(&buffer[..count]).expect("writes");
            left -= count;
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut client = connect(gateway.address());
    let mut sender = client.try_clone().expect("clones");
    write!(sender, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n").expect("writes");
    let piece: Vec<u8> = (0..=255_u8).cycle().take(1024 * 1024).collect();
    let writer = std::thread::spawn(move || {
        for _ in 0..SIZE / piece.len() {
            sender.write_all(&piece).expect("writes");
        }
    });
    read_until(&mut client, "\r\n\r\n");
    let mut body = vec![0; SIZE];
    client.read_exact(&mut body).expect("reads");
    writer.join().expect("writes all");
    assert!(body.iter().enumerate().all(|(at, byte)| *byte == (at % 256) as u8));
    assert!(gateway.log_lines(1)[0].contains(&format!(" 200 - {SIZE} {SIZE} ")));
}

#[test]
fn head_and_empty_answers_keep_their_framing() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let answer: &[u8] = if head.starts_with("HEAD") {
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
            } else {
                b"HTTP/1.1 204 No Content\r\n\r\n"
            };
            stream.write_all(answer).expect("writes");
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut client = connect(gateway.address());
    for (method, code, length) in
        [("HEAD", "200", Some("1000")), ("GET", "204", None), ("HEAD", "200", Some("1000"))]
    {
        write!(client, "{method} / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
        let answer = read_until(&mut client, "\r\n\r\n");
        assert_eq!((status(&answer), header(&answer, "content-length")), (code, length));
    }
    assert_eq!(backend.count(), 1, "one connection carried all three");
    let lines = gateway.log_lines(3);
    assert!(lines.iter().all(|line| !line.contains(" DC ")), "{lines:?}");
}

/// A route to a backend with a limit for the whole, and one in milliseconds for when nothing moves.
fn limited(backend: &Backend, timeout: Limit, idle: Option<u64>) -> Route {
    let mut route = route("/", Upstream::Address(backend.address));
    let policy = Arc::make_mut(&mut route.policy);
    policy.timeout = Some(timeout);
    policy.idle_timeout = idle.map(|idle| Limit::After(Duration::from_millis(idle)));
    route
}

#[test]
fn a_slow_upstream_costs_504() {
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        // Until the gateway gives up.
        let _ = stream.read(&mut [0; 1]);
    });
    let limit = Limit::After(Duration::from_millis(200));
    let gateway = Gateway::start(vec![limited(&backend, limit, None)]);
    let began = Instant::now();
    let answer = gateway.get("/");
    let took = began.elapsed();
    assert_eq!(status(&answer), "504", "{answer}");
    assert!(answer.ends_with("upstream request timeout"));
    assert!(took.as_millis() >= 200, "{took:?}");
    assert!(gateway.log_lines(1)[0].contains("504 UT"));
    assert!(gateway.proxy.metrics().render().contains("envoy_cluster_upstream_rq_timeout{"));
}

#[test]
fn a_response_that_stalls_is_cut() {
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").expect("writes");
        let _ = stream.read(&mut [0; 1]);
    });
    let gateway = Gateway::start(vec![limited(&backend, Limit::Unlimited, Some(200))]);
    let answer = gateway.get("/");
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
    assert!(gateway.log_lines(1)[0].contains("200 SI"));
}

#[test]
fn an_upload_that_stalls_is_408_and_does_not_start_the_routes_time() {
    let backend = Backend::start(|mut stream, _| while read_head(&mut stream).is_some() {});
    let limit = Limit::After(Duration::from_millis(50));
    let gateway = Gateway::start(vec![limited(&backend, limit, Some(300))]);
    let answer = gateway.ask("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc");
    assert_eq!(status(&answer), "408", "{answer}");
}

#[test]
fn an_answer_that_never_comes_is_504_when_nothing_moves() {
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        let _ = stream.read(&mut [0; 1]);
    });
    let gateway = Gateway::start(vec![limited(&backend, Limit::Unlimited, Some(200))]);
    let answer = gateway.get("/");
    assert_eq!(status(&answer), "504", "{answer}");
    assert!(gateway.log_lines(1)[0].contains("504 SI"));
}

#[test]
fn a_client_that_goes_away_is_logged_and_ends_the_upstreams_request() {
    let (gone, seen) = std::sync::mpsc::channel();
    let gone = parking_lot::Mutex::new(gone);
    let backend = Backend::start(move |mut stream, _| {
        read_head(&mut stream);
        let ended = matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_));
        gone.lock().send(ended).expect("the test waits");
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut client = connect(gateway.address());
    client.write_all(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    std::thread::sleep(Duration::from_millis(100));
    // Both halves: a client that only ends its sending may still wait for the answer.
    client.set_nonblocking(true).expect("settable");
    drop(client);
    assert_eq!(seen.recv_timeout(Duration::from_secs(5)), Ok(true));
    assert!(gateway.log_lines(1)[0].contains(" 0 DC "), "{:?}", gateway.log_lines(1));
}
