//! A client's stream as hyper sees it: bytes that were read ahead first, and each arrival noted.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Conn;
use super::pieces::poll_write_pieces;
use super::tls::TlsStream;

/// A client's stream, in cleartext or inside TLS.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The socket itself.
    Plain(TcpStream),
    /// Inside TLS. Boxed: what most connections don't have they don't pay for.
    Tls(Box<TlsStream>),
}

impl Transport {
    /// The socket under it.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0.socket(),
        }
    }

    /// Whether something is there to be read, of which the runtime may not know yet. Closing over
    /// it would reset the connection under a request.
    pub(crate) fn has_arrived(&self) -> bool {
        match self {
            Self::Plain(stream) => has_arrived(stream),
            Self::Tls(stream) => {
                let (raw, _) = stream.get_ref();
                raw.is_amid || has_arrived(raw.socket())
            }
        }
    }
}

/// See [`Transport::has_arrived`].
pub(crate) fn has_arrived(socket: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    SockRef::from(socket).peek(&mut byte).is_ok_and(|count| count > 0)
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => {
                let polled = Pin::new(&mut **stream).poll_read(cx, buffer);
                if polled.is_ready() {
                    stream.get_mut().0.is_amid = false;
                }
                polled
            }
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => poll_write_pieces(stream, cx, buffers),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A client's stream for hyper.
#[derive(Debug)]
pub(crate) struct ClientIo {
    inner: TokioIo<Transport>,
    ahead: Bytes,
    conn: Rc<Conn>,
}

impl ClientIo {
    /// `ahead` has been read already.
    pub(crate) fn new(stream: Transport, ahead: Bytes, conn: Rc<Conn>) -> Self {
        Self { inner: TokioIo::new(stream), ahead, conn }
    }

    /// Returns when there may be something to read, or the connection is to end. To be asked of a
    /// stream that had nothing to read: it looks at the socket, not at what TLS has made of it.
    pub(crate) async fn stirs(&self) {
        poll_fn(|cx| {
            if self.conn.leaving.get() {
                return Poll::Ready(());
            }
            self.conn.wake_with(cx);
            // An error is told by the read that follows.
            self.inner.inner().socket().poll_read_ready(cx).map(drop)
        })
        .await;
    }

    /// Puts bytes back that have been read, but not as HTTP.
    pub(crate) fn preceded_by(mut self, bytes: &[u8]) -> Self {
        if !bytes.is_empty() {
            self.ahead = [bytes, &self.ahead].concat().into();
        }
        self
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.has_remaining() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            if self.ahead.is_empty() {
                // Else its buffer would stay as long as the connection.
                self.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if polled.is_ready() {
            this.conn.arrived();
        } else if this.conn.is_leaving()
            && !this.conn.stuck.get()
            && !this.inner.inner().has_arrived()
        {
            // No bytes: an end.
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.inner.inner_mut()).poll_write(cx, buffer);
        self.conn.stuck.set(polled.is_pending());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(self.inner.inner_mut()).poll_flush(cx);
        self.conn.stuck.set(polled.is_pending());
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.inner_mut()).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.inner.inner_mut()).poll_write_vectored(cx, buffers);
        self.conn.stuck.set(polled.is_pending());
        polled
    }
}
