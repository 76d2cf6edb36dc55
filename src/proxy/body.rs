//! The bodies on their way: streamed, counted, watched, and gathered only where a request may have
//! to be sent again.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::{BodyError, Flag};
use super::exchange::{Exchange, Finish};
use super::kept::Again;
use super::upstream::target::Lease;

/// A request's body on its way upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None: the request can be sent again.
    Empty,
    /// What the client sends.
    Streaming(Incoming, Rc<Exchange>),
    /// The same, kept so that it can be sent again.
    Kept(Again),
}

impl RequestBody {
    /// The body that goes upstream for the client's.
    pub(crate) fn new(incoming: Incoming, exchange: &Rc<Exchange>) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streaming(incoming, Rc::clone(exchange))
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The same body, such that it can be had [`again`](Self::again) as long as it is short.
    pub(crate) fn keep(self) -> Self {
        match self {
            Self::Streaming(..) => Self::Kept(Again::new(self)),
            Self::Empty | Self::Kept(_) => self,
        }
    }

    /// The body from its beginning. As soon as that is read, this one ends. `None` where too much
    /// has gone through it, or it was never kept.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Streaming(..) => None,
            Self::Kept(kept) => kept.again().map(Self::Kept),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (incoming, exchange) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Kept(kept) => return kept.poll(cx),
            Self::Streaming(incoming, exchange) => (incoming, exchange),
        };
        if exchange.finished.get() {
            return Poll::Ready(Some(Err(BodyError::Finished)));
        }
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => {
                *exchange.body_waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(None) => {
                exchange.end_request();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                exchange.flag.set(Some(Flag::DownstreamReset));
                Poll::Ready(Some(Err(BodyError::Transport(error))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    exchange.received.set(exchange.received.get() + data.len() as u64);
                }
                exchange.touch();
                if incoming.is_end_stream() {
                    exchange.end_request();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(incoming, _) => incoming.is_end_stream(),
            Self::Kept(kept) => kept.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(incoming, _) => incoming.size_hint(),
            Self::Kept(kept) => kept.size_hint(),
        }
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    // Declared last: the lease goes back before the exchange is logged.
    finish: Option<Finish>,
}

#[derive(Debug)]
enum Source {
    /// The gateway's own text.
    Text(Option<Bytes>),
    /// What the upstream sends, and the connection that it comes from.
    Upstream(Incoming, Option<Lease>),
}

impl ResponseBody {
    /// A text of the gateway's own.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { source: Source::Text((!text.is_empty()).then_some(text)), finish: None }
    }

    /// The upstream's body; `lease` goes back when it has ended. `clean` says that the request
    /// has ended already.
    pub(crate) fn upstream(incoming: Incoming, lease: Lease, clean: bool) -> Self {
        let lease = if incoming.is_end_stream() {
            lease.give_back(clean);
            None
        } else {
            Some(lease)
        };
        Self { source: Source::Upstream(incoming, lease), finish: None }
    }

    /// Ends the exchange with this body.
    pub(crate) fn finish_with(&mut self, finish: Finish) {
        if self.is_end_stream() || finish.0.method == http::Method::HEAD {
            finish.0.response_done.set(true);
        }
        self.finish = Some(finish);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let exchange = this.finish.as_ref().map(|finish| &*finish.0);
        let (frame, ended) = match &mut this.source {
            Source::Text(text) => (text.take().map(|text| Ok(Frame::data(text))), true),
            Source::Upstream(incoming, lease) => {
                if let Some(exchange) = exchange {
                    if let Some(failure) = exchange.timing.expired() {
                        exchange.fail(failure);
                        exchange.worker.count_timeout(exchange, failure);
                        return Poll::Ready(Some(Err(BodyError::Expired(failure))));
                    }
                    exchange.timing.register(cx.waker());
                }
                let frame = match Pin::new(&mut *incoming).poll_frame(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(frame) => frame.map(|frame| frame.map_err(BodyError::Transport)),
                };
                // After trailers nobody asks again.
                let trailers = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
                let ended = frame.is_none() || trailers || incoming.is_end_stream();
                if ended && let Some(lease) = lease.take() {
                    lease.give_back(exchange.is_none_or(|one| one.request_done.get()));
                }
                (frame, ended)
            }
        };
        if let Some(exchange) = exchange {
            match &frame {
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                    exchange.sent.set(exchange.sent.get() + length);
                    exchange.touch();
                    exchange.response_done.set(ended);
                }
                Some(Err(_)) => exchange.flag.set(Some(Flag::UpstreamReset)),
                None => exchange.response_done.set(true),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Text(text) => text.is_none(),
            Source::Upstream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Source::Upstream(incoming, _) => incoming.size_hint(),
        }
    }
}
