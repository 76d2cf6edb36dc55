//! Connections that are passed on as bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nuncio::model::cluster::Upstream;
use nuncio::model::config::Share;
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::listener::{Listener, Stack, TcpGroup, TcpLeg};
use nuncio::model::policy::{CircuitBreaker, Limit, Priority};
use nuncio::model::route::HostMatch;
use nuncio::model::tls::Termination;

use crate::support::{
    Backend, Gateway, ask, block_on, cluster, connect, listener, options, read_all, route, status,
    table_of, wait_for,
};
use crate::tls_support::{Authority, ask_tls, client, connect_tls, host, metric, termination};

fn leg(name: &str, share: Share, to: SocketAddr, idle_timeout: Limit) -> Arc<TcpLeg> {
    let key = Arc::new(ObjectKey {
        kind: Kind::TcpMapping,
        namespace: "ns".into(),
        name: name.into(),
        origin: Origin::Resource,
    });
    Arc::new(TcpLeg { key, share, cluster: cluster(Upstream::Address(to)), idle_timeout })
}

fn group(
    sni: Option<&str>,
    tls: Option<Arc<Termination>>,
    legs: Vec<Arc<TcpLeg>>,
) -> Arc<TcpGroup> {
    Arc::new(TcpGroup { sni: sni.map(|name| HostMatch::Exact(name.into())), tls, legs })
}

fn to(address: SocketAddr) -> Vec<Arc<TcpLeg>> {
    vec![leg("one", Share::ALL, address, Limit::Unlimited)]
}

fn tcp(tls: bool, tcp: Vec<Arc<TcpGroup>>) -> Listener {
    let stack = Stack { proxy_protocol: false, tls, http: false };
    Listener { stack, tcp, hosts: vec![], stat_prefix: "ingress_tcp_1".into(), ..listener(0) }
}

fn start(listener: Listener) -> Gateway {
    Gateway::with_table(options(), table_of(vec![listener], vec![]))
}

/// One that says `begin` first, and then gives back what it gets.
fn parrot(begin: &'static [u8]) -> Backend {
    Backend::start(move |mut stream, _| {
        let mut buffer = [0; 4096];
        let _ = stream.write_all(begin);
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

#[test]
fn bytes_go_both_ways_and_each_half_ends_by_itself() {
    let backend = parrot(b"220 ready\r\n");
    let gateway = start(tcp(false, vec![group(None, None, to(backend.address))]));
    let mut stream = connect(gateway.address());
    // The server speaks first.
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    let long = vec![7; 300_000];
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    stream.write_all(&long).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(
        reading.join().unwrap().unwrap() == long,
        "what was sent comes back after the half's end"
    );
    let line = &gateway.log_lines(1)[0];
    let upstream = backend.address.to_string();
    assert!(line.contains("\"- - -\" 0 - 300000 300011 "), "{line}");
    assert!(line.contains(&format!("\"{upstream}\"")), "{line}");
    let text = gateway.proxy.metrics().render();
    for (name, value) in [
        ("envoy_tcp_downstream_cx_total", 1),
        ("envoy_tcp_downstream_cx_rx_bytes_total", 300_000),
        ("envoy_tcp_downstream_cx_tx_bytes_total", 300_011),
        ("envoy_listener_downstream_cx_active", 0),
    ] {
        assert_eq!(metric(&text, name), value, "{name} in {text}");
    }
}

#[test]
fn names_choose_and_tls_is_ended_or_not() {
    let authority = Authority::new("root");
    let issued = authority.issue(&["end.example"]);
    let (ended, web) = (Backend::echo(), Backend::echo());
    // Behind the one that isn't ended stands a gateway of its own, which has the certificate.
    let inner_certificate = authority.issue(&["pass.example"]);
    let inner_hosts = vec![host("*", Some(termination(&inner_certificate, None)))];
    let inner = Gateway::with_table(
        options(),
        table_of(
            vec![crate::tls_support::https(0, inner_hosts)],
            vec![route("/", Upstream::Address(web.address))],
        ),
    );
    let gateway = start(tcp(
        true,
        vec![
            group(Some("end.example"), Some(termination(&issued, None)), to(ended.address)),
            group(Some("pass.example"), None, to(inner.address())),
        ],
    ));
    let config = client(&authority, None, &[]);
    let mut stream = connect_tls(gateway.address(), &config, "end.example").unwrap();
    stream.write_all(b"GET /in HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.contains("GET /in HTTP/1.1"), "{answer}");
    let passed = connect_tls(gateway.address(), &config, "pass.example").unwrap();
    let shown = passed.conn.peer_certificates().unwrap()[0].to_vec();
    assert_eq!(shown, inner_certificate.certificate.der().to_vec(), "the upstream's own");
    let answer = ask_tls(gateway.address(), &config, "pass.example", "/").unwrap();
    assert_eq!(status(&answer), "200");
    assert!(connect_tls(gateway.address(), &config, "none.example").is_err());
    assert_eq!(ask(gateway.address(), b"GET / HTTP/1.1\r\n\r\n"), "", "nothing in cleartext");
}

#[test]
fn members_share_as_they_should() {
    let (one, two) = (parrot(b"1"), parrot(b"2"));
    let share = |from, to| Share { from, to };
    let legs = vec![
        leg("one", share(0, 30), one.address, Limit::Unlimited),
        leg("two", share(30, 100), two.address, Limit::Unlimited),
    ];
    let gateway = start(tcp(false, vec![group(None, None, legs)]));
    for _ in 0..600 {
        let mut stream = connect(gateway.address());
        stream.read_exact(&mut [0]).unwrap();
    }
    // 180 are expected; five standard deviations are 56.
    assert_eq!(one.count() + two.count(), 600);
    assert!((124..=236).contains(&one.count()), "{} of 600", one.count());
}

#[test]
fn silence_ends_it() {
    let backend = parrot(b"x");
    let idle = Limit::After(Duration::from_millis(300));
    let legs = vec![leg("one", Share::ALL, backend.address, idle)];
    let gateway = start(tcp(false, vec![group(None, None, legs)]));
    let mut stream = connect(gateway.address());
    let begun = Instant::now();
    // As long as something moves it lives.
    while begun.elapsed() < Duration::from_millis(900) {
        stream.write_all(b"y").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    read_all(&mut stream);
    assert!(gateway.log_lines(1)[0].contains(" 0 SI "), "{:?}", gateway.log_lines(1));
    assert_eq!(metric(&gateway.proxy.metrics().render(), "envoy_tcp_idle_timeout"), 1);
}

#[test]
fn no_upstream_no_connection() {
    let dead = crate::tls_support::free_port();
    let gateway = start(tcp(false, vec![group(None, None, to(([127, 0, 0, 1], dead).into()))]));
    assert_eq!(read_all(&mut connect(gateway.address())), "");
    assert!(gateway.log_lines(1)[0].contains(" 0 UF "), "{:?}", gateway.log_lines(1));
}

#[test]
fn no_more_connections_than_allowed_until_one_ends() {
    let backend = parrot(b"x");
    let mut one = leg("one", Share::ALL, backend.address, Limit::Unlimited);
    let breaker = CircuitBreaker { max_connections: 2, ..CircuitBreaker::of(Priority::Default) };
    let mutable = Arc::get_mut(&mut one).unwrap();
    let cluster = Arc::make_mut(&mut mutable.cluster);
    Arc::make_mut(&mut cluster.policy).circuit_breakers = Some([breaker].into());
    let mut options = options();
    options.workers = 2;
    let listener = tcp(false, vec![group(None, None, vec![one])]);
    let gateway = Gateway::with_table(options, table_of(vec![listener], vec![]));
    let open = || {
        let mut stream = connect(gateway.address());
        stream.read_exact(&mut [0]).map(|()| stream)
    };
    let held = [open().expect("one"), open().expect("two")];
    assert!(open().is_err(), "over all workers");
    assert!(gateway.log_lines(1)[0].contains(" 0 UO "), "{:?}", gateway.log_lines(1));
    let value = |name: &str| metric(&gateway.proxy.metrics().render(), name);
    assert_eq!(value("envoy_cluster_upstream_cx_overflow"), 1);
    assert_eq!(value("envoy_cluster_circuit_breakers_default_cx_open"), 1);
    assert_eq!(value("envoy_cluster_upstream_cx_active"), 2);
    drop(held);
    wait_for("their end", || value("envoy_cluster_upstream_cx_active") == 0);
    open().expect("there is room again");
    assert_eq!(backend.count(), 3);
}

#[test]
fn a_drain_waits_for_bytes_until_its_deadline() {
    let backend = parrot(b"x");
    let gateway = start(tcp(false, vec![group(None, None, to(backend.address))]));
    let address = gateway.address();
    let mut ends = connect(address);
    let mut stays = connect(address);
    for stream in [&mut ends, &mut stays] {
        stream.read_exact(&mut [0]).unwrap();
    }
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(2)));
    });
    wait_for("the port's end", || TcpStream::connect(address).is_err());
    ends.write_all(b"y").unwrap();
    ends.read_exact(&mut [0]).expect("it goes on");
    ends.shutdown(Shutdown::Write).unwrap();
    read_all(&mut ends);
    drain.join().unwrap();
    assert_eq!(read_all(&mut stays), "");
}
