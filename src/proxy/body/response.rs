//! A response's body: as the upstream sends it, compressed, or translated for gRPC-Web.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::proxy::coding::Coder;
use crate::proxy::error::{BodyError, Failure, Flag};
use crate::proxy::exchange::{Exchange, Finish};
use crate::proxy::filters::grpc_web::Encoder;
use crate::proxy::upstream::open::within;
use crate::proxy::upstream::target::Lease;

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
            if exchange.worker.pauses() {
                return Poll::Pending;
            }
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
        let Poll::Ready((frame, ended)) = polled else {
            // It is the upstream that is waited for.
            exchange.inspect(|exchange| exchange.offered.set(false));
            return Poll::Pending;
        };
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
                    exchange.offered.set(true);
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
