//! HTTPS for the API server: connections are few, bounded, and end in an orderly way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::certificate::{Served, provider};

/// The API servers of a cluster need one each, and a few more while certificates change.
const CONNECTIONS: usize = 64;
/// A handshake that takes longer is nobody's who means it.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The headers of a request take no longer, and neither does an answer to a ping.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// How often a silent HTTP/2 connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Requests at a time on one connection.
const STREAMS: u32 = 16;
/// Bytes of bodies that a connection may send before anybody reads them.
const WINDOW: u32 = 256 * 1024;
/// After a failure to open the port or to accept; it may have no more files left.
const RETRY: Duration = Duration::from_secs(1);
/// For HTTP/2 the API server asks, for HTTP/1.1 people with curl.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS 1.2 and 1.3 with whatever certificate is served at that moment.
///
/// # Errors
/// If the provider of cryptography lacks what these versions need.
pub(super) fn tls(served: &Served) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(served.resolver());
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Opens the port; tries for ever, because requests must be served without it too.
pub(super) async fn open(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(%address, %error, "the admission port can't be opened; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Serves until told to stop, and then until the requests at hand are answered.
pub(super) async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => note(ended),
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let connection =
                        serve_connection(stream, acceptor.clone(), router.clone(), stop.clone());
                    connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "an admission connection can't be accepted");
                    tokio::time::sleep(RETRY).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admission connection ended by a defect");
    }
}

async fn serve_connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "an admission handshake failed"),
        Err(_) => return tracing::debug!("an admission handshake took too long"),
    };
    if let Err(error) = serve_http(stream, router, stop).await {
        tracing::debug!(%error, "an admission connection ended early");
    }
}

async fn serve_http(
    stream: TlsStream<TcpStream>,
    router: Router,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    // Either is polled on after it was told to end.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        builder.initial_connection_window_size(WINDOW).initial_stream_window_size(WINDOW);
        builder.keep_alive_interval(PING_INTERVAL).keep_alive_timeout(HEADER_DEADLINE);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}
