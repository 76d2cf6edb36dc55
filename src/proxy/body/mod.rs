//! The bodies on their way: streamed, counted, watched, and gathered only where a request may have
//! to be sent again.

mod response;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

pub(crate) use self::response::ResponseBody;
use super::error::{BodyError, Failure, Flag};
use super::exchange::Exchange;
use super::filters::grpc_web::TextDecoder;
use super::gather::Gathered;
use super::kept::Again;
use super::mirror::{CopyBody, Watched};

/// A request's body on its way upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None: the request can be sent again.
    Empty,
    /// What the client has sent.
    Gathered(Gathered),
    /// What the client sends.
    Streaming(Incoming, Rc<Exchange>),
    /// What is sent, copied on its way.
    Watched(Box<Watched>),
    /// A copy of what another request sends.
    Copy(CopyBody, Rc<Exchange>),
    /// What the client sends in base64.
    Text(Incoming, Rc<Exchange>, TextDecoder),
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

    /// The body whose base64 is taken off on the way.
    pub(crate) fn decoded(self) -> Self {
        match self {
            Self::Streaming(incoming, exchange) => {
                Self::Text(incoming, exchange, TextDecoder::default())
            }
            other => other,
        }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The same body, such that it can be had [`again`](Self::again) as long as it is short.
    pub(crate) fn keep(self) -> Self {
        match self {
            Self::Empty | Self::Kept(_) => self,
            _ => Self::Kept(Again::new(self)),
        }
    }

    /// The body from its beginning. As soon as that is read, this one ends. `None` where too much
    /// has gone through it, or it was never kept.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Kept(kept) => kept.again().map(Self::Kept),
            _ => None,
        }
    }

    /// Whether all of it is here.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Empty | Self::Gathered(_))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Gathered(gathered) => {
                let data = gathered.data.take().map(Frame::data);
                let frame = data.or_else(|| gathered.trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Self::Kept(kept) => kept.poll(cx),
            Self::Streaming(incoming, exchange) => poll_client(incoming, exchange, cx),
            Self::Watched(watched) => watched.poll(cx),
            Self::Copy(copy, exchange) => copy.poll(exchange, cx),
            Self::Text(incoming, exchange, decoder) => poll_text(incoming, exchange, decoder, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Gathered(gathered) => gathered.data.is_none() && gathered.trailers.is_none(),
            Self::Streaming(incoming, _) => incoming.is_end_stream(),
            Self::Watched(watched) => watched.body.is_end_stream(),
            Self::Copy(_, exchange) => exchange.request_done.get(),
            Self::Text(..) => false,
            Self::Kept(kept) => kept.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Gathered(gathered) => {
                SizeHint::with_exact(gathered.data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Streaming(incoming, _) => incoming.size_hint(),
            Self::Watched(watched) => watched.body.size_hint(),
            Self::Copy(..) | Self::Text(..) => SizeHint::default(),
            Self::Kept(kept) => kept.size_hint(),
        }
    }
}

/// What the client sends, counted and watched.
fn poll_client(
    incoming: &mut Incoming,
    exchange: &Exchange,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
            exchange.body_waker.borrow_mut().take();
            // After the last byte that was announced nobody asks again.
            if incoming.is_end_stream() || incoming.size_hint().exact() == Some(0) {
                exchange.end_request();
            }
            Poll::Ready(Some(Ok(frame)))
        }
    }
}

/// The same without its base64. Trailers are nothing that gRPC-Web's clients send.
fn poll_text(
    incoming: &mut Incoming,
    exchange: &Exchange,
    decoder: &mut TextDecoder,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let decoded = loop {
        match ready!(poll_client(incoming, exchange, cx)) {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                match decoder.data(&data) {
                    Ok(bytes) if bytes.is_empty() => {}
                    other => break other.map(Some),
                }
            }
            None => break decoder.finish().map(|()| None),
            error => return Poll::Ready(error),
        }
    };
    Poll::Ready(match decoded {
        Ok(bytes) => bytes.map(|bytes| Ok(Frame::data(bytes))),
        Err(_) => {
            exchange.flag.set(Some(Flag::DownstreamReset));
            Some(Err(BodyError::Invalid(Failure::RequestBody)))
        }
    })
}
