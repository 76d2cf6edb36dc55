//! HTTP/2 towards upstreams: streams and their number, trailers, resets, GOAWAY.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use nuncio::model::cluster::Upstream;
use nuncio::model::policy::ClusterPolicy;
use nuncio::model::route::Route;

use crate::support::{
    Backend, Gateway, block_on, connect, connect_h2, read_all, route_with, status,
};

/// Which of a backend's connections a request came by, among its extensions.
#[derive(Clone, Copy)]
struct CameBy(usize);

/// A backend that speaks HTTP/2 with prior knowledge.
pub(crate) struct H2 {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
}

impl H2 {
    /// `serve` gets each request with its number. A connection says goodbye after `last` of them.
    pub(crate) fn start<S, F>(last: usize, serve: S) -> Self
    where
        S: Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::limited(last, 100, false, serve)
    }

    /// The same that takes extended CONNECT.
    pub(crate) fn tunnelling<S, F>(serve: S) -> Self
    where
        S: Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::limited(1000, 100, true, serve)
    }

    fn limited<S, F>(last: usize, at_once: u32, tunnels: bool, serve: S) -> Self
    where
        S: Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("settable");
        let (connections, streams): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (counted, numbered) = (Arc::clone(&connections), Arc::clone(&streams));
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                while let Ok((socket, _)) = listener.accept().await {
                    let came_by = CameBy(counted.fetch_add(1, Ordering::SeqCst));
                    let (numbered, serve) = (Arc::clone(&numbered), Arc::clone(&serve));
                    tokio::spawn(async move {
                        let mut builder = h2::server::Builder::new();
                        builder.max_concurrent_streams(at_once);
                        if tunnels {
                            builder.enable_connect_protocol();
                        }
                        let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else {
                            return;
                        };
                        let mut count = 0;
                        while let Some(Ok((mut request, respond))) = connection.accept().await {
                            request.extensions_mut().insert(came_by);
                            let number = numbered.fetch_add(1, Ordering::SeqCst);
                            tokio::spawn(serve(request, respond, number));
                            count += 1;
                            if count == last {
                                connection.graceful_shutdown();
                            }
                        }
                    });
                }
            });
        });
        Self { address, connections, streams }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }
}

fn http2_route(address: SocketAddr) -> Route {
    let policy = ClusterPolicy { http2: Some(true), ..ClusterPolicy::default() };
    route_with("/", Upstream::Address(address), policy)
}

/// Reads the request, answers with its body and a trailer.
async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let te = request.headers().get("te").cloned();
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let mut head = Response::new(());
    if let Some(te) = te {
        head.headers_mut().insert("x-te", te);
    }
    let Ok(mut stream) = respond.send_response(head, false) else { return };
    let _ = stream.send_data(bytes.into(), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
}

fn post(body: &str) -> String {
    format!(
        "POST /p HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
         {body}",
        body.len()
    )
}

#[test]
fn bodies_and_trailers_pass_between_protocols() {
    let backend = H2::start(1000, |request, respond, _| {
        assert_eq!(request.uri().authority().map(|one| one.as_str()), Some("shop.example"));
        assert_eq!(request.uri().scheme_str(), Some("http"));
        echo(request, respond)
    });
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    let answer = gateway.ask(&post("hello"));
    assert!(status(&answer) == "200" && answer.contains("hello"), "{answer}");
    block_on(async {
        let (mut sender, connection) = connect_h2(gateway.address()).await;
        let driver = tokio::spawn(connection);
        let request = Request::post("http://shop.example/a.B/C")
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from("message")))
            .expect("a request");
        let response = sender.send_request(request).await.expect("answered");
        assert_eq!(response.headers()["x-te"], "trailers");
        let body = response.into_body().collect().await.expect("whole");
        let trailers = body.trailers().cloned().expect("trailers");
        assert_eq!(body.to_bytes(), "message");
        assert_eq!(trailers["grpc-status"], "0");
        driver.abort();
    });
    assert!(backend.connections.load(Ordering::SeqCst) <= 2);
}

#[test]
fn connections_are_opened_as_streams_fill_up() {
    const CLIENTS: usize = 12;
    let inside: Arc<tokio::sync::Barrier> = Arc::new(tokio::sync::Barrier::new(CLIENTS));
    let backend = H2::limited(1000, 3, false, move |request, respond, _| {
        let inside = Arc::clone(&inside);
        async move {
            // Nobody is answered before all have come: none may wait in a full connection's queue.
            inside.wait().await;
            echo(request, respond).await;
        }
    });
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(gateway.address())).collect();
    for client in &mut clients {
        client.write_all(post("x").as_bytes()).expect("writes");
    }
    for client in &mut clients {
        assert_eq!(status(&read_all(client)), "200");
    }
    let connections = backend.connections.load(Ordering::SeqCst);
    // A new connection takes one stream until its upstream's SETTINGS have come: how many are opened
    // meanwhile is the machine's load.
    assert!((4..=CLIENTS).contains(&connections), "{connections} connections");
}

#[test]
fn streams_gather_on_one_connection() {
    const LIMIT: usize = 3;
    const CLIENTS: usize = 4 * LIMIT;
    let many = Arc::new(tokio::sync::Barrier::new(CLIENTS));
    let few = Arc::new(tokio::sync::Barrier::new(LIMIT));
    let came_by: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&came_by);
    let backend = H2::limited(1000, 3, false, move |request, respond, number| {
        let together = Arc::clone(if number < CLIENTS { &many } else { &few });
        if let Some(CameBy(connection)) = request.extensions().get() {
            seen.lock().expect("not poisoned").push(*connection);
        }
        async move {
            together.wait().await;
            echo(request, respond).await;
        }
    });
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    for count in [CLIENTS, LIMIT] {
        let mut clients: Vec<_> = (0..count).map(|_| connect(gateway.address())).collect();
        for client in &mut clients {
            client.write_all(post("x").as_bytes()).expect("writes");
        }
        for client in &mut clients {
            assert_eq!(status(&read_all(client)), "200");
        }
    }
    // All connections were empty when the last came: the second and the third joined the first.
    let came_by = came_by.lock().expect("not poisoned");
    let last = &came_by[CLIENTS..];
    assert!(last.len() == LIMIT && last.iter().all(|one| *one == last[0]), "{came_by:?}");
    assert!(backend.connections() >= CLIENTS / LIMIT, "{came_by:?}");
}

#[test]
fn goodbyes_cost_no_request() {
    let backend = H2::start(7, |request, respond, _| echo(request, respond));
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    let address = gateway.address();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut codes = Vec::new();
                for _ in 0..25 {
                    let answer = crate::support::ask(address, post("body").as_bytes());
                    codes.push(status(&answer).to_owned());
                }
                codes
            })
        })
        .collect();
    for client in clients {
        let codes = client.join().expect("no panic");
        assert!(codes.iter().all(|code| code == "200"), "{codes:?}");
    }
    // A goodbye goes before every answer that comes after it, so that each of the other seven clients
    // sends at most one request that it doesn't know of: fourteen on a connection, of two hundred.
    let connections = backend.connections();
    assert!(connections >= 200_usize.div_ceil(14), "{connections} connections");
}

/// Without anybody beside it a request never meets a connection that has said goodbye.
#[test]
fn a_connection_ends_with_its_goodbye() {
    let backend = H2::start(7, |request, respond, _| echo(request, respond));
    let gateway = Gateway::start(vec![http2_route(backend.address)]);
    for _ in 0..28 {
        assert_eq!(status(&gateway.ask(&post("body"))), "200");
    }
    assert_eq!((backend.connections(), backend.streams()), (4, 28));
}

#[test]
fn what_the_upstream_has_not_looked_at_goes_again_with_its_body() {
    // The first connection says that it processed nothing; the second is forwarded to one that does.
    let good = H2::start(1000, |request, respond, _| echo(request, respond));
    let target = good.address;
    let front = Backend::start(move |mut stream, number| {
        if number > 0 {
            return splice(stream, connect(target));
        }
        // SETTINGS; then, when HEADERS have come, GOAWAY with no stream processed.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("writes");
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).expect("a preface");
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).expect("its payload");
            if head[3] == 1 {
                break;
            }
        }
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        stream.write_all(&goaway).expect("writes");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gateway = Gateway::start(vec![http2_route(front.address)]);
    let answer = gateway.ask(&post("precious"));
    assert!(status(&answer) == "200" && answer.contains("precious"), "{answer}");
    assert_eq!((front.count(), good.streams()), (2, 1));
}

fn splice(mut one: std::net::TcpStream, mut other: std::net::TcpStream) {
    let (mut from, mut to) = (one.try_clone().expect("clones"), other.try_clone().expect("clones"));
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut other, &mut one);
}

#[test]
fn refused_streams_go_again_and_other_resets_do_not() {
    for (reason, code, count) in
        [(h2::Reason::REFUSED_STREAM, "200", 2), (h2::Reason::INTERNAL_ERROR, "503", 1)]
    {
        let backend = H2::start(1000, move |request, mut respond, number| async move {
            if number == 0 {
                respond.send_reset(reason);
                return;
            }
            echo(request, respond).await;
        });
        let gateway = Gateway::start(vec![http2_route(backend.address)]);
        let answer = gateway.ask(&post("again"));
        assert_eq!((status(&answer), backend.streams()), (code, count), "{answer}");
        if code == "503" {
            assert!(gateway.log_lines(1)[0].contains("503 UR"));
        }
    }
}
