//! Copies of requests: who gets them, what they are, and that they never touch the request.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::config::{GatewayConfig, Leg, RouteGroup, Share};
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::policy::Limit;
use nuncio::model::route::{Action, Route};
use nuncio::routing::RouteTable;

use crate::support::{
    Backend, Gateway, cluster, connect, header, read_head, read_until, route, route_to, status,
    table, wait_for,
};

/// A gateway whose only group sends copies to `mirror`.
fn mirrored(route: Route, mirror: &Backend, percent: u8) -> Gateway {
    let gateway = Gateway::start(Vec::new());
    let config = (**table(vec![route]).config()).clone();
    let copies = route_to("/", Action::Mirror(cluster(Upstream::Address(mirror.address))));
    let key = Arc::new(ObjectKey {
        kind: Kind::Mapping,
        namespace: "ns".into(),
        name: "shadow".into(),
        origin: Origin::Resource,
    });
    let share = Share { from: 0, to: percent };
    let leg = Arc::new(Leg {
        key,
        created: None,
        share,
        route: Arc::new(copies),
        written: None,
        mirror: None,
    });
    let first = config.groups.iter().next().expect("a route");
    let served = Leg { mirror: Some(leg), ..Leg::clone(first.first()) };
    let group = RouteGroup { legs: vec![Arc::new(served)], ..(**first).clone() };
    let config = GatewayConfig { groups: [Arc::new(group)].into_iter().collect(), ..config };
    let table = RouteTable::compile(&Arc::new(config), &RouteTable::default());
    gateway.tables.publish(Arc::new(table));
    gateway
}

/// Tells of each request that it gets, with its body, and answers 500.
fn telling() -> (Backend, Receiver<String>) {
    let (tell, told) = channel();
    let tell = parking_lot::Mutex::new(tell);
    let backend = Backend::start(move |mut stream, _| {
        while let Some(mut request) = read_head(&mut stream) {
            if let Some(length) = header(&request, "content-length") {
                let mut body = vec![0; length.parse().expect("a number")];
                if stream.read_exact(&mut body).is_err() {
                    return;
                }
                request.push_str(&String::from_utf8_lossy(&body));
            } else if header(&request, "transfer-encoding").is_some() {
                request.push_str(&read_until(&mut stream, "0\r\n\r\n"));
            }
            let _ = tell.lock().send(request);
            let answer = b"HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    (backend, told)
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(Duration::from_secs(5)).expect("a copy")
}

#[test]
fn a_copy_is_the_request_and_its_answer_is_nobodys() {
    let backend = Backend::echo();
    let (mirror, told) = telling();
    let gateway = mirrored(route("/", Upstream::Address(backend.address)), &mirror, 100);
    for number in 0..3 {
        let answer = gateway.ask(&format!(
            "POST /p?n={number} HTTP/1.1\r\nhost: a.example:81\r\nconnection: close\r\nx-own: 7\r\n\
             content-length: 4\r\n\r\nbody"
        ));
        assert_eq!(status(&answer), "200", "{answer}");
        assert!(answer.contains("host: a.example:81"), "the request keeps its host: {answer}");
        let copy = next(&told);
        assert!(copy.starts_with(&format!("POST /p?n={number} HTTP/1.1\r\n")), "{copy}");
        assert_eq!(header(&copy, "host"), Some("a.example-shadow:81"));
        assert_eq!(header(&copy, "x-own"), Some("7"));
        assert_eq!(header(&copy, "x-forwarded-for"), Some("127.0.0.1"));
        assert!(copy.ends_with("\r\n\r\nbody"), "{copy}");
    }
    let name = format!("127_0_0_1_{}", mirror.address.port());
    wait_for("the copies to be counted", || {
        gateway.proxy.metrics().render().lines().any(|line| {
            line.contains("upstream_rq_xx") && line.contains(&name) && line.ends_with(" 3")
        })
    });
    assert_eq!(mirror.count(), 1, "its connection is used again");
    assert_eq!(gateway.log_lines(3).len(), 3, "copies are no requests");
    let answer = gateway.get("/empty");
    assert_eq!(status(&answer), "200");
    assert!(next(&told).starts_with("GET /empty "));
}

#[test]
fn streamed_bodies_are_copied_with_their_trailers() {
    let backend = Backend::start(|mut stream, _| {
        while read_head(&mut stream).is_some() {
            read_until(&mut stream, "x-sum: 7\r\n\r\n");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("writes");
        }
    });
    let (tell, told) = channel();
    let tell = parking_lot::Mutex::new(tell);
    let mirror = Backend::start(move |mut stream, _| {
        read_head(&mut stream);
        let body = read_until(&mut stream, "\r\n\r\n");
        tell.lock().send(body).expect("the test waits");
    });
    let gateway = mirrored(route("/", Upstream::Address(backend.address)), &mirror, 100);
    let answer = gateway.ask(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         trailer: x-sum\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 7\r\n\r\n",
    );
    assert_eq!(status(&answer), "200", "{answer}");
    let body = next(&told);
    let data: String = body.split("\r\n").filter(|line| line.starts_with(['o', 't'])).collect();
    assert_eq!(data, "onetwo", "{body}");
    assert!(body.contains("0\r\nx-sum: 7\r\n\r\n"), "{body}");
}

#[test]
fn shares_are_kept() {
    let backend = Backend::echo();
    for (percent, expected) in [(0, 0..=0), (100, 40..=40), (50, 4..=36)] {
        let (mirror, told) = telling();
        let gateway = mirrored(route("/", Upstream::Address(backend.address)), &mirror, percent);
        for _ in 0..40 {
            assert_eq!(status(&gateway.get("/")), "200");
        }
        let count = std::iter::from_fn(|| told.recv_timeout(Duration::from_millis(300)).ok());
        let count = count.count();
        assert!(expected.contains(&count), "{count} of 40 at {percent} percent");
    }
}

/// A mirror that reads nothing, answers nothing or isn't there costs no request a thing.
#[test]
fn a_mirror_in_trouble_is_not_felt() {
    const SIZE: usize = 8 * 1024 * 1024;
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let length = header(&head, "content-length").map_or(0, |text| text.parse().expect("n"));
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("all of it");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("writes");
        }
    });
    let silent = Backend::start(|stream, _| {
        let _held = stream;
        std::thread::park();
    });
    let closing = Backend::start(|stream, _| drop(stream));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let gone =
        Backend { address: listener.local_addr().expect("bound"), connections: Arc::default() };
    drop(listener);
    for mirror in [&silent, &closing, &gone] {
        let mut slow = route("/", Upstream::Address(backend.address));
        Arc::make_mut(&mut slow.policy).timeout = Some(Limit::After(Duration::from_secs(5)));
        let gateway = mirrored(slow, mirror, 100);
        let mut client = connect(gateway.address());
        write!(client, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n")
            .expect("writes");
        client.write_all(&vec![1; SIZE]).expect("the body goes on");
        assert_eq!(status(&read_until(&mut client, "ok")), "200");
        for _ in 0..5 {
            assert_eq!(status(&gateway.get("/")), "200");
        }
    }
}

#[test]
fn copies_under_way_are_limited() {
    let backend = Backend::echo();
    let silent = Backend::start(|stream, _| {
        let _held = stream;
        std::thread::park();
    });
    let gateway = mirrored(route("/", Upstream::Address(backend.address)), &silent, 100);
    let mut client = connect(gateway.address());
    for _ in 0..300 {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
        let head = read_until(&mut client, "\r\n\r\n");
        let length: usize = header(&head, "content-length").expect("one").parse().expect("n");
        client.read_exact(&mut vec![0; length]).expect("a body");
    }
    assert!(silent.count() <= 256, "{}", silent.count());
}
