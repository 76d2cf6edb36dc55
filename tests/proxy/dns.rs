//! Names: what a name server says is followed, and what it no longer says is kept.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{ClusterPolicy, DnsPolicy};
use parking_lot::Mutex;

use crate::support::{Backend, Gateway, options, route, route_with, serve_echo, status, wait_for};

/// What the name server does with a question for an address.
#[derive(Clone)]
enum Answer {
    Addresses(Vec<Ipv4Addr>),
    Missing,
    Failure,
}

/// A name server whose answers have a time to live of 1 s.
fn start(answer: Arc<Mutex<Answer>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let reply = build_reply(&buffer[..length], &answer.lock().clone());
            socket.send_to(&reply, from).expect("sends");
        }
    });
    address
}

/// RFC 1035 section 4.1: the question back, and an answer that points to its name.
fn build_reply(query: &[u8], answer: &Answer) -> Vec<u8> {
    let mut end = 12;
    while query[end] != 0 {
        end += usize::from(query[end]) + 1;
    }
    end += 5;
    let asks_for_a = query[end - 4..end - 2] == [0, 1];
    let (code, addresses) = match answer {
        Answer::Addresses(list) if asks_for_a => (0, list.as_slice()),
        Answer::Addresses(_) => (0, &[][..]),
        Answer::Missing => (3, &[][..]),
        Answer::Failure => (2, &[][..]),
    };
    let count = u8::try_from(addresses.len()).expect("few");
    let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    reply.extend_from_slice(&query[12..end]);
    for address in addresses {
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend_from_slice(&address.octets());
    }
    reply
}

#[test]
fn a_names_addresses_are_followed_and_kept_when_dns_fails() {
    let first = Backend::echo();
    let port = first.address.port();
    let second = Backend::on(
        std::net::TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).expect("binds"),
        |stream, _| serve_echo(stream),
    );
    let answer = Arc::new(Mutex::new(Answer::Addresses(vec![Ipv4Addr::LOCALHOST])));
    let mut options = options();
    options.name_server = Some(start(Arc::clone(&answer)));
    let upstream = Upstream::Name { host: "svc.example.test.".into(), port };
    let gateway = Gateway::with(options, vec![route("/", upstream)]);
    assert_eq!(status(&gateway.get("/")), "200");
    assert_eq!((first.count(), second.count()), (1, 0));

    // It moves: found out within its time to live.
    *answer.lock() = Answer::Addresses(vec![Ipv4Addr::new(127, 0, 0, 2)]);
    wait_for("the new address", || {
        assert_eq!(status(&gateway.get("/")), "200");
        second.count() > 0
    });

    // DNS fails: nothing is lost.
    *answer.lock() = Answer::Failure;
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(status(&gateway.get("/")), "200");

    // Both addresses are used in turn.
    *answer.lock() = Answer::Addresses(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)]);
    wait_for("both addresses", || {
        (0..4).filter(|_| gateway.get("/").contains("GET / ")).count() == 4
            && gateway
                .log_lines(1)
                .windows(2)
                .any(|two| two[0].contains("127.0.0.2:") && two[1].contains("\"127.0.0.1:"))
    });

    // There is no such name any more.
    *answer.lock() = Answer::Missing;
    wait_for("503", || status(&gateway.get("/")) == "503");
    let lines = gateway.log_lines(1);
    assert!(lines.iter().all(|line| !line.contains("503 UF")), "{lines:?}");
}

#[test]
fn a_logical_name_is_one_address_at_a_time() {
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let first = Backend::echo();
    let port = first.address.port();
    let listener = std::net::TcpListener::bind((second, port)).expect("binds");
    let other = Backend::on(listener, |stream, _| serve_echo(stream));
    let answer = Arc::new(Mutex::new(Answer::Addresses(vec![Ipv4Addr::LOCALHOST, second])));
    let mut options = options();
    options.name_server = Some(start(Arc::clone(&answer)));
    let dns = DnsPolicy { logical: Some(true), ..DnsPolicy::default() };
    let policy = ClusterPolicy { dns, ..ClusterPolicy::default() };
    let upstream = Upstream::Name { host: "one.example.test.".into(), port };
    let gateway = Gateway::with(options, vec![route_with("/", upstream, policy)]);
    // Whichever is the first of the answer; never both.
    (0..6).for_each(|_| assert_eq!(status(&gateway.get("/")), "200"));
    let (before, after) = match first.count() {
        0 => (&other, &first),
        _ => (&first, &other),
    };
    assert_eq!(after.count(), 0);
    let address = match after.address.ip() {
        std::net::IpAddr::V4(ip) => ip,
        std::net::IpAddr::V6(_) => unreachable!("both are IPv4"),
    };
    *answer.lock() = Answer::Addresses(vec![address]);
    wait_for("the other address", || {
        assert_eq!(status(&gateway.get("/")), "200");
        after.count() > 0
    });
    let stale = before.count();
    (0..6).for_each(|_| assert_eq!(status(&gateway.get("/")), "200"));
    assert_eq!(before.count(), stale, "the old one gets nothing any more");
}
