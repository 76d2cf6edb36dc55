//! How a gateway parts from its clients: what was on its way is answered, who stays is told.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use nuncio::model::cluster::Upstream;

use crate::support::{
    Backend, Gateway, block_on, connect, connect_h2, header, options, read_all, read_head,
    read_until, route, status,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_drain_loses_nothing_and_ends() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            if head.contains("/slow") {
                std::thread::sleep(Duration::from_millis(600));
            }
            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(ok).is_err() {
                return;
            }
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let address = gateway.address();
    let mut idle = connect(address);
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    read_until(&mut idle, "ok");
    let mut busy = connect(address);
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    let began = Instant::now();
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::from_millis(200), Duration::from_secs(5)));
    });
    // During the delay all is as before.
    std::thread::sleep(Duration::from_millis(50));
    let mut late = connect(address);
    late.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("writes");
    assert_eq!(status(&read_all(&mut late)), "200");
    // Then the idle connection ends, the busy one after its answer.
    assert_eq!(idle.read(&mut [0; 1]).expect("an end"), 0);
    let answer = read_all(&mut busy);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    drain.join().expect("drains");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(TcpStream::connect((IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())).is_err());
}

/// HTTP/1.1 has no other way to part without losing the request that is on its way.
#[test]
fn a_drain_says_close_before_it_closes() {
    let backend = Backend::start(|mut stream, _| {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        while read_head(&mut stream).is_some() && stream.write_all(ok).is_ok() {}
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut stream = connect(gateway.address());
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::from_millis(100), Duration::from_secs(5)));
    });
    let mut answers = 0;
    loop {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("still open");
        let head = read_until(&mut stream, "\r\n\r\nok");
        assert_eq!(status(&head), "200", "after {answers} answers: {head}");
        answers += 1;
        if header(&head, "connection") == Some("close") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answers > 2, "it was told before the delay was over");
    drain.join().expect("drains");
}

#[test]
fn a_drain_answers_who_was_connected() {
    let backend = Backend::echo();
    let mut options = options();
    options.workers = 2;
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    let address = gateway.address();
    let silent = connect(address);
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::from_millis(200), Duration::from_secs(8)));
    });
    let (mut answered, mut lost) = (0, 0);
    // New connections, one after the other, until there is nobody to connect to.
    while let Ok(mut stream) = TcpStream::connect(address) {
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        match (sent, status(&read_all(&mut stream))) {
            (Ok(()), "200") => answered += 1,
            _ => lost += 1,
        }
    }
    let began = Instant::now();
    drain.join().expect("drains");
    drop(silent);
    assert!(began.elapsed() < Duration::from_secs(4), "a silent client held up the drain");
    // The kernel resets one that it connects between the last accept and the close.
    assert!(answered > 10 && lost <= 1, "{answered} answered, {lost} lost");
}

#[test]
fn a_drain_says_goaway() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    block_on(async {
        let (mut sender, connection) = connect_h2(gateway.address()).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        let request = http::Request::get("http://a/").body(Full::new(bytes::Bytes::new()));
        let response = sender.send_request(request.expect("valid")).await.expect("answered");
        response.into_body().collect().await.expect("complete");
        gateway.proxy.drain(Duration::ZERO, Duration::from_secs(5)).await;
        // GOAWAY with no error: the connection ends well.
        let ended = tasks.join_next().await.expect("one task").expect("no panic");
        assert!(ended.is_ok(), "{ended:?}");
    });
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let backend = Backend::start(|mut stream, _| while read_head(&mut stream).is_some() {});
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut stuck = connect(gateway.address());
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_millis(200)));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Closing it at once would lose the request that an idle client is about to send.
#[test]
fn an_idle_client_is_told_by_its_next_answer() {
    let backend =
        Backend::start(
            |mut stream, _| {
                while read_head(&mut stream).is_some() && stream.write_all(OK).is_ok() {}
            },
        );
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let (mut idle, mut silent) = (connect(gateway.address()), connect(gateway.address()));
    idle.write_all(ASK).expect("writes");
    read_until(&mut idle, "ok");
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(8)));
    });
    std::thread::sleep(Duration::from_millis(700));
    for stream in [&mut idle, &mut silent] {
        stream.write_all(ASK).expect("still open");
        let answer = read_all(stream);
        assert_eq!(status(&answer), "200", "{answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    }
    drain.join().expect("drains");
}

/// Not every node knows at once that the pod is going.
#[test]
fn a_late_client_is_served_and_told() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let address = gateway.address();
    let stays = connect(address);
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(8)));
    });
    std::thread::sleep(Duration::from_millis(500));
    let mut late = connect(address);
    late.write_all(ASK).expect("writes");
    let answer = read_all(&mut late);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    drop(stays);
    drain.join().expect("drains");
}

/// Who is connected and never asks anything can't hold up the end.
#[test]
fn silent_clients_are_closed() {
    let gateway = Gateway::start(vec![]);
    let mut silent = connect(gateway.address());
    let mut idle = connect(gateway.address());
    idle.write_all(ASK).expect("writes");
    read_until(&mut idle, "\r\n\r\n");
    let began = Instant::now();
    block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(4)));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for stream in [&mut silent, &mut idle] {
        read_all(stream);
        assert_eq!(stream.read(&mut [0; 1]).expect("an end, and no reset"), 0);
    }
}

/// A response that has begun before ends well, and its connection with the answer after it.
#[test]
fn a_long_response_ends_well() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let long = head.contains("/long");
            let _ = stream.write_all(&OK[..OK.len() - usize::from(long)]);
            if long {
                std::thread::sleep(Duration::from_millis(1500));
                let _ = stream.write_all(b"k");
            }
        }
    });
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let mut stream = connect(gateway.address());
    stream.write_all(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
    read_until(&mut stream, "\r\n\r\no");
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(4)));
    });
    read_until(&mut stream, "k");
    // It was not told, so that it may ask again.
    stream.write_all(ASK).expect("still open");
    let answer = read_all(&mut stream);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    drain.join().expect("drains");
}

/// GOAWAY comes twice, so that requests that cross the first one are still answered.
#[test]
fn a_drain_loses_no_h2_request() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let address = gateway.address();
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::from_millis(300), Duration::from_secs(8)));
    });
    block_on(async {
        let (sender, connection) = connect_h2(address).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            assert!(connection.await.is_ok(), "the connection ends well");
            0
        });
        for _ in 0..8 {
            let mut sender = sender.clone();
            tasks.spawn(async move {
                let mut answered = 0;
                while sender.ready().await.is_ok() {
                    let request =
                        http::Request::get("http://a/").body(Full::new(bytes::Bytes::new()));
                    match sender.send_request(request.expect("valid")).await {
                        Ok(response) => {
                            response.into_body().collect().await.expect("complete");
                            answered += 1;
                        }
                        // It never left: the connection ended between the two calls.
                        Err(error) if error.is_canceled() => break,
                        Err(error) => panic!("after {answered} answers: {error:?}"),
                    }
                }
                answered
            });
        }
        drop(sender);
        let mut answered = 0;
        while let Some(ended) = tasks.join_next().await {
            answered += ended.expect("no panic");
        }
        assert!(answered > 0, "nothing was asked before the end");
    });
    drain.join().expect("drains");
}
