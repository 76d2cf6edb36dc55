//! Limits of the whole gateway: on connections, on requests, on what is counted one by one.

use std::io::{Read, Write};
use std::net::TcpStream;

use nuncio::model::cluster::Upstream;
use nuncio::proxy::overload::{Asked, Overload, find_budget, plan_limits};

use crate::support::{
    Backend, Gateway, connect, header, listener, options, read_until, route, status, table_of,
    wait_for,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn fast() -> Backend {
    Backend::start(|mut stream, _| {
        while crate::support::read_head(&mut stream).is_some() {
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    })
}

/// A client that was served and is idle now.
fn idle(gateway: &Gateway, at: usize) -> TcpStream {
    let mut stream = connect(gateway.proxy.local_addrs()[at]);
    stream.write_all(GET).expect("writes");
    read_until(&mut stream, "\r\n\r\nok");
    stream
}

/// Whether the gateway has ended it.
fn has_ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("settable");
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn requests_beyond_the_limit_are_told_when_to_come_back() {
    let backend = Backend::start(|mut stream, _| {
        // Answers when the client has sent its body.
        crate::support::read_head(&mut stream);
        let _ = stream.read_exact(&mut [0]);
        let _ = stream.write_all(OK);
    });
    let mut options = options();
    options.limits.requests = 2;
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    let post = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n";
    let mut held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(gateway.address());
            stream.write_all(post).expect("writes");
            stream
        })
        .collect();
    wait_for("both upstream", || backend.count() == 2);
    let refused = gateway.get("/");
    assert_eq!(status(&refused), "503", "{refused}");
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    assert_eq!(header(&refused, "x-envoy-local-overloaded"), Some("true"));
    assert!(gateway.log_lines(1)[0].contains(" 503 OM "));
    let metrics = gateway.proxy.metrics().render();
    assert_eq!(crate::tls_support::metric(&metrics, "envoy_http_downstream_rq_overload_close"), 1);
    for stream in &mut held {
        stream.write_all(b"x").expect("writes");
        assert_eq!(status(&read_until(stream, "\r\n\r\nok")), "200");
    }
    drop(held);
    wait_for("room", || {
        let mut stream = connect(gateway.address());
        stream.write_all(post).expect("writes");
        stream.write_all(b"x").expect("writes");
        status(&read_until(&mut stream, "\r\n\r\n")) == "200"
    });
}

#[test]
fn who_waits_longest_gives_way_to_who_asks() {
    let backend = fast();
    let mut options = options();
    options.limits.connections = 16;
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    let mut old: Vec<TcpStream> = (0..16).map(|_| idle(&gateway, 0)).collect();
    let _new = idle(&gateway, 0);
    // Times are coarse: which of the first it is can't be said.
    let ended = old.iter_mut().map(has_ended).filter(|ended| *ended).count();
    assert!((1..8).contains(&ended), "{ended}");
    assert!(!has_ended(&mut old[15]));
    let metrics = gateway.proxy.metrics().render();
    assert!(crate::tls_support::metric(&metrics, "envoy_http_downstream_cx_overload_closed") > 0);
}

#[test]
fn a_flood_on_one_port_leaves_room_on_another() {
    let backend = fast();
    let mut options = options();
    options.limits.connections = 32;
    let mut other = listener(0);
    other.address = Some([127, 0, 0, 2].into());
    let table =
        table_of(vec![listener(0), other], vec![route("/", Upstream::Address(backend.address))]);
    let gateway = Gateway::with_table(options, table);
    wait_for("two ports", || gateway.proxy.local_addrs().len() == 2);
    let mut kept = idle(&gateway, 1);
    // More than there is room for: the first of them give way, and the one of the other port not,
    // although it has waited longest.
    let _flood: Vec<TcpStream> = (0..40).map(|_| idle(&gateway, 0)).collect();
    assert!(!has_ended(&mut kept));
    let _second = idle(&gateway, 1);
}

#[test]
fn clusters_beyond_the_limit_are_counted_together() {
    let (a, b) = (fast(), fast());
    let mut options = options();
    options.limits.series = 1;
    let routes =
        vec![route("/a", Upstream::Address(a.address)), route("/b", Upstream::Address(b.address))];
    let gateway = Gateway::with(options, routes);
    for path in ["/a", "/b", "/b"] {
        assert_eq!(status(&gateway.get(path)), "200");
    }
    let metrics = gateway.proxy.metrics().render();
    let others = "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"(others)\"} 2";
    assert!(metrics.contains(others), "{metrics}");
}

/// A machine whose process has this much memory of its own.
fn say_used(root: &std::path::Path, mib: u64) {
    let status = format!("RssAnon:\t {} kB\n", mib * 1024);
    // At once: who looks meanwhile reads one or the other.
    std::fs::write(root.join("proc/self/status.new"), status).expect("writable");
    let file = root.join("proc/self/status");
    std::fs::rename(root.join("proc/self/status.new"), file).expect("renamed");
}

#[test]
fn slow_bodies_give_their_memory_back() {
    const MIB: u64 = 1 << 20;
    let backend = Backend::start(|mut stream, _| {
        // Never answers.
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    });
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(root.path().join("proc/self")).expect("makes it");
    say_used(root.path(), 10);
    let budget = find_budget(root.path(), Some(100 * MIB)).expect("asked for");
    let planned = plan_limits(100 * MIB, 10_000, Asked::default());
    let mut options = options();
    options.overload = std::sync::Arc::new(Overload::new(budget, planned));
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    let begin = |length: usize| {
        let mut stream = connect(gateway.address());
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nx");
        stream.write_all(head.as_bytes()).expect("writes");
        stream
    };
    let mut slow = begin(10_000);
    // It is not this client that is waited for.
    let mut quiet = begin(1);
    wait_for("both upstream", || backend.count() == 2);
    say_used(root.path(), 84);
    let answer = read_until(&mut slow, "body");
    assert_eq!(status(&answer), "408", "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
    let line = &gateway.log_lines(2)[1];
    assert!(line.contains(" 408 OM "), "{line}");
    assert_eq!(status(&read_until(&mut quiet, "timeout")), "504", "its route's time was over");
}
