//! A handshake, from a client's first byte of TLS to a stream of its plaintext.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// A client's stream inside TLS.
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<Raw>;

/// Bytes that rustls keeps for a client that doesn't read: one record, and what stays is hyper's
/// to hold back.
const BUFFER_LIMIT: usize = 16 * 1024;

/// How much is read of a client that was refused until it hangs up: a request's head, and the
/// beginning of its body.
const MAX_UNREAD: u64 = 64 * 1024;

/// RFC 5246 section 7.2, RFC 6066 section 3: a fatal alert, `unrecognized_name`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// The same, `internal_error`.
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// A client's socket under TLS. What was read ahead comes first; until the handshake begins all
/// that is read is kept, for those who get it unread.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    ahead: Vec<u8>,
    at: usize,
    keeps: bool,
    /// Bytes have come that no plaintext has come of yet.
    pub(crate) is_amid: bool,
}

impl Raw {
    fn new(stream: TcpStream, ahead: Vec<u8>) -> Self {
        Self { stream, ahead, at: 0, keeps: true, is_amid: false }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.ahead[this.at..];
        if !rest.is_empty() {
            let length = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..length]);
            this.at += length;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let new = &buffer.filled()[before..];
        this.is_amid |= !new.is_empty();
        if this.keeps {
            this.ahead.extend_from_slice(new);
            this.at = this.ahead.len();
        }
        polled
    }
}

impl AsyncWrite for Raw {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A client that has said hello and waits for an answer.
pub(crate) struct Greeting(StartHandshake<Raw>);

impl Greeting {
    /// The name that the client asks for, in lower case.
    pub(crate) fn server_name(&self) -> Option<Arc<str>> {
        self.0.client_hello().server_name().map(|name| name.to_ascii_lowercase().into())
    }

    /// The socket, and all bytes that the client has sent: for who gets them unread.
    pub(crate) fn into_unread(self) -> (TcpStream, Vec<u8>) {
        let Raw { stream, ahead, .. } = self.0.io;
        (stream, ahead)
    }
}

/// Reads a ClientHello, however many pieces it comes in. rustls bounds its size; the worker's
/// sweep bounds the time.
pub(crate) async fn greet(stream: TcpStream, ahead: Vec<u8>) -> io::Result<Greeting> {
    let raw = Raw::new(stream, ahead);
    LazyConfigAcceptor::new(Acceptor::default(), raw).await.map(Greeting)
}

/// A client whose handshake failed. It has been sent an alert.
pub(crate) struct Refused {
    /// Why.
    pub(crate) error: io::Error,
    raw: Raw,
}

impl Refused {
    /// Parts from it.
    pub(crate) async fn part(self) {
        part(self.raw.stream).await;
    }
}

/// Does the rest of the handshake.
pub(crate) async fn accept(
    greeting: Greeting,
    config: Arc<ServerConfig>,
) -> Result<TlsStream, Refused> {
    let Greeting(mut start) = greeting;
    // rustls has what was read; nobody else will want it.
    start.io.keeps = false;
    start.io.ahead = Vec::new();
    start.io.at = 0;
    let limit = |conn: &mut rustls::ServerConnection| conn.set_buffer_limit(Some(BUFFER_LIMIT));
    let accepted = start.into_stream_with(config, limit).into_fallible().await;
    let mut stream = accepted.map_err(|(error, raw)| Refused { error, raw })?;
    stream.get_mut().0.is_amid = false;
    Ok(stream)
}

/// Parts from a client that asks for a name that nothing is served under, or whose TLS can't be
/// served.
pub(crate) async fn refuse(greeting: Greeting, is_known: bool) {
    let (mut stream, _) = greeting.into_unread();
    let alert = if is_known { INTERNAL_ERROR } else { UNRECOGNIZED_NAME };
    // It may be gone already.
    let _ = stream.write_all(&alert).await;
    part(stream).await;
}

/// Ends a connection so that the client can read the alert. In TLS 1.3 it takes its handshake for
/// done before it hears that its certificate won't do, and sends a request: to close on that would
/// reset the connection, alert and all. The worker's sweep bounds the time.
async fn part(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = stream.take(MAX_UNREAD);
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
}
