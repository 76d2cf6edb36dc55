//! Upgrades towards upstreams that speak HTTP/2: by extended CONNECT, or over HTTP/1.1 beside it.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderValue, Method, Request, Response};
use hyper_util::rt::TokioIo;
use nuncio::model::cluster::Upstream;
use nuncio::model::policy::ClusterPolicy;
use nuncio::model::route::{Action, Route};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http2_upstreams::H2;
use crate::support::{
    Backend, Gateway, block_on, connect, header, read_all, read_until, route_with, status,
};
use crate::tls_support::{Authority, metric};
use crate::upgrades::{ASK, SWITCHED, ask_h2, extended};

fn http2_route(address: std::net::SocketAddr) -> Route {
    let policy = ClusterPolicy { http2: Some(true), ..ClusterPolicy::default() };
    let mut route = route_with("/", Upstream::Address(address), policy);
    Arc::make_mut(&mut route.policy).upgrades = Some([Arc::from("websocket")].into());
    route
}

/// Takes each WebSocket and echoes; refuses those of `/no`, and answers what is no upgrade.
async fn tunnel(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut answer = Response::new(());
    if request.method() != Method::CONNECT {
        let _ = respond.send_response(answer, true);
        return;
    }
    let protocol = request.extensions().get::<h2::ext::Protocol>().cloned();
    assert_eq!(protocol.map(|it| it.as_str().to_owned()).as_deref(), Some("websocket"));
    for name in ["sec-websocket-key", "upgrade", "connection"] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
    assert_eq!(request.uri().authority().map(|it| it.as_str()), Some("a"));
    if request.uri().path() == "/no" {
        *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        let _ = respond.send_response(answer, true);
        return;
    }
    answer.headers_mut().insert("x-own", HeaderValue::from_static("1"));
    let Ok(mut stream) = respond.send_response(answer, false) else { return };
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        if stream.send_data(data, false).is_err() {
            return;
        }
    }
    let _ = stream.send_data(Bytes::new(), true);
}

#[test]
fn a_websocket_becomes_an_extended_connect() {
    let backend = H2::tunnelling(|request, respond, _| tunnel(request, respond));
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    let mut client = connect(gateway.address());
    client.write_all(ASK.as_bytes()).expect("writes");
    let answer = read_until(&mut client, "\r\n\r\n");
    assert_eq!(status(&answer), "101", "{answer}");
    assert_eq!(header(&answer, "upgrade"), Some("websocket"), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("upgrade"));
    assert_eq!(header(&answer, "x-own"), Some("1"));
    // RFC 6455 section 1.3's own example.
    let accept = header(&answer, "sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client.write_all(b"hello").expect("writes");
    read_until(&mut client, "hello");
    // Requests go on beside it, on the same connection.
    assert_eq!(status(&gateway.get("/")), "200");
    assert_eq!(backend.connections(), 1);
    client.shutdown(std::net::Shutdown::Write).expect("open");
    assert_eq!(read_all(&mut client), "");
    assert!(gateway.log_lines(2)[1].contains("\" 101 - 5 5 "));

    let refused = gateway.ask(&ASK.replace("/chat", "/no").replace("keep-alive", "close"));
    assert_eq!(status(&refused), "401", "{refused}");
}

#[test]
fn a_websocket_over_http2_stays_one() {
    let backend = H2::tunnelling(|request, respond, _| tunnel(request, respond));
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    block_on(async {
        let response = ask_h2(&gateway, extended(Some("websocket"))).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.expect("switches"));
        tunnel.write_all(b"hello").await.expect("writes");
        let mut got = [0; 5];
        tunnel.read_exact(&mut got).await.expect("reads");
        assert_eq!(&got, b"hello");
        tunnel.shutdown().await.expect("ends");
        assert_eq!(tunnel.read_to_end(&mut Vec::new()).await.expect("ends too"), 0);
    });
}

#[test]
fn an_upstream_without_extended_connect_is_told_of() {
    let backend = H2::start(1000, |request, respond, _| tunnel(request, respond));
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    for _ in 0..2 {
        let answer = gateway.ask(&ASK.replace("keep-alive", "close"));
        assert_eq!(status(&answer), "502", "{answer}");
        assert!(answer.contains("without extended CONNECT (RFC 8441)"), "{answer}");
    }
    assert_eq!(status(&gateway.get("/")), "200");
    assert_eq!(
        (backend.streams(), backend.connections()),
        (1, 1),
        "it is asked once what it takes"
    );
    assert!(gateway.log_lines(3)[0].contains("\" 502 UPE "));
}

/// Speaks HTTP/2 without extended CONNECT, or takes upgrades over HTTP/1.1, as is negotiated.
fn both() -> Backend {
    let issued = Authority::new("root").issue(&["a.example"]);
    let key = PrivateKeyDer::try_from(issued.key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate.der().clone()], key)
        .expect("fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Backend::start(move |mut socket, _| {
        let Ok(mut connection) = ServerConnection::new(Arc::clone(&config)) else { return };
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                return;
            }
        }
        let http1 = connection.alpn_protocol() == Some(b"http/1.1");
        let mut stream = StreamOwned::new(connection, socket);
        if !http1 {
            // SETTINGS with one value, MAX_CONCURRENT_STREAMS 7; then nothing.
            stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7]).expect("writes");
            while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
            return;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        assert!(head.starts_with(b"GET /chat HTTP/1.1\r\n"));
        stream.write_all(SWITCHED.as_bytes()).expect("writes");
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

#[test]
fn where_tls_lets_it_choose_an_upgrade_goes_over_http1() {
    let backend = both();
    let mut route = http2_route(backend.address);
    if let Action::Forward(forward) = &mut route.action {
        Arc::make_mut(&mut forward.cluster).tls = Some(Arc::default());
    }
    let gateway = Gateway::start(vec![route]);
    let mut clients: Vec<_> = (0..2).map(|_| connect(gateway.address())).collect();
    for client in &mut clients {
        client.write_all(ASK.as_bytes()).expect("writes");
        let answer = read_until(client, "\r\n\r\n");
        assert_eq!((status(&answer), header(&answer, "x-own")), ("101", Some("1")), "{answer}");
        client.write_all(b"hello").expect("writes");
        read_until(client, "hello");
    }
    // One of HTTP/2, which said that it doesn't, and one for each tunnel.
    assert_eq!(backend.count(), 3);
    let active = || metric(&gateway.proxy.metrics().render(), "envoy_cluster_upstream_cx_active");
    assert_eq!(active(), 3);
    drop(clients);
    crate::support::wait_for("the tunnels to end", || active() == 1);
}
