//! Ports that come and go, and what comes before HTTP on them: the PROXY protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::listener::{Listener, Stack};
use nuncio::routing::RouteTable;

use crate::support::{
    Backend, Gateway, ask, connect, header, listener, options, read_all, read_until, route, status,
    table_of, wait_for,
};
use crate::tls_support::{
    Authority, begin_tls, client, free_port, get, host, https, metric, termination,
};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn start(workers: usize, backend: &Backend, listeners: Vec<Listener>) -> Gateway {
    let mut options = options();
    options.workers = workers;
    Gateway::with_table(options, build(backend, listeners))
}

fn build(backend: &Backend, listeners: Vec<Listener>) -> RouteTable {
    table_of(listeners, vec![route("/", Upstream::Address(backend.address))])
}

fn publish(gateway: &Gateway, backend: &Backend, ports: &[u16]) {
    let listeners = ports.iter().map(|port| listener(*port)).collect();
    gateway.tables.publish(Arc::new(build(backend, listeners)));
}

#[test]
fn ports_come_and_go_and_others_serve_on() {
    let backend = Backend::echo();
    let (stays, comes) = (free_port(), free_port());
    let gateway = start(2, &backend, vec![listener(stays)]);
    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let answer = ask(local(stays), LAST);
                    assert_eq!(status(&answer), "200", "{answer}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..10 {
            publish(&gateway, &backend, &[stays, comes]);
            wait_for("the new port", || TcpStream::connect(local(comes)).is_ok());
            assert_eq!(status(&ask(local(comes), LAST)), "200");
            publish(&gateway, &backend, &[stays]);
            wait_for("its end", || TcpStream::connect(local(comes)).is_err());
        }
        ended.store(true, Ordering::SeqCst);
    });
    assert!(done.load(Ordering::SeqCst) > 0);
    assert_eq!(gateway.proxy.local_addrs(), [local(stays)]);
    wait_for("its series to go", || {
        !gateway.proxy.metrics().render().contains(&format!("127.0.0.1_{comes}"))
    });
}

#[test]
fn requests_are_counted_under_the_name_of_their_port() {
    let backend = Backend::echo();
    let [one, two, three] = [free_port(), free_port(), free_port()];
    let named = |port, name: &str| Listener { stat_prefix: name.into(), ..listener(port) };
    let gateway = start(
        2,
        &backend,
        vec![named(one, "edge"), named(two, "inner\"side"), named(three, "edge")],
    );
    let value = |name: &str, prefix: &str| {
        let start = format!("{name}{{envoy_http_conn_manager_prefix=\"{prefix}\"}} ");
        let text = gateway.proxy.metrics().render();
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok())
    };
    wait_for("it before the first", || value("envoy_http_downstream_rq_total", "edge") == Some(0));
    for port in [one, two, three, three] {
        assert_eq!(status(&ask(local(port), LAST)), "200");
    }
    let escaped = "inner\\\"side";
    for (prefix, count) in [("edge", Some(3)), (escaped, Some(1)), ("ingress_http", None)] {
        for name in ["rq_total", "cx_total"] {
            let name = format!("envoy_http_downstream_{name}");
            assert_eq!(value(&name, prefix), count, "{name} {prefix}");
        }
    }
    wait_for("connections to end", || value("envoy_http_downstream_cx_active", "edge") == Some(0));
    // A port that is gone takes its series along, and a name that changes counts what comes then.
    gateway.tables.publish(Arc::new(build(&backend, vec![named(one, "new")])));
    wait_for("its series to go", || value("envoy_http_downstream_rq_total", escaped).is_none());
    assert_eq!(status(&ask(local(one), LAST)), "200");
    assert_eq!(value("envoy_http_downstream_rq_total", "new"), Some(1));
}

#[test]
fn who_is_connected_to_a_port_that_goes_is_answered_and_told() {
    let slow = Backend::start(|mut stream, _| {
        while let Some(head) = crate::support::read_head(&mut stream) {
            if head.contains("/slow") {
                std::thread::sleep(Duration::from_millis(400));
            }
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    });
    let (stays, goes) = (free_port(), free_port());
    let gateway = start(1, &slow, vec![listener(stays), listener(goes)]);
    let mut kept = connect(local(stays));
    kept.write_all(ASK).unwrap();
    read_until(&mut kept, "ok");
    let mut busy = connect(local(goes));
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut idle = connect(local(goes));
    idle.write_all(ASK).unwrap();
    read_until(&mut idle, "ok");
    publish(&gateway, &slow, &[stays]);
    wait_for("its end", || TcpStream::connect(local(goes)).is_err());
    for stream in [&mut busy, &mut idle] {
        if status(&read_until_close(stream, ASK)) != "200" {
            panic!("a request was lost");
        }
    }
    kept.write_all(ASK).unwrap();
    let answer = read_until(&mut kept, "ok");
    assert_eq!(header(&answer, "connection"), None, "another port's connection: {answer}");
}

/// Asks until an answer says that it is the last, and returns that.
fn read_until_close(stream: &mut TcpStream, request: &[u8]) -> String {
    loop {
        let sent = stream.write_all(request);
        let answer = read_until(stream, "\r\n\r\nok");
        if header(&answer, "connection") == Some("close") {
            return answer;
        }
        sent.expect("still open");
    }
}

#[test]
fn a_port_that_is_taken_is_told_and_tried_again() {
    let backend = Backend::echo();
    let good = free_port();
    let thief = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = thief.local_addr().unwrap().port();
    let gateway = start(2, &backend, vec![listener(good), listener(taken)]);
    assert_eq!(status(&ask(local(good), LAST)), "200", "others serve");
    let observed = gateway.proxy.observations();
    let failed = observed.borrow().failed_listeners.clone();
    let text = failed.get(&(None, taken)).expect("it is told");
    assert!(text.contains("in use") && text.contains(&taken.to_string()), "{text}");
    assert_eq!(failed.len(), 1);
    drop(thief);
    wait_for("another try", || gateway.proxy.observations().borrow().failed_listeners.is_empty());
    assert_eq!(status(&ask(local(taken), LAST)), "200");
}

#[test]
fn a_foreign_address_is_told() {
    let backend = Backend::echo();
    let foreign = Listener { address: Some([192, 0, 2, 1].into()), ..listener(free_port()) };
    let place = (foreign.address, foreign.port);
    let gateway = start(1, &backend, vec![listener(0), foreign]);
    let observed = gateway.proxy.observations();
    let text = observed.borrow().failed_listeners.get(&place).cloned().expect("it is told");
    assert!(text.contains("192.0.2.1 is no address of this pod"), "{text}");
}

fn behind_proxy(port: u16) -> Listener {
    Listener { stack: Stack { proxy_protocol: true, tls: false, http: true }, ..listener(port) }
}

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family, 0, u8::try_from(payload.len()).unwrap()]);
    header.extend(payload);
    header
}

#[test]
fn the_proxy_says_who_the_client_is() {
    let backend = Backend::echo();
    let gateway = start(1, &backend, vec![behind_proxy(0)]);
    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (9, 2, 80, 81);
    for (start, peer) in [
        (b"PROXY TCP4 9.8.7.6 1.2.3.4 5 6\r\n".to_vec(), "9.8.7.6"),
        (b"PROXY TCP6 2001:db8::1 ::2 5 6\r\n".to_vec(), "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(1, 0x11, &[9, 8, 7, 5, 1, 2, 3, 4, 0, 5, 0, 6]), "9.8.7.5"),
        (v2(1, 0x21, &v6), "::9"),
        (v2(0, 0, &[]), "127.0.0.1"),
    ] {
        let answer = ask(gateway.address(), &[&start, LAST].concat());
        assert_eq!(status(&answer), "200", "{peer}: {answer}");
        let (_, seen) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(header(seen, "x-forwarded-for"), Some(peer));
    }
    // In pieces, each byte in a packet of its own.
    let mut stream = connect(gateway.address());
    for byte in [&b"PROXY TCP4 9.8.7.6 1.2.3.4 5 6\r\n"[..], LAST].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(read_all(&mut stream).contains("x-forwarded-for: 9.8.7.6"));
}

#[test]
fn who_comes_around_the_proxy_is_not_served() {
    let backend = Backend::echo();
    let mut options = options();
    options.limits.handshake_timeout = Duration::from_millis(200);
    let gateway = Gateway::with_table(options, build(&backend, vec![behind_proxy(0)]));
    for bytes in [LAST, b"\x16\x03\x01\x02\x00", b"PROXY TCP4 bad\r\n", &[b'P'; 200]] {
        assert_eq!(ask(gateway.address(), bytes), "", "{}", String::from_utf8_lossy(bytes));
    }
    let text = gateway.proxy.metrics().render();
    assert_eq!(metric(&text, "nuncio_listener_proxy_protocol_errors_total"), 4, "{text}");
    // Half a header is waited for, but not for ever.
    assert_eq!(ask(gateway.address(), b"PROXY TCP4 "), "");
    assert_eq!(backend.count(), 0);
}

/// Whatever the order in which the Listener writes them: that is what load balancers send.
#[test]
fn the_proxy_protocol_comes_before_tls() {
    let backend = Backend::echo();
    let authority = Authority::new("root");
    let tls = termination(&authority.issue(&["a.example"]), None);
    let both = Stack { proxy_protocol: true, tls: true, http: true };
    let listener = Listener { stack: both, ..https(0, vec![host("a.example", Some(tls))]) };
    let gateway = start(1, &backend, vec![listener]);
    let mut stream = connect(gateway.address());
    stream.write_all(b"PROXY TCP4 9.8.7.6 1.2.3.4 5 6\r\n").unwrap();
    let mut stream = begin_tls(stream, &client(&authority, None, &[]), "a.example").unwrap();
    let answer = get(&mut stream, "a.example", "/").unwrap();
    assert!(answer.contains("x-forwarded-for: 9.8.7.6"), "{answer}");
    assert!(answer.contains("x-forwarded-proto: https"), "{answer}");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}
