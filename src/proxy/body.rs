//! The bodies on their way: streamed, counted, watched, never gathered.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::coding::Coder;
use super::error::{BodyError, Flag};
use super::exchange::{Exchange, Finish};
use super::gather::Gathered;
use super::upstream::target::Lease;

/// A request's body on its way upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None: the request can be sent again.
    Empty,
    /// What the client has sent.
    Gathered(Gathered),
    /// What the client sends.
    Streaming(Incoming, Rc<Exchange>),
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
        let (incoming, exchange) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Gathered(gathered) => {
                let data = gathered.data.take().map(Frame::data);
                let frame = data.or_else(|| gathered.trailers.take().map(Frame::trailers));
                return Poll::Ready(frame.map(Ok));
            }
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
            Self::Gathered(gathered) => gathered.data.is_none() && gathered.trailers.is_none(),
            Self::Streaming(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Gathered(gathered) => {
                SizeHint::with_exact(gathered.data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Streaming(incoming, _) => incoming.size_hint(),
        }
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    coded: Option<Box<Coded>>,
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
        Self { source: Source::Text((!text.is_empty()).then_some(text)), coded: None, finish: None }
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
        Self { source: Source::Upstream(incoming, lease), coded: None, finish: None }
    }

    /// Compresses what is still to come, which is all of it.
    pub(crate) fn compress(&mut self, coder: Coder) {
        self.coded = Some(Box::new(Coded { coder, ended: false, trailers: None }));
    }

    /// Ends the exchange with this body.
    pub(crate) fn finish_with(&mut self, finish: Finish) {
        if self.is_end_stream() || finish.0.method == http::Method::HEAD {
            finish.0.response_done.set(true);
        }
        self.finish = Some(finish);
    }
}

/// A frame, or the end, and whether nothing comes after it.
type Polled = Poll<(Option<Result<Frame<Bytes>, BodyError>>, bool)>;

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>, exchange: Option<&Exchange>) -> Polled {
        let (incoming, lease) = match self {
            Self::Text(text) => {
                return Poll::Ready((text.take().map(|text| Ok(Frame::data(text))), true));
            }
            Self::Upstream(incoming, lease) => (incoming, lease),
        };
        if let Some(exchange) = exchange {
            if let Some(failure) = exchange.timing.expired() {
                exchange.fail(failure);
                exchange.worker.count_timeout(exchange, failure);
                return Poll::Ready((Some(Err(BodyError::Expired(failure))), true));
            }
            exchange.timing.register(cx.waker());
        }
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(BodyError::Transport));
        // After trailers nobody asks again.
        let trailers = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
        let ended = frame.is_none() || trailers || incoming.is_end_stream();
        if ended && let Some(lease) = lease.take() {
            lease.give_back(exchange.is_none_or(|one| one.request_done.get()));
        }
        Poll::Ready((frame, ended))
    }
}

/// What stands between the source and the client where the answer is compressed.
#[derive(Debug)]
struct Coded {
    coder: Coder,
    ended: bool,
    trailers: Option<Frame<Bytes>>,
}

impl Coded {
    fn poll(
        &mut self,
        source: &mut Source,
        cx: &mut Context<'_>,
        exchange: Option<&Exchange>,
    ) -> Polled {
        if self.ended {
            return Poll::Ready((self.trailers.take().map(Ok), true));
        }
        loop {
            let (frame, ended) = match source.poll(cx, exchange) {
                Poll::Ready(polled) => polled,
                // The upstream pauses: the client gets what there is.
                Poll::Pending => match self.coder.flush() {
                    Ok(None) => return Poll::Pending,
                    flushed => return self.give(flushed),
                },
            };
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Err(error)) => return Poll::Ready((Some(Err(error)), true)),
                Some(Ok(Ok(data))) => Some(data),
                Some(Ok(Err(trailers))) => {
                    self.trailers = Some(trailers);
                    None
                }
                None => None,
            };
            let written = data.map_or(Ok(None), |data| self.coder.write(&data));
            self.ended = ended;
            let given = match (ended, written) {
                (false, Ok(None)) => continue,
                (true, Ok(before)) => self.coder.finish().map(|rest| join(before, rest)),
                (_, written) => written,
            };
            return self.give(given);
        }
    }

    fn give(&mut self, given: io::Result<Option<Bytes>>) -> Polled {
        let ended = self.ended && self.trailers.is_none();
        match given {
            Ok(Some(data)) => Poll::Ready((Some(Ok(Frame::data(data))), ended)),
            Ok(None) => Poll::Ready((self.trailers.take().map(Ok), true)),
            Err(error) => Poll::Ready((Some(Err(BodyError::Coding(error))), true)),
        }
    }
}

fn join(a: Option<Bytes>, b: Option<Bytes>) -> Option<Bytes> {
    match (a, b) {
        (Some(a), Some(b)) => Some([a, b].concat().into()),
        (a, b) => a.or(b),
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
        let polled = match &mut this.coded {
            None => this.source.poll(cx, exchange),
            Some(coded) => coded.poll(&mut this.source, cx, exchange),
        };
        let (frame, ended) = ready!(polled);
        if let Some(exchange) = exchange {
            match &frame {
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                    exchange.sent.set(exchange.sent.get() + length);
                    exchange.touch();
                    exchange.response_done.set(ended);
                }
                // Why its time is over has been told.
                Some(Err(BodyError::Expired(_))) => {}
                Some(Err(_)) => exchange.flag.set(Some(Flag::UpstreamReset)),
                None => exchange.response_done.set(true),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        if let Some(coded) = &self.coded {
            return coded.ended && coded.trailers.is_none();
        }
        match &self.source {
            Source::Text(text) => text.is_none(),
            Source::Upstream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.coded.is_some() {
            return SizeHint::default();
        }
        match &self.source {
            Source::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Source::Upstream(incoming, _) => incoming.size_hint(),
        }
    }
}
