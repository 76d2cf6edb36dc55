//! Compressed answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{Compression, HttpPolicy};
use parking_lot::Mutex;

use crate::support::{Backend, Gateway, connect, header, read_head, read_until, route, status};

fn compression() -> Compression {
    Compression {
        min_length: 30,
        level: None,
        content_types: vec!["text/plain".into(), "text/event-stream".into()],
        skip_etag: false,
        remove_accept_encoding: false,
        brotli: true,
        zstd: true,
        window_bits: 12,
    }
}

fn gateway(compression: Compression, backend: &Backend) -> Gateway {
    let http = HttpPolicy { compression: Some(compression), ..HttpPolicy::default() };
    Gateway::with_http(http, vec![route("/", Upstream::Address(backend.address))])
}

/// A backend that answers each request with this head and body.
fn answering(head: &'static str, body: Vec<u8>) -> Backend {
    Backend::start(move |mut stream, _| {
        while let Some(request) = read_head(&mut stream) {
            let body = if request.starts_with("HEAD") { &[][..] } else { &body[..] };
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_err() {
                return;
            }
        }
    })
}

/// The head and the body of an answer, unchunked.
fn ask(gateway: &Gateway, method: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = connect(gateway.address());
    let request = format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("writes");
    let head = read_until(&mut stream, "\r\n\r\n");
    let mut body = Vec::new();
    match header(&head, "transfer-encoding") {
        Some(_) => {
            while let Some(chunk) = read_chunk(&mut stream) {
                body.extend(chunk)
            }
        }
        None => drop(stream.read_to_end(&mut body)),
    }
    (head, body)
}

/// One chunk, or nothing after the last.
fn read_chunk(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let line = read_until(stream, "\r\n");
    let length = usize::from_str_radix(line.trim(), 16).expect("a length");
    let mut chunk = vec![0; length];
    stream.read_exact(&mut chunk).expect("reads");
    assert_eq!(read_until(stream, "\r\n"), "\r\n");
    (length > 0).then_some(chunk)
}

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(bytes).expect("begins").read_to_end(&mut out),
        other => panic!("{other}"),
    }
    .expect("is whole");
    out
}

fn text() -> Vec<u8> {
    "All work and no play. ".repeat(40_000).into_bytes()
}

#[test]
fn answers_are_compressed_as_clients_like() {
    let text = text();
    let backend = answering(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\netag: \"a\"\r\n\
         accept-ranges: bytes\r\nvary: cookie\r\ncontent-length: 880000\r\n\r\n",
        text.clone(),
    );
    assert_eq!(text.len(), 880_000);
    let gateway = gateway(compression(), &backend);
    for coding in ["gzip", "br", "zstd"] {
        let (head, body) = ask(&gateway, "GET", &format!("accept-encoding: {coding}\r\n"));
        for (name, value) in [
            ("content-encoding", Some(coding)),
            ("content-length", None),
            ("transfer-encoding", Some("chunked")),
            ("etag", Some("W/\"a\"")),
            ("accept-ranges", None),
        ] {
            assert_eq!(header(&head, name), value, "{name} in {head}");
        }
        assert!(head.contains("vary: cookie\r\n") && head.contains("vary: accept-encoding\r\n"));
        assert!(body.len() < text.len() / 20, "{coding}: {}", body.len());
        assert!(decode(coding, &body) == text, "{coding}");
    }
    // Also for a client that takes none of it a cache must know.
    let (head, body) = ask(&gateway, "GET", "accept-encoding: gzip;q=0\r\n");
    assert_eq!((header(&head, "content-encoding"), body == text), (None, true));
    assert!(head.contains("vary: accept-encoding\r\n") && head.contains("etag: \"a\"\r\n"));
    let (head, body) = ask(&gateway, "HEAD", "accept-encoding: gzip\r\n");
    assert_eq!((header(&head, "content-encoding"), body.len()), (None, 0), "{head}");
    let sent = gateway.log_lines(5);
    let plain = sent.iter().filter(|line| line.contains(" 880000 ")).count();
    assert_eq!(plain, 1, "what is logged is what was sent: {sent:?}");
}

#[test]
fn what_should_stay_as_it_is_stays() {
    for head in [
        "200 OK\r\ncontent-type: image/png\r\ncontent-length: 40",
        "200 OK\r\ncontent-length: 40",
        "200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: br\r\ncontent-length: 40",
        "200 OK\r\ncontent-type: text/plain\r\ncache-control: private, No-Transform\r\ncontent-length: 40",
        "206 Part\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-39/80\r\ncontent-length: 40",
        "200 OK\r\ncontent-type: text/plain\r\netag: \"a\"\r\ncontent-length: 40",
        "200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 40",
    ] {
        let head: &'static str = format!("HTTP/1.1 {head}\r\n\r\n").leak();
        let backend = answering(head, vec![b'a'; 40]);
        let mut policy = compression();
        policy.skip_etag = true;
        policy.content_types.push("application/grpc".into());
        let gateway = gateway(policy, &backend);
        let (seen, body) = ask(&gateway, "GET", "accept-encoding: gzip\r\n");
        assert_eq!(body, [b'a'; 40], "{head}");
        assert_eq!(header(&seen, "content-length"), Some("40"), "{head}");
    }
    // Too short.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 29\r\n\r\n";
    let gateway = gateway(compression(), &answering(head, vec![b'a'; 29]));
    let (seen, _) = ask(&gateway, "GET", "accept-encoding: gzip\r\n");
    assert_eq!(header(&seen, "content-encoding"), None);
}

#[test]
fn events_are_given_on_as_they_come() {
    let (next, events) = mpsc::channel::<&str>();
    let events = Mutex::new(events);
    let backend = Backend::start(move |mut stream, _| {
        read_head(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("writes");
        for event in events.lock().iter() {
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            stream.write_all(chunk.as_bytes()).expect("writes");
        }
        stream.write_all(b"0\r\nx-sum: 7\r\n\r\n").expect("writes");
    });
    let gateway = gateway(compression(), &backend);
    let mut stream = connect(gateway.address());
    let request = "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\naccept-encoding: gzip\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("writes");
    let head = read_until(&mut stream, "\r\n\r\n");
    assert_eq!((status(&head), header(&head, "content-encoding")), ("200", Some("gzip")), "{head}");
    let mut body = Vec::new();
    for (event, so_far) in
        [("data: 1\n\n", "data: 1\n\n"), ("data: 2\n\n", "data: 1\n\ndata: 2\n\n")]
    {
        next.send(event).expect("the backend listens");
        // Without a flush nothing would ever come here, and the read would end in a timeout.
        let mut out = Vec::new();
        while out != so_far.as_bytes() {
            body.extend(read_chunk(&mut stream).expect("goes on"));
            out.clear();
            // It isn't whole yet.
            let _ = flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut out);
        }
    }
    drop(next);
    body.extend(read_chunk(&mut stream).expect("ends"));
    assert_eq!(decode("gzip", &body), b"data: 1\n\ndata: 2\n\n");
    let rest = read_until(&mut stream, "\r\n\r\n");
    assert!(rest.starts_with("0\r\n"), "{rest}");
}

#[test]
fn the_upstream_need_not_know() {
    let backend = Backend::echo();
    for (remove_accept_encoding, expected) in [(false, Some("gzip")), (true, None)] {
        let gateway = gateway(Compression { remove_accept_encoding, ..compression() }, &backend);
        let (_, body) = ask(&gateway, "GET", "accept-encoding: gzip\r\n");
        let seen = String::from_utf8(body).expect("is text: it has no content type");
        assert_eq!(header(&seen, "accept-encoding"), expected);
    }
}
