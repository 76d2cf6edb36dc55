//! A client's socket as hyper sees it: bytes that were read ahead first, and each arrival noted.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::connection::Conn;

/// A client's socket.
#[derive(Debug)]
pub(crate) struct ClientIo {
    inner: hyper_util::rt::TokioIo<TcpStream>,
    ahead: Bytes,
    conn: Rc<Conn>,
    /// The socket took not all of the last answer.
    stuck: bool,
}

impl ClientIo {
    /// `ahead` has been read already.
    pub(crate) fn new(stream: TcpStream, ahead: Bytes, conn: Rc<Conn>) -> Self {
        Self { inner: hyper_util::rt::TokioIo::new(stream), ahead, conn, stuck: false }
    }

    /// Puts bytes back that have been read, but not as HTTP.
    pub(crate) fn preceded_by(mut self, bytes: Bytes) -> Self {
        self.ahead = match self.ahead.is_empty() {
            true => bytes,
            false => [bytes, self.ahead].concat().into(),
        };
        self
    }
}

/// Whether something is there to be read, of which the runtime may not know yet. Closing over it
/// would reset the connection under a request.
pub(crate) fn has_arrived(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    SockRef::from(stream).peek(&mut byte).is_ok_and(|count| count > 0)
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
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if polled.is_ready() {
            this.conn.arrived();
        } else if this.conn.is_leaving() && !this.stuck && !has_arrived(this.inner.inner()) {
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
        self.stuck = polled.is_pending();
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.inner_mut()).poll_flush(cx)
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
        self.stuck = polled.is_pending();
        polled
    }
}
