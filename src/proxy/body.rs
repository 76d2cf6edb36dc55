//! The bodies on their way: streamed, counted, watched, and gathered only where a request may have
//! to be sent again.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::coding::Coder;
use super::error::{BodyError, Failure, Flag};
use super::exchange::{Exchange, Finish};
use super::filters::grpc_web::{Encoder, TextDecoder};
use super::gather::Gathered;
use super::kept::Again;
use super::mirror::{CopyBody, Watched};
use super::upstream::open::within;
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

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    /// What translates it for a gRPC-Web client.
    encoder: Option<Encoder>,
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
        Self::of(Source::Text((!text.is_empty()).then_some(text)))
    }

    fn of(source: Source) -> Self {
        Self { source, encoder: None, coded: None, finish: None }
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
        Self::of(Source::Upstream(incoming, lease))
    }

    /// The body as a gRPC-Web client gets it.
    pub(crate) fn encoded(mut self, encoder: Encoder) -> Self {
        self.encoder = Some(encoder);
        self
    }

    /// All of it, with its trailers, in so far as it has `limit` bytes at most.
    pub(crate) async fn collect(
        self,
        exchange: &Exchange,
        limit: usize,
    ) -> Result<(Bytes, Option<HeaderMap>), Failure> {
        let (mut incoming, lease) = match self.source {
            Source::Text(text) => return Ok((text.unwrap_or_default(), None)),
            Source::Upstream(incoming, lease) => (incoming, lease),
        };
        let (mut all, mut trailers) = (BytesMut::new(), None);
        while let Some(frame) = within(exchange, incoming.frame()).await? {
            exchange.touch();
            match frame.map_err(|_| Failure::UpstreamReset)?.into_data() {
                Ok(data) if all.len() + data.len() > limit => return Err(Failure::AnswerTooLarge),
                Ok(data) => all.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if let Some(lease) = lease {
            lease.give_back(exchange.request_done.get());
        }
        Ok((all.freeze(), trailers))
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
        let frame = match &this.encoder {
            Some(encoder) => frame.map(|frame| frame.map(|frame| encode(frame, encoder))),
            None => frame,
        };
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
            Source::Upstream(..) if self.encoder.is_some() => SizeHint::default(),
            Source::Upstream(incoming, _) => incoming.size_hint(),
        }
    }
}

fn encode(frame: Frame<Bytes>, encoder: &Encoder) -> Frame<Bytes> {
    match frame.into_data() {
        Ok(data) => Frame::data(encoder.data(data)),
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => Frame::data(encoder.trailers(&trailers)),
            Err(frame) => frame,
        },
    }
}
