//! Connections to upstreams: reuse, death, refusal, and that none of it costs a request.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::service::Endpoints;
use nuncio::proxy::StaticName;

use crate::support::{
    Backend, Gateway, connect, options, read_head, read_until, route, serve_echo, service, status,
    table, wait_for,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_connection_is_used_again() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    for _ in 0..20 {
        assert_eq!(status(&gateway.get("/")), "200");
    }
    assert_eq!(backend.count(), 1);
    let metrics = gateway.proxy.metrics().render();
    assert!(metrics.contains("_rq_total{envoy_cluster_name=\"cluster_127_0_0_1_"), "{metrics}");
}

#[test]
fn a_connection_that_died_while_idle_costs_nothing() {
    // Answers once, then resets the connection as soon as the second request has come.
    let backend = Backend::start(|mut stream, number| {
        if number > 0 {
            return serve_echo(stream);
        }
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("writes");
        read_head(&mut stream);
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    assert_eq!(status(&gateway.get("/first")), "200");
    assert_eq!(status(&gateway.get("/second")), "200");
    assert_eq!(backend.count(), 2);
    assert!(gateway.proxy.metrics().render().contains("upstream_rq_retry{"));
}

#[test]
fn what_is_not_idempotent_is_not_sent_twice() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let backend = Backend::start(move |mut stream, number| {
        while let Some(head) = read_head(&mut stream) {
            if head.starts_with("POST") {
                count.fetch_add(1, Ordering::SeqCst);
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("writes");
        }
        let _ = number;
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    assert_eq!(status(&gateway.get("/")), "200");
    let answer =
        gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(status(&answer), "503", "{answer}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    assert!(gateway.log_lines(2)[1].contains("503 UC"));
}

#[test]
fn failures_have_their_status_and_flag() {
    let refused = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound");
    let garbage = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        let _ = stream.write_all(b"SSH-2.0-x\r\n\r\n");
    });
    let switching = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nsmuggled");
    });
    let silent = Backend::start(|mut stream, _| drop(read_head(&mut stream)));
    let unknown = Upstream::Name { host: "no.such.name.invalid".into(), port: 80 };
    let gateway = Gateway::start(vec![
        route("/refused", Upstream::Address(refused)),
        route("/garbage", Upstream::Address(garbage.address)),
        route("/switching", Upstream::Address(switching.address)),
        route("/silent", Upstream::Address(silent.address)),
        route("/empty", Upstream::Service(service("empty", 80))),
        route("/unknown", unknown),
    ]);
    for (index, (path, code, flag)) in [
        ("/refused", "503", "UF"),
        ("/garbage", "502", "UPE"),
        ("/switching", "502", "UPE"),
        ("/silent", "503", "UC"),
        ("/empty", "503", "UH"),
        ("/unknown", "503", "UH"),
        ("/nothing", "404", "NR"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = gateway.get(path);
        assert_eq!(status(&answer), code, "{path}: {answer}");
        assert!(!answer.contains("smuggled"));
        let lines = gateway.log_lines(index + 1);
        assert!(lines[index].contains(&format!("\" {code} {flag} ")), "{}", lines[index]);
    }
}

#[test]
fn names_are_found_without_dns() {
    let backend = Backend::echo();
    let name = |host: &str| Upstream::Name { host: host.into(), port: 80 };
    let mut options = options();
    options.services_by_name = true;
    options.static_names =
        vec![StaticName { host: "static.example".into(), port: 80, address: backend.address }];
    let gateway = Gateway::with(
        options,
        vec![
            route("/static", name("static.example")),
            route("/service", name("svc.ns")),
            route(
                "/localhost",
                Upstream::Name { host: "localhost".into(), port: backend.address.port() },
            ),
            route("/ip", Upstream::Name { host: "127.0.0.1".into(), port: backend.address.port() }),
        ],
    );
    let mut endpoints = Endpoints::default();
    endpoints.by_service.insert(service("svc", 80), [backend.address].into());
    gateway.endpoints.publish(Arc::new(endpoints));
    for path in ["/static", "/service", "/localhost", "/ip"] {
        assert_eq!(status(&gateway.get(path)), "200", "{path}");
    }
}

/// Asks again and again on `count` connections until told to stop; returns the answers' statuses
/// that weren't 200.
fn load(gateway: &Gateway, count: usize, during: impl FnOnce()) -> (usize, Vec<String>) {
    let stop = AtomicBool::new(false);
    let total = AtomicUsize::new(0);
    let bad = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut client = connect(gateway.address());
                while !stop.load(Ordering::Relaxed) {
                    client.write_all(GET).expect("writes");
                    let head = read_until(&mut client, "\r\n\r\n");
                    let length = crate::support::header(&head, "content-length")
                        .map_or(0, |text| text.parse().unwrap_or(0));
                    let mut body = vec![0; length];
                    std::io::Read::read_exact(&mut client, &mut body).expect("a body");
                    total.fetch_add(1, Ordering::Relaxed);
                    if status(&head) != "200" {
                        bad.lock().push(head);
                    }
                }
            });
        }
        during();
        stop.store(true, Ordering::Relaxed);
    });
    (total.into_inner(), bad.into_inner())
}

#[test]
fn endpoints_come_and_go_without_loss() {
    // A backend that can be told to close its connections after the request in flight and to
    // refuse new ones, like a pod that ends.
    let start = || {
        let ended = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let (address, own) = (listener.local_addr().expect("bound"), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.load(Ordering::SeqCst) {
                    return;
                }
                let ended = Arc::clone(&own);
                std::thread::spawn(move || {
                    let mut stream = stream;
                    while read_head(&mut stream).is_some() {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).is_err() || ended.load(Ordering::SeqCst) {
                            return;
                        }
                    }
                });
            }
        });
        (address, ended)
    };
    let gateway = Gateway::start(vec![route("/", Upstream::Service(service("svc", 80)))]);
    let publish = |addresses: Vec<std::net::SocketAddr>| {
        let mut endpoints = Endpoints::default();
        endpoints.by_service.insert(service("svc", 80), addresses.into());
        gateway.endpoints.publish(Arc::new(endpoints));
    };
    let (stay, _) = start();
    publish(vec![stay]);
    let (total, bad) = load(&gateway, 4, || {
        for _ in 0..10 {
            let (address, ended) = start();
            publish(vec![stay, address]);
            std::thread::sleep(Duration::from_millis(50));
            // It stops before the gateway hears of it.
            ended.store(true, Ordering::SeqCst);
            drop(std::net::TcpStream::connect(address));
            std::thread::sleep(Duration::from_millis(20));
            publish(vec![stay]);
        }
    });
    assert!(bad.is_empty() && total > 100, "{total}: {bad:?}");
}

#[test]
fn tables_are_swapped_without_loss() {
    let backends = [Backend::echo(), Backend::echo()];
    let to = |index: usize| vec![route("/", Upstream::Address(backends[index].address))];
    let gateway = Gateway::start(to(0));
    let (total, bad) = load(&gateway, 4, || {
        for round in 0..50 {
            gateway.tables.publish(Arc::new(table(to(round % 2))));
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert!(bad.is_empty() && total > 100, "{total}: {bad:?}");
    assert!(backends.iter().all(|backend| backend.count() > 0));
}

#[test]
fn idle_connections_are_closed() {
    let backend = Backend::echo();
    let mut options = options();
    options.limits.upstream_idle_timeout = Duration::from_millis(100);
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    assert_eq!(status(&gateway.get("/")), "200");
    wait_for("the connection to be closed", || {
        let metrics = gateway.proxy.metrics().render();
        let line =
            metrics.lines().find(|line| line.starts_with("envoy_cluster_upstream_cx_active"));
        line.is_some_and(|line| line.ends_with(" 0"))
    });
}
