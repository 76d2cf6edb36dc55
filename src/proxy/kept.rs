//! A request's body that can be sent again, as long as it is short.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::body::RequestBody;
use super::error::BodyError;

/// Bytes of a body that are kept. A longer one goes out once (Envoy: the route's buffer limit,
/// 1 MiB, which a thousand clients turn into a gigabyte).
const MAX_KEPT: usize = 64 * 1024;

/// One reading of a kept body.
#[derive(Debug)]
pub(crate) struct Again {
    kept: Rc<Kept>,
    // Readings are numbered; a later one that has begun ends those before it.
    number: u32,
    at: usize,
}

#[derive(Debug)]
struct Kept {
    source: RefCell<RequestBody>,
    pieces: RefCell<Vec<Piece>>,
    hint: SizeHint,
    bytes: Cell<usize>,
    /// More than is kept has gone by: only the reading that saw it can go on.
    overflowed: Cell<bool>,
    ended: Cell<bool>,
    newest: Cell<u32>,
    reading: Cell<u32>,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Again {
    /// The first reading of `source`.
    pub(super) fn new(source: RequestBody) -> Self {
        let kept = Kept {
            hint: source.size_hint(),
            source: RefCell::new(source),
            pieces: RefCell::default(),
            bytes: Cell::new(0),
            overflowed: Cell::new(false),
            ended: Cell::new(false),
            newest: Cell::new(0),
            reading: Cell::new(0),
        };
        Self { kept: Rc::new(kept), number: 0, at: 0 }
    }

    /// Another reading from the beginning, if there is still a beginning.
    pub(super) fn again(&self) -> Option<Self> {
        if self.kept.overflowed.get() {
            return None;
        }
        let number = self.kept.newest.get() + 1;
        self.kept.newest.set(number);
        Some(Self { kept: Rc::clone(&self.kept), number, at: 0 })
    }

    /// See [`Body::poll_frame`].
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let kept = &*self.kept;
        let reading = kept.reading.get();
        if self.number < reading || (self.number > reading && kept.overflowed.get()) {
            return Poll::Ready(Some(Err(BodyError::Finished)));
        }
        kept.reading.set(self.number);
        if let Some(piece) = kept.pieces.borrow().get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(match piece {
                Piece::Data(bytes) => Frame::data(bytes.clone()),
                Piece::Trailers(trailers) => Frame::trailers(trailers.clone()),
            })));
        }
        if kept.ended.get() {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut *kept.source.borrow_mut()).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        match &frame {
            None => kept.ended.set(true),
            Some(Ok(frame)) => {
                self.at += 1;
                kept.take_in(frame);
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    /// See [`Body::is_end_stream`].
    pub(super) fn is_end_stream(&self) -> bool {
        let unread = self.at < self.kept.pieces.borrow().len();
        !unread && (self.kept.ended.get() || self.kept.source.borrow().is_end_stream())
    }

    /// See [`Body::size_hint`]: right for a reading that hasn't begun, which is when it is asked.
    pub(super) fn size_hint(&self) -> SizeHint {
        if self.at == 0 { self.kept.hint } else { SizeHint::default() }
    }
}

impl Kept {
    fn take_in(&self, frame: &Frame<Bytes>) {
        if self.overflowed.get() {
            return;
        }
        let mut pieces = self.pieces.borrow_mut();
        if let Some(data) = frame.data_ref() {
            self.bytes.set(self.bytes.get() + data.len());
            if self.bytes.get() > MAX_KEPT {
                self.overflowed.set(true);
                pieces.clear();
                return;
            }
            pieces.push(Piece::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            pieces.push(Piece::Trailers(trailers.clone()));
        }
    }
}
