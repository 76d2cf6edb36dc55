//! A connection that has been switched to another protocol: bytes both ways until both sides have
//! ended, or nothing has moved for too long.
//!
//! The exchange goes on for as long: what moves is counted on it, its idle limit holds, and it is
//! logged at the end. A drain waits for it until the deadline.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::error::Flag;
use super::exchange::{Exchange, Finish};
use super::upstream::open::within;
use super::upstream::target::Lease;
use crate::model::policy::RoutePolicy;

/// Bytes that wait in each direction.
const BUFFER: usize = 16 * 1024;

/// A tunnel that begins when the client has got its answer.
#[derive(Debug)]
pub(crate) struct Tunnel {
    upstream: OnUpgrade,
    // Not given back: the connection is no longer HTTP's. It goes on counting against its cluster's
    // limits.
    _lease: Lease,
    /// The stream of an HTTP/2 client.
    stream: Option<OnUpgrade>,
    finish: Option<Finish>,
}

impl Tunnel {
    /// One to `upstream`. The route's time no longer counts: the answer is there.
    pub(crate) fn new(
        upstream: OnUpgrade,
        lease: Lease,
        stream: Option<OnUpgrade>,
        exchange: &Exchange,
    ) -> Box<Self> {
        exchange.timeout.set(None);
        exchange.timing.arm(exchange.worker.timers.at(Instant::now()), None);
        Box::new(Self { upstream, _lease: lease, stream, finish: None })
    }

    /// Begins it as soon as the client has its answer, on the client's connection or stream.
    pub(crate) fn begin(mut self: Box<Self>, finish: Finish) {
        let conn = Rc::clone(&finish.0.conn);
        self.finish = Some(finish);
        match self.stream.take() {
            None => *conn.tunnel.borrow_mut() = Some(self),
            Some(stream) => {
                tokio::task::spawn_local(async move {
                    // Without a stream the client has gone away, as the log will say.
                    if let Ok(client) = stream.await {
                        self.run(TokioIo::new(client)).await;
                    }
                });
            }
        }
    }

    /// Moves bytes until it ends.
    pub(crate) async fn run<C>(mut self: Box<Self>, client: C)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(finish) = self.finish.take() else { return };
        let exchange = &finish.0;
        let upstream = &mut self.upstream;
        let moving = within(exchange, async {
            let upstream = upstream.await.map_err(io::Error::other)?;
            let mut client = Counted { inner: client, exchange };
            let mut upstream = TokioIo::new(upstream);
            copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await
        });
        match moving.await {
            Ok(Ok(_)) => exchange.response_done.set(true),
            Ok(Err(_)) if exchange.flag.get().is_none() => {
                exchange.flag.set(Some(Flag::UpstreamReset));
            }
            Ok(Err(_)) => {}
            Err(failure) => exchange.fail(failure),
        }
    }
}

/// The client's side, where all bytes of both directions come by.
struct Counted<'a, C> {
    inner: C,
    exchange: &'a Exchange,
}

impl<C> Counted<'_, C> {
    /// One side has ended. The other may take its time, but not for ever: it may be gone.
    fn half_ended(&self) {
        self.exchange.touch();
        self.exchange.timing.cap_idle(RoutePolicy::IDLE_TIMEOUT);
    }

    fn failed(&self) {
        self.exchange.flag.set(Some(Flag::DownstreamReset));
        self.exchange.details.set("downstream_remote_disconnect");
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Counted<'_, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        let count = (buffer.filled().len() - before) as u64;
        match &polled {
            Err(_) => self.failed(),
            Ok(()) if count == 0 => self.half_ended(),
            Ok(()) => {
                let exchange = self.exchange;
                exchange.received.set(exchange.received.get() + count);
                exchange.touch();
            }
        }
        Poll::Ready(polled)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Counted<'_, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer));
        match &polled {
            Err(_) => self.failed(),
            Ok(count) => {
                let exchange = self.exchange;
                exchange.sent.set(exchange.sent.get() + *count as u64);
                exchange.touch();
            }
        }
        Poll::Ready(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half_ended();
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
