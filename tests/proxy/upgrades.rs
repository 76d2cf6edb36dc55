//! Other protocols on a client's connection or stream: who may switch, when bytes may pass, how a
//! tunnel ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use nuncio::model::cluster::Upstream;
use nuncio::model::policy::Limit;
use nuncio::model::route::Route;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Backend, Gateway, block_on, connect, connect_h2, header, read_all, read_head, read_until,
    route, status, wait_for,
};

pub(crate) const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\n\
    upgrade: WebSocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nx-own: 1\r\n\r\n";

fn allowing(protocols: &[&str], backend: &Backend) -> Route {
    let mut route = route("/", Upstream::Address(backend.address));
    Arc::make_mut(&mut route.policy).upgrades =
        Some(protocols.iter().map(|name| (*name).into()).collect());
    route
}

/// Switches at once, and sends back what comes until its client ends.
fn switching() -> Backend {
    Backend::start(|mut stream, _| {
        let head = read_head(&mut stream).expect("a head");
        assert_eq!(header(&head, "connection"), Some("upgrade"), "{head}");
        stream.write_all(SWITCHED.as_bytes()).expect("writes");
        echo(stream);
    })
}

pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

#[test]
fn a_websocket_is_tunnelled_after_the_upstreams_101() {
    let (asked, head) = channel();
    let (go, may) = channel::<()>();
    let shared = parking_lot::Mutex::new((asked, may));
    let backend = Backend::start(move |mut stream, _| {
        let (asked, may) = &*shared.lock();
        asked.send(read_head(&mut stream).expect("a head")).expect("the test waits");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("settable");
        let early = stream.read(&mut [0; 16]);
        assert!(early.is_err(), "nothing passes before the answer: {early:?}");
        may.recv().expect("the test says");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("settable");
        // The first bytes of the tunnel come together with the head.
        stream.write_all(format!("{SWITCHED}hello ").as_bytes()).expect("writes");
        echo(stream);
    });
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    let mut client = connect(gateway.address());
    client.write_all(format!("{ASK}early").as_bytes()).expect("writes");
    let head = head.recv_timeout(Duration::from_secs(5)).expect("a head");
    assert_eq!(header(&head, "upgrade"), Some("websocket"), "{head}");
    assert_eq!(header(&head, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    go.send(()).expect("the backend waits");
    let answer = read_until(&mut client, "\r\n\r\n");
    assert_eq!(status(&answer), "101", "{answer}");
    assert_eq!(header(&answer, "connection"), Some("upgrade"), "{answer}");
    assert_eq!(header(&answer, "upgrade"), Some("websocket"));
    assert_eq!(header(&answer, "x-own"), Some("1"));
    assert_eq!(header(&answer, "content-length"), None);
    assert_eq!(header(&answer, "transfer-encoding"), None);
    read_until(&mut client, "hello early");
    client.write_all(b"more").expect("writes");
    read_until(&mut client, "more");
    let metrics = gateway.proxy.metrics().render();
    let active = metrics.lines().find(|line| line.starts_with("envoy_cluster_upstream_cx_active"));
    assert!(active.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    client.shutdown(Shutdown::Write).expect("open");
    assert_eq!(read_all(&mut client), "");
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains("\" 101 - 9 15 "), "{line}");
    let active = || {
        gateway.proxy.metrics().render().contains("upstream_cx_active{") && {
            let metrics = gateway.proxy.metrics().render();
            metrics.lines().any(|line| line.contains("upstream_cx_active{") && line.ends_with(" 0"))
        }
    };
    wait_for("the connection to be counted out", active);
}

#[test]
fn who_may_not_switch_is_refused() {
    let backend = switching();
    let mut deaf = route("/deaf", Upstream::Address(backend.address));
    Arc::make_mut(&mut deaf.policy).upgrades = None;
    let mut other = allowing(&["spdy/3.1"], &backend);
    Arc::make_mut(&mut other.matches).path =
        route("/other", Upstream::Address(backend.address)).matches.path.clone();
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend), deaf, other]);
    let ask = |path: &str, more: &str| {
        gateway.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\n\
             upgrade: websocket\r\n{more}"
        ))
    };
    for (path, more) in
        [("/deaf", "\r\n"), ("/other", "\r\n"), ("/chat", "content-length: 2\r\n\r\nab")]
    {
        let answer = ask(path, more);
        assert_eq!(status(&answer), "403", "{path}: {answer}");
    }
    assert_eq!(backend.count(), 0);
    assert!(gateway.log_lines(3).iter().all(|line| line.contains("\" 403 - ")));
}

#[test]
fn any_other_answer_is_an_answer() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let refused =
                "HTTP/1.1 401 No\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nno";
            let plain = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            let answer = if head.contains("upgrade:") { refused } else { plain };
            stream.write_all(answer.as_bytes()).expect("writes");
        }
    });
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    let mut client = connect(gateway.address());
    // What the client sends too early is HTTP, since nothing was switched.
    client
        .write_all(format!("{ASK}GET /next HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .expect("writes");
    let answer = read_until(&mut client, "\r\n\r\nno");
    assert_eq!(status(&answer), "401", "{answer}");
    assert_eq!(status(&read_until(&mut client, "\r\n\r\n")), "200");
    assert_eq!(backend.count(), 1, "the upstream's connection is used again");
}

#[test]
fn another_protocol_than_asked_for_is_refused() {
    for answer in [
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: spdy/3.1\r\n\r\nsmuggled",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\n\r\nsmuggled",
        "HTTP/1.1 101 S\r\nupgrade: websocket\r\n\r\nsmuggled",
    ] {
        let backend = Backend::start(move |mut stream, _| {
            read_head(&mut stream);
            stream.write_all(answer.as_bytes()).expect("writes");
            let _ = stream.read(&mut [0; 1]);
        });
        let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
        let mut client = connect(gateway.address());
        client.write_all(ASK.as_bytes()).expect("writes");
        let answer = read_until(&mut client, "upstream protocol error");
        assert_eq!(status(&answer), "502", "{answer}");
        assert!(gateway.log_lines(1)[0].contains("502 UPE"));
    }
}

#[test]
fn any_protocol_that_is_allowed_is_tunnelled() {
    let backend = Backend::start(|mut stream, _| {
        let head = read_head(&mut stream).expect("a head");
        assert!(head.starts_with("POST /exec?stdin=1 "), "{head}");
        assert_eq!(header(&head, "upgrade"), Some("spdy/3.1"));
        stream
            .write_all(
                b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                 x-stream-protocol-version: v4\r\n\r\n",
            )
            .expect("writes");
        echo(stream);
    });
    let gateway = Gateway::start(vec![allowing(&["spdy/3.1"], &backend)]);
    let mut client = connect(gateway.address());
    client
        .write_all(
            b"POST /exec?stdin=1 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n\
              upgrade: foo, SPDY/3.1\r\ncontent-length: 0\r\n\r\n",
        )
        .expect("writes");
    let answer = read_until(&mut client, "\r\n\r\n");
    assert_eq!(status(&answer), "101", "{answer}");
    assert_eq!(header(&answer, "x-stream-protocol-version"), Some("v4"));
    client.write_all(b"\x80\x03abc").expect("writes");
    read_until(&mut client, "abc");
}

#[test]
fn a_tunnel_outlives_the_routes_time_but_not_silence() {
    let backend = switching();
    let mut route = allowing(&["websocket"], &backend);
    Arc::make_mut(&mut route.policy).timeout = Some(Limit::After(Duration::from_millis(100)));
    Arc::make_mut(&mut route.policy).idle_timeout = Some(Limit::After(Duration::from_millis(400)));
    let gateway = Gateway::start(vec![route]);
    let mut client = connect(gateway.address());
    client.write_all(ASK.as_bytes()).expect("writes");
    read_until(&mut client, "\r\n\r\n");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(100));
        client.write_all(b"ping").expect("writes");
        read_until(&mut client, "ping");
    }
    assert_eq!(read_all(&mut client), "", "silence ends it");
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains("\" 101 SI 12 12 "), "{line}");
}

#[test]
fn each_half_ends_by_itself() {
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream).expect("a head");
        stream.write_all(SWITCHED.as_bytes()).expect("writes");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("reads until the client has ended");
        stream.write_all(format!("got {all}").as_bytes()).expect("writes");
    });
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    let mut client = connect(gateway.address());
    client.write_all(ASK.as_bytes()).expect("writes");
    read_until(&mut client, "\r\n\r\n");
    client.write_all(b"everything").expect("writes");
    client.shutdown(Shutdown::Write).expect("open");
    assert_eq!(read_all(&mut client), "got everything");
    assert!(gateway.log_lines(1)[0].contains("\" 101 - 10 14 "));
}

#[test]
fn a_client_that_goes_away_ends_the_upstreams_side() {
    let (gone, seen) = channel();
    let gone = parking_lot::Mutex::new(gone);
    let backend = Backend::start(move |mut stream, _| {
        read_head(&mut stream).expect("a head");
        stream.write_all(SWITCHED.as_bytes()).expect("writes");
        let ended = matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_));
        gone.lock().send(ended).expect("the test waits");
    });
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    let mut client = connect(gateway.address());
    client.write_all(ASK.as_bytes()).expect("writes");
    read_until(&mut client, "\r\n\r\n");
    drop(client);
    assert_eq!(seen.recv_timeout(Duration::from_secs(5)), Ok(true));
    gateway.log_lines(1);
}

#[test]
fn a_drain_cuts_tunnels_at_its_deadline_only() {
    let backend = switching();
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    let mut client = connect(gateway.address());
    client.write_all(ASK.as_bytes()).expect("writes");
    read_until(&mut client, "\r\n\r\n");
    let Gateway { proxy, log, .. } = gateway;
    let stopper = std::thread::spawn(move || {
        block_on(proxy.drain(Duration::ZERO, Duration::from_millis(600)))
    });
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(100));
        client.write_all(b"ping").expect("writes");
        read_until(&mut client, "ping");
    }
    assert_eq!(read_all(&mut client), "");
    stopper.join().expect("drains");
    let log = String::from_utf8_lossy(&log.lock()).into_owned();
    assert!(log.contains("\" 101 DC 12 12 "), "{log}");
}

pub(crate) fn extended(protocol: Option<&'static str>) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("http://a/chat?x=1")
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .expect("valid");
    match protocol {
        Some(protocol) => drop(request.extensions_mut().insert(Protocol::from_static(protocol))),
        None => *request.uri_mut() = "a:80".parse().expect("valid"),
    }
    request
}

pub(crate) async fn ask_h2(gateway: &Gateway, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let (mut sender, connection) = connect_h2(gateway.address()).await;
    // hyper drives it on a task of its own, and wakes nobody when the peer's settings have come.
    let settled = async {
        while !connection.is_extended_connect_protocol_enabled() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), settled).await.expect("the settings say so");
    tokio::task::spawn(connection);
    sender.send_request(request).await.expect("answers")
}

/// Answers the key of each upgrade, and echoes.
fn websocket_server() -> Backend {
    Backend::start(|mut stream, _| {
        let head = read_head(&mut stream).expect("a head");
        assert!(head.starts_with("GET /chat?x=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
        let key = header(&head, "sec-websocket-key").expect("a key");
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let hash = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            text.as_bytes(),
        );
        let accept = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash);
        write!(
            stream,
            "HTTP/1.1 101 S\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\n"
        )
        .expect("writes");
        echo(stream);
    })
}

#[test]
fn a_websocket_over_http2_is_one_over_http1_upstream() {
    let backend = websocket_server();
    let gateway = Gateway::start(vec![allowing(&["websocket"], &backend)]);
    block_on(async {
        let response = ask_h2(&gateway, extended(Some("websocket"))).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["sec-websocket-protocol"], "chat");
        for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.expect("switches"));
        let sent = vec![7_u8; 300_000];
        let (mut reader, mut writer) = tokio::io::split(&mut tunnel);
        let writing = async {
            writer.write_all(&sent).await.expect("writes");
            writer.shutdown().await.expect("ends");
        };
        let mut got = Vec::new();
        let reading = reader.read_to_end(&mut got);
        let (read, ()) = tokio::join!(reading, writing);
        read.expect("reads");
        assert_eq!(got.len(), sent.len());
    });
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains("\"CONNECT /chat?x=1 HTTP/2\" 200 - 300000 300000 "), "{line}");
}

#[test]
fn extended_connect_only_where_it_is_allowed_and_understood() {
    let switching = switching();
    let plain = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("writes");
    });
    for (backend, allowed, protocol, expected) in [
        (&switching, "websocket", Some("connect-udp"), 403),
        (&switching, "spdy/3.1", Some("websocket"), 403),
        (&switching, "websocket", None, 405),
        // It hasn't read the key, so that it is no WebSocket server.
        (&switching, "websocket", Some("websocket"), 502),
        // A success would be read as a tunnel.
        (&plain, "websocket", Some("websocket"), 502),
    ] {
        let gateway = Gateway::start(vec![allowing(&[allowed], backend)]);
        let response = block_on(async {
            let response = ask_h2(&gateway, extended(protocol)).await;
            let status = response.status().as_u16();
            response.into_body().collect().await.expect("ends");
            status
        });
        assert_eq!(response, expected, "{protocol:?} where {allowed} is allowed");
    }
}
