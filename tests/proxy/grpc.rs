//! gRPC: errors in its own words, gRPC-Web, and HTTP/1.1 clients that can't read trailers.

use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nuncio::model::cluster::Upstream;
use nuncio::model::config::GatewayConfig;
use nuncio::model::policy::HttpPolicy;
use nuncio::model::route::Route;
use nuncio::routing::RouteTable;

use crate::support::{
    Backend, Gateway, connect, header, read_head, read_until, route, status, table,
};

/// A message of three bytes as gRPC frames it.
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

fn with_policy(http: HttpPolicy, routes: Vec<Route>) -> Gateway {
    let gateway = Gateway::start(Vec::new());
    let config = GatewayConfig { http: Arc::new(http), ..(**table(routes).config()).clone() };
    let table = RouteTable::compile(&Arc::new(config), &RouteTable::default());
    gateway.tables.publish(Arc::new(table));
    gateway
}

fn web() -> HttpPolicy {
    HttpPolicy { grpc_web: true, ..HttpPolicy::default() }
}

fn bridging() -> HttpPolicy {
    HttpPolicy { grpc_http11_bridge: true, ..HttpPolicy::default() }
}

/// Takes a call with one message in, and answers with it and these trailers; `chunks` cuts it.
fn grpc_server(trailers: &'static str) -> Backend {
    Backend::start(move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            assert_eq!(header(&head, "content-type"), Some("application/grpc"), "{head}");
            assert_eq!(header(&head, "te"), Some("trailers"), "{head}");
            let body = match header(&head, "content-length") {
                Some(length) => {
                    assert_eq!(length, MESSAGE.len().to_string());
                    read_until(&mut stream, "abc")
                }
                None => read_until(&mut stream, "0\r\n\r\n"),
            };
            assert!(body.contains("\0\0\0\0\x03"), "{body:?}");
            let start = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\
                trailer: grpc-status\r\ntransfer-encoding: chunked\r\n\r\n5\r\n";
            stream.write_all(start.as_bytes()).expect("writes");
            stream.write_all(&MESSAGE[..5]).expect("writes");
            let end = format!("\r\n3\r\nabc\r\n0\r\n{trailers}\r\n");
            stream.write_all(end.as_bytes()).expect("writes");
        }
    })
}

fn call(gateway: &Gateway, headers: &str, body: &[u8]) -> String {
    let mut client = connect(gateway.address());
    let length = body.len();
    write!(
        client,
        "POST /a.B/C HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n"
    )
    .expect("writes");
    client.write_all(body).expect("writes");
    crate::support::read_all(&mut client)
}

/// What chunks hold.
fn dechunk(answer: &str) -> String {
    let (_, mut rest) = answer.split_once("\r\n\r\n").expect("a body");
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            assert_eq!(more, "\r\n", "no trailers");
            break;
        }
        body.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    body
}

#[test]
fn errors_are_told_in_grpc() {
    let refused =
        std::net::TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound");
    let gateway = Gateway::start(vec![route("/a.B", Upstream::Address(refused))]);
    let grpc = "content-type: application/grpc+proto\r\nte: trailers\r\n";
    let answer = call(&gateway, grpc, MESSAGE);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "grpc-status"), Some("14"));
    assert_eq!(header(&answer, "content-type"), Some("application/grpc"));
    assert!(header(&answer, "grpc-message").is_some_and(|text| text.contains("connect")));
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = gateway.ask(
        "POST /x.Y/Z HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/grpc\r\n\
         content-length: 0\r\n\r\n",
    );
    assert_eq!(header(&answer, "grpc-status"), Some("12"), "{answer}");
    // What isn't gRPC is told in HTTP.
    let answer = call(&gateway, "content-type: application/grpc-web\r\n", MESSAGE);
    assert_eq!(status(&answer), "503", "{answer}");
    let lines = gateway.log_lines(3);
    assert!(lines[0].contains("\" 200 UF "), "{lines:?}");
    assert!(lines[1].contains("\" 200 NR "), "{lines:?}");
}

#[test]
fn grpc_web_is_translated() {
    let backend = grpc_server("grpc-status: 0\r\nx-sum: 7\r\n");
    let gateway = with_policy(web(), vec![route("/", Upstream::Address(backend.address))]);
    let trailers = "\u{80}\0\0\0\x18grpc-status:0\r\nx-sum:7\r\n";
    let plain = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
    let answer = call(&gateway, plain, MESSAGE);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("application/grpc-web+proto"));
    assert_eq!(header(&answer, "grpc-status"), None);
    assert!(answer.contains("abc") && answer.contains("grpc-status:0\r\nx-sum:7\r\n"), "{answer}");
    // In base64 both ways, in pieces with their own padding.
    let text = "content-type: application/grpc-web-text\r\n\
        accept: application/grpc-web-text\r\n";
    let (first, second) = MESSAGE.split_at(2);
    let body = BASE64_STANDARD.encode(first) + &BASE64_STANDARD.encode(second);
    let answer = call(&gateway, text, body.as_bytes());
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("application/grpc-web-text+proto"));
    let mut decoder = nuncio::proxy::TextDecoder::default();
    let body = decoder.data(dechunk(&answer).as_bytes()).expect("base64");
    let latin: String = body.iter().map(|byte| char::from(*byte)).collect();
    assert_eq!(latin, format!("\0\0\0\0\x03abc{trailers}"));
    let lines = gateway.log_lines(2);
    assert!(lines.iter().all(|line| line.contains("\" 200 - ")), "{lines:?}");
}

#[test]
fn what_isnt_grpc_web_is_refused_and_what_isnt_grpc_is_an_error() {
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let body = match header(&head, "transfer-encoding") {
                Some(_) => read_until(&mut stream, "0\r\n\r\n"),
                None => read_until(&mut stream, "abc"),
            };
            assert!(!body.is_empty());
            let answer = "HTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\nhtml";
            stream.write_all(answer.as_bytes()).expect("writes");
        }
    });
    let gateway = with_policy(web(), vec![route("/", Upstream::Address(backend.address))]);
    let answer = call(&gateway, "content-type: application/grpc-web\r\n", MESSAGE);
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(header(&answer, "grpc-status"), Some("12"));
    assert_eq!(header(&answer, "content-type"), Some("application/grpc-web+proto"));
    for body in ["AAA", "AAAA!AAA"] {
        let answer = call(&gateway, "content-type: application/grpc-web-text\r\n", body.as_bytes());
        assert_eq!(header(&answer, "grpc-status"), Some("13"), "{body}: {answer}");
    }
}

#[test]
fn the_bridge_turns_trailers_into_headers() {
    for (trailers, code, grpc_status, message) in [
        ("grpc-status: 0\r\n", "200", Some("0"), None),
        ("grpc-status: 5\r\ngrpc-message: none%20here\r\n", "503", Some("5"), Some("none%20here")),
        ("x: y\r\n", "200", None, None),
    ] {
        let backend = grpc_server(trailers);
        let routes = vec![route("/", Upstream::Address(backend.address))];
        let gateway = with_policy(bridging(), routes);
        let grpc = "content-type: application/grpc\r\nte: trailers\r\n";
        let answer = call(&gateway, grpc, MESSAGE);
        assert_eq!(status(&answer), code, "{answer}");
        assert_eq!(header(&answer, "grpc-status"), grpc_status, "{answer}");
        assert_eq!(header(&answer, "grpc-message"), message);
        assert_eq!(header(&answer, "content-length"), Some("8"));
        assert!(answer.ends_with("abc"), "{answer}");
    }
}

#[test]
fn the_bridge_gathers_so_much_and_no_more() {
    let backend = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        read_until(&mut stream, "abc");
        let start = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\
            content-length: 3000000\r\n\r\n";
        stream.write_all(start.as_bytes()).expect("writes");
        // The gateway gives up before the end.
        let _ = stream.write_all(&vec![0; 3_000_000]);
    });
    let routes = vec![route("/", Upstream::Address(backend.address))];
    let gateway = with_policy(bridging(), routes);
    let answer = call(&gateway, "content-type: application/grpc\r\n", MESSAGE);
    assert_eq!((status(&answer), header(&answer, "grpc-status")), ("200", Some("14")), "{answer}");
    let line = &gateway.log_lines(1)[0];
    assert!(line.contains("\" 200 UPE "), "{line}");
}
