//! Circuit breakers: limits that hold over all workers.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{CircuitBreaker, ClusterPolicy, Priority};
use nuncio::model::route::Route;
use parking_lot::{Condvar, Mutex};

use crate::support::{
    Backend, Gateway, connect, options, read_all, read_head, read_until, route_with, status,
    wait_for,
};
use crate::tls_support::metric;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend that answers when it is told to.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Gate {
    fn serve(&self, mut stream: TcpStream) {
        while read_head(&mut stream).is_some() {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            let mut open = self.open.lock();
            while !*open {
                self.opened.wait(&mut open);
            }
            drop(open);
            self.inside.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    }

    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

fn gated() -> (Arc<Gate>, Backend) {
    let gate: Arc<Gate> = Arc::default();
    let inner = Arc::clone(&gate);
    let backend = Backend::start(move |stream, _| inner.serve(stream));
    (gate, backend)
}

fn limited(backend: &Backend, breaker: CircuitBreaker) -> Route {
    let policy =
        ClusterPolicy { circuit_breakers: Some([breaker].into()), ..ClusterPolicy::default() };
    route_with("/", Upstream::Address(backend.address), policy)
}

fn two_workers(route: Route) -> Gateway {
    let mut options = options();
    options.workers = 2;
    Gateway::with(options, vec![route])
}

fn asking(gateway: &Gateway, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = connect(gateway.address());
            stream.write_all(GET).expect("writes");
            stream
        })
        .collect()
}

#[test]
fn no_more_requests_than_allowed_are_under_way_over_all_workers() {
    let (gate, backend) = gated();
    let breaker = CircuitBreaker { max_requests: 5, ..CircuitBreaker::of(Priority::Default) };
    let gateway = two_workers(limited(&backend, breaker));
    let mut clients = asking(&gateway, 20);
    // Fifteen are refused while five are held.
    gateway.log_lines(15);
    wait_for("five inside", || gate.inside.load(Ordering::SeqCst) == 5);
    let metrics = gateway.proxy.metrics().render();
    assert!(metrics.contains("envoy_cluster_circuit_breakers_default_rq_open{"), "{metrics}");
    let open = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{")));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    let prefix = "envoy_cluster_circuit_breakers";
    assert_eq!(open(&format!("{prefix}_default_rq_open")).as_deref(), Some("1"));
    assert_eq!(open(&format!("{prefix}_high_rq_open")).as_deref(), Some("0"));
    assert_eq!(open("envoy_cluster_upstream_rq_pending_overflow").as_deref(), Some("15"));
    gate.open();
    let answers: Vec<String> = clients.iter_mut().map(read_all).collect();
    let refused: Vec<&String> = answers.iter().filter(|one| status(one) == "503").collect();
    assert_eq!((answers.len(), refused.len()), (20, 15));
    assert!(refused.iter().all(|one| one.contains("x-envoy-overloaded: true")), "{refused:?}");
    assert!(refused.iter().all(|one| one.contains("reset reason: overflow")));
    assert_eq!(gate.most.load(Ordering::SeqCst), 5);
    let lines = gateway.log_lines(20);
    assert_eq!(lines.iter().filter(|line| line.contains(" 503 UO ")).count(), 15);
    assert_eq!(status(&gateway.get("/")), "200");
}

#[test]
fn who_finds_no_connection_waits_for_one_also_of_another_worker() {
    let (gate, backend) = gated();
    let breaker = CircuitBreaker { max_connections: 2, ..CircuitBreaker::of(Priority::Default) };
    let gateway = two_workers(limited(&backend, breaker));
    let mut clients = asking(&gateway, 12);
    wait_for("two inside", || gate.inside.load(Ordering::SeqCst) == 2);
    gate.open();
    for client in &mut clients {
        assert_eq!(status(&read_all(client)), "200");
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), 2);
    // Idle connections of one worker don't starve the other.
    for _ in 0..20 {
        assert_eq!(status(&gateway.get("/")), "200");
    }
    assert!(gateway.proxy.metrics().render().contains("envoy_cluster_upstream_cx_overflow{"));
}

#[test]
fn one_connection_serves_two_endpoints() {
    let (a, b) = (Backend::echo(), Backend::echo());
    let breaker = CircuitBreaker { max_connections: 1, ..CircuitBreaker::of(Priority::Default) };
    let policy =
        ClusterPolicy { circuit_breakers: Some([breaker].into()), ..ClusterPolicy::default() };
    let reference = crate::support::service("two", 80);
    let gateway =
        Gateway::start(vec![route_with("/", Upstream::Service(reference.clone()), policy)]);
    gateway.publish_endpoints(&reference, &[a.address, b.address]);
    for _ in 0..10 {
        assert_eq!(status(&gateway.get("/")), "200");
    }
    assert!(a.count() > 0 && b.count() > 0, "{} {}", a.count(), b.count());
}

#[test]
fn who_waits_in_vain_is_refused_when_there_are_too_many() {
    let (gate, backend) = gated();
    let breaker = CircuitBreaker {
        max_connections: 1,
        max_pending_requests: 2,
        ..CircuitBreaker::of(Priority::Default)
    };
    let gateway = two_workers(limited(&backend, breaker));
    let mut first = asking(&gateway, 1);
    wait_for("one inside", || gate.inside.load(Ordering::SeqCst) == 1);
    let mut clients = asking(&gateway, 5);
    gateway.log_lines(3);
    gate.open();
    let answers: Vec<String> = clients.iter_mut().chain(&mut first).map(read_all).collect();
    let count = |code: &str| answers.iter().filter(|one| status(one) == code).count();
    assert_eq!((count("200"), count("503")), (3, 3), "{answers:?}");
}

#[test]
fn priorities_have_limits_of_their_own() {
    let (gate, backend) = gated();
    let breaker = CircuitBreaker { max_requests: 1, ..CircuitBreaker::of(Priority::Default) };
    let mut high = limited(&backend, breaker);
    let low = limited(&backend, breaker);
    Arc::make_mut(&mut high.matches).path.kind =
        nuncio::model::route::PathMatchKind::Prefix("/high".into());
    Arc::make_mut(&mut high.policy).priority = Some(Priority::High);
    let gateway = Gateway::start(vec![low, high]);
    let mut held = asking(&gateway, 1);
    wait_for("one inside", || gate.inside.load(Ordering::SeqCst) == 1);
    assert_eq!(status(&gateway.get("/")), "503");
    let mut stream = connect(gateway.address());
    stream.write_all(b"GET /high HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    wait_for("two inside", || gate.inside.load(Ordering::SeqCst) == 2);
    gate.open();
    assert!(read_until(&mut stream, "ok").starts_with("HTTP/1.1 200"));
    assert_eq!(status(&read_all(&mut held[0])), "200");
}

#[test]
fn a_tunnel_keeps_its_place_until_it_ends() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = crate::support::read_head(&mut stream) {
            if head.contains("upgrade: websocket") {
                stream.write_all(crate::upgrades::SWITCHED.as_bytes()).expect("writes");
                // Until the client ends.
                let _ = std::io::Read::read(&mut stream, &mut [0]);
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("writes");
        }
    });
    let breaker = CircuitBreaker { max_connections: 1, ..CircuitBreaker::of(Priority::Default) };
    let mut route = limited(&backend, breaker);
    Arc::make_mut(&mut route.policy).upgrades = Some([Arc::from("websocket")].into());
    let gateway = Gateway::start(vec![route]);
    let value = |name: &str| metric(&gateway.proxy.metrics().render(), name);
    let mut tunnel = connect(gateway.address());
    tunnel.write_all(crate::upgrades::ASK.as_bytes()).expect("writes");
    crate::support::read_until(&mut tunnel, "\r\n\r\n");
    assert_eq!(value("envoy_cluster_circuit_breakers_default_cx_open"), 1);
    let mut other = asking(&gateway, 1);
    // It finds no place, and waits for one.
    wait_for("the limit", || value("envoy_cluster_upstream_cx_overflow") == 1);
    assert_eq!((backend.count(), value("envoy_cluster_upstream_cx_active")), (1, 1));
    drop(tunnel);
    assert_eq!(status(&read_all(&mut other[0])), "200");
    assert_eq!(backend.count(), 2);
}
