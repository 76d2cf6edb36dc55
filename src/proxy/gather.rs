//! Reads requests whole before they go on (Emissary's `buffer`).

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::body::RequestBody;
use super::error::{Failure, Flag};
use super::exchange::Exchange;
use super::upstream::open::within;

/// A request's body that is here.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// What of it is left to send.
    pub(crate) data: Option<Bytes>,
    /// Its trailers.
    pub(crate) trailers: Option<HeaderMap>,
}

/// Reads a body of up to `limit` bytes, and gives its length a header where it had none.
pub(crate) async fn gather(
    incoming: Incoming,
    limit: usize,
    headers: &mut HeaderMap,
    exchange: &Rc<Exchange>,
) -> Result<RequestBody, Failure> {
    if incoming.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    // One that can't fit is not waited for.
    if incoming.size_hint().lower() > limit as u64 {
        return Err(Failure::TooLarge);
    }
    exchange.worker.timers.insert(exchange);
    let gathered = within(exchange, read(incoming, limit, exchange)).await??;
    exchange.touch();
    if gathered.trailers.is_none() {
        let length = gathered.data.as_ref().map_or(0, Bytes::len);
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(RequestBody::Gathered(gathered))
}

async fn read(
    mut incoming: Incoming,
    limit: usize,
    exchange: &Exchange,
) -> Result<Gathered, Failure> {
    let mut data = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            exchange.flag.set(Some(Flag::DownstreamReset));
            return Err(Failure::RequestBody);
        };
        exchange.touch();
        match frame.into_data() {
            Ok(piece) => {
                if data.len() + piece.len() > limit {
                    return Err(Failure::TooLarge);
                }
                exchange.received.set(exchange.received.get() + piece.len() as u64);
                data.extend_from_slice(&piece);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let data = (!data.is_empty()).then(|| data.freeze());
    Ok(Gathered { data, trailers })
}
