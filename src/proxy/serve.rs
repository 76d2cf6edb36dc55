//! HTTP on a connection: which version, from the first byte to the last.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Conn, LocalExecutor, Phase};
use super::io::{ClientIo, Transport};
use super::service::{Service, build_service};
use crate::telemetry::metrics::DownstreamStats;

/// RFC 9113 section 3.4: what an HTTP/2 client with prior knowledge sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads until it is clear which protocol this is. The worker's sweep bounds the time.
async fn sniff(stream: &mut Transport, conn: &Conn, ahead: &mut BytesMut) -> Option<Protocol> {
    loop {
        let length = ahead.len().min(PREFACE.len());
        if ahead[..length] != PREFACE[..length] {
            return Some(Protocol::Http1);
        }
        if length == PREFACE.len() {
            return Some(Protocol::Http2);
        }
        if ahead.is_empty() {
            ahead.reserve(2048);
            tokio::select! {
                biased;
                read = stream.read_buf(ahead) => if read.ok()? == 0 {
                    return None;
                },
                () = conn.left() => {
                    // What has arrived is answered before it ends.
                    if !stream.has_arrived() || stream.read_buf(ahead).await.ok()? == 0 {
                        return None;
                    }
                }
            }
        } else if stream.read_buf(ahead).await.ok()? == 0 {
            return None;
        }
        conn.arrived();
    }
}

/// The protocol that a client has chosen in TLS, if it has.
fn negotiated(stream: &Transport) -> Option<Protocol> {
    let Transport::Tls(stream) = stream else { return None };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Some(Protocol::Http2),
        Some(b"http/1.1" | b"http/1.0") => Some(Protocol::Http1),
        _ => None,
    }
}

/// Speaks HTTP until the connection ends. `ahead` has been read already.
pub(super) async fn serve(conn: &Rc<Conn>, mut stream: Transport, mut ahead: BytesMut) {
    let _open = HttpOpen::new(conn);
    let protocol = match negotiated(&stream) {
        Some(protocol) => protocol,
        None => match sniff(&mut stream, conn, &mut ahead).await {
            Some(protocol) => protocol,
            None => {
                // TLS has an end of its own.
                let _ = stream.shutdown().await;
                return;
            }
        },
    };
    let io = ClientIo::new(stream, ahead.freeze(), Rc::clone(conn));
    // Boxed, so that a connection carries the size of what it speaks only.
    match protocol {
        Protocol::Http1 => Box::pin(serve_http1(conn, io)).await,
        Protocol::Http2 => Box::pin(serve_http2(conn, io)).await,
    }
}

/// Errors are the client's: what it had to be told it has been told.
async fn serve_http1(conn: &Rc<Conn>, mut io: ClientIo) {
    loop {
        let service = build_service(&conn.worker, conn);
        // Boxed: it isn't there while the connection rests.
        let mut connection = Box::new(conn.worker.policy().http1.serve_connection(io, service));
        let ended = poll_fn(|cx| poll_http1(&mut connection, conn, cx)).await;
        let Ok(end) = ended else { return };
        let tunnel = conn.tunnel.borrow_mut().take();
        if tunnel.is_none() && end == End::Connection {
            return;
        }
        io = {
            let parts = connection.into_parts();
            parts.io.preceded_by(&parts.read_buf)
        };
        if let Some(tunnel) = tunnel {
            return tunnel.run(TokioIo::new(io)).await;
        }
        io.stirs().await;
        conn.wake_up();
    }
}

/// What has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection.
    Connection,
    /// What hyper holds of it: it rests until the next request.
    Engine,
}

/// Polls a connection until it ends, or is to rest and is between two requests.
fn poll_http1(
    connection: &mut http1::Connection<ClientIo, Service>,
    conn: &Conn,
    cx: &mut Context<'_>,
) -> Poll<hyper::Result<End>> {
    conn.wake_with(cx);
    if conn.rests() {
        // hyper knows best: only between two requests does it end at once. Else it goes on, and
        // the connection ends with the request that it is in.
        Pin::new(&mut *connection).graceful_shutdown();
        let ended = connection.poll_without_shutdown(cx);
        if ended.is_ready() {
            return ended.map_ok(|()| End::Engine);
        }
    }
    Pin::new(connection).poll(cx).map_ok(|()| End::Connection)
}

async fn serve_http2(conn: &Rc<Conn>, io: ClientIo) {
    conn.framed.set(true);
    conn.begin(Phase::Idle);
    let service = build_service(&conn.worker, conn);
    let http2 = http2_of(conn, &conn.worker.policy().http2);
    let connection = http2.serve_connection(io, service);
    let _ = Draining { connection, conn, told: false }.await;
}

/// How HTTP/2 is served on the connection's port.
fn http2_of(conn: &Conn, builder: &http2::Builder<LocalExecutor>) -> http2::Builder<LocalExecutor> {
    let worker = &conn.worker;
    let mut builder = builder.clone();
    let listener = conn.port.listener(worker);
    if let Some(streams) = listener.and_then(|listener| listener.max_concurrent_streams) {
        builder.max_concurrent_streams(streams);
    }
    builder
}

/// Counts an HTTP connection for as long as it is open.
struct HttpOpen(Arc<DownstreamStats>);

impl HttpOpen {
    fn new(conn: &Conn) -> Self {
        conn.stats.connection_opened();
        Self(Arc::clone(&conn.stats))
    }
}

impl Drop for HttpOpen {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// A connection of HTTP/2 that ends gracefully when its worker drains. One of HTTP/1.1 would close
/// at once, also where a request has arrived that hyper hasn't read: [`ClientIo`] looks, and gives
/// it an end of the stream.
struct Draining<'a> {
    connection: http2::Connection<ClientIo, Service, LocalExecutor>,
    conn: &'a Conn,
    told: bool,
}

impl Future for Draining<'_> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.conn.leaving.get() && !this.told {
            this.told = true;
            Pin::new(&mut this.connection).graceful_shutdown();
        }
        this.conn.wake_with(cx);
        Pin::new(&mut this.connection).poll(cx)
    }
}
