//! Copies of requests for those who are to see them without answering (Mapping's `shadow`).
//!
//! A copy never holds up its request: it has its own connection and limits, its body is what the
//! request's reader has read, and where it can't keep up it is given up. Its answer is dropped.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, header, request};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;

use super::body::RequestBody;
use super::error::{BodyError, Failure};
use super::exchange::Exchange;
use super::upstream::connect::{Wish, exchange_with};
use super::upstream::open::within;
use super::upstream::target::Target;
use crate::model::cluster::Cluster;
use crate::model::policy::RoutePolicy;

/// Copies that one worker has under way at once; requests beyond that aren't copied.
const MAX_COPIES: u32 = 256;

/// Bytes of a body that may wait for a copy's upstream.
const MAX_WAITING: usize = 256 * 1024;

/// Bytes of an answer that are read for the sake of its connection.
const MAX_ANSWER: usize = 1024 * 1024;

/// Begins a copy of a request as it goes upstream. What comes back takes the body's frames.
pub(crate) fn begin(
    exchange: &Exchange,
    head: &request::Parts,
    body: &RequestBody,
    cluster: &Arc<Cluster>,
    policy: &RoutePolicy,
) -> Option<CopySender> {
    let worker = &exchange.worker;
    if worker.copies.get() >= MAX_COPIES {
        return None;
    }
    worker.copies.set(worker.copies.get() + 1);
    let parts = copy_head(head);
    let own = Rc::new(Exchange::new(worker, &exchange.conn, &parts));
    own.timeout.set(policy.timeout());
    own.timing.set_idle(policy.idle_timeout());
    worker.timers.insert(&own);
    let copying = Copying(Rc::clone(&own));
    let (sender, body) = if body.is_empty() {
        own.end_request();
        (None, RequestBody::Empty)
    } else {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let body = RequestBody::Copy(CopyBody(Rc::clone(&queue)), own);
        (Some(CopySender(queue)), body)
    };
    let target = worker.upstreams.target(cluster);
    let request = Request::from_parts(parts, body);
    tokio::task::spawn_local(async move { send(&copying.0, &target, request).await });
    sender
}

/// Sends a copy, and reads its answer for nobody.
async fn send(exchange: &Rc<Exchange>, target: &Rc<Target>, request: Request<RequestBody>) {
    target.stats.begin();
    let began = Instant::now();
    match exchange_with(exchange, target, Wish::default(), request).await {
        Ok(mut answered) => {
            target.stats.finish(answered.response.status().as_u16(), began.elapsed());
            let body = answered.response.body_mut();
            let mut read = 0;
            while read <= MAX_ANSWER {
                match within(exchange, body.frame()).await {
                    Ok(Some(Ok(frame))) => {
                        read += frame.data_ref().map_or(0, Bytes::len);
                        exchange.touch();
                    }
                    Ok(None) => return answered.lease.give_back(exchange.request_done.get()),
                    Ok(Some(Err(_))) | Err(_) => return,
                }
            }
        }
        Err(failure) => {
            if failure == Failure::Timeout {
                target.stats.timed_out();
            }
            target.stats.finish(failure.status().as_u16(), began.elapsed());
        }
    }
}

/// The head of a copy: the same, but that its host ends in `-shadow`, as Envoy's does.
fn copy_head(head: &request::Parts) -> request::Parts {
    let mut parts = Request::new(()).into_parts().0;
    parts.method.clone_from(&head.method);
    parts.uri.clone_from(&head.uri);
    parts.version = head.version;
    parts.headers.clone_from(&head.headers);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(shadow_host(host)).ok()) {
        parts.headers.insert(header::HOST, host);
    }
    parts
}

fn shadow_host(host: &str) -> String {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address stand before its bracket.
        Some((name, port)) if !port.ends_with(']') => format!("{name}-shadow:{port}"),
        _ => format!("{host}-shadow"),
    }
}

/// Ends a copy's exchange, which no log tells of.
struct Copying(Rc<Exchange>);

impl Drop for Copying {
    fn drop(&mut self) {
        let worker = &self.0.worker;
        self.0.finished.set(true);
        worker.timers.remove(&self.0);
        worker.copies.set(worker.copies.get().saturating_sub(1));
    }
}

/// What of a body has been read and not been copied yet.
#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Copied>,
    bytes: usize,
    state: State,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Copied {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There may be more.
    #[default]
    Open,
    /// That was all.
    Ended,
    /// The request broke off, or the copy couldn't keep up.
    Broken,
}

/// The request's end of the queue.
#[derive(Debug)]
pub(crate) struct CopySender(Rc<RefCell<Queue>>);

impl CopySender {
    /// Copies a frame; one too many gives the copy up.
    pub(crate) fn push(&self, frame: &Frame<Bytes>) {
        let mut queue = self.0.borrow_mut();
        if queue.state != State::Open {
            return;
        }
        if let Some(data) = frame.data_ref() {
            queue.bytes += data.len();
            queue.frames.push_back(Copied::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            queue.frames.push_back(Copied::Trailers(trailers.clone()));
        }
        if queue.bytes > MAX_WAITING || Rc::strong_count(&self.0) == 1 {
            queue.state = State::Broken;
            queue.frames.clear();
        }
        queue.wake();
    }

    /// That was all.
    pub(crate) fn end(&self) {
        self.close(State::Ended);
    }

    fn close(&self, state: State) {
        let mut queue = self.0.borrow_mut();
        if queue.state == State::Open {
            queue.state = state;
            queue.wake();
        }
    }
}

impl Drop for CopySender {
    fn drop(&mut self) {
        self.close(State::Broken);
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The copy's end of the queue.
#[derive(Debug)]
pub(crate) struct CopyBody(Rc<RefCell<Queue>>);

impl CopyBody {
    /// The next frame.
    pub(crate) fn poll(
        &self,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut queue = self.0.borrow_mut();
        if queue.state == State::Broken {
            return Poll::Ready(Some(Err(BodyError::Finished)));
        }
        exchange.touch();
        let frame = queue.frames.pop_front();
        // After the last one nobody may ask again.
        if queue.state == State::Ended && queue.frames.is_empty() {
            exchange.end_request();
        }
        match frame {
            Some(Copied::Data(data)) => {
                queue.bytes -= data.len();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Copied::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            None if queue.state == State::Ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A request's body whose frames are copied on their way.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The body.
    pub(crate) body: RequestBody,
    sender: CopySender,
}

impl Watched {
    /// Copies the frames of `body`.
    pub(crate) fn new(body: RequestBody, sender: CopySender) -> Box<Self> {
        Box::new(Self { body, sender })
    }

    /// The next frame.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sender.push(frame);
                // After the last one nobody asks again.
                let last = self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
                frame.is_trailers() || last
            }
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended {
            self.sender.end();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_end_in_shadow() {
        for (host, expected) in [
            ("a.example", "a.example-shadow"),
            ("a.example:8080", "a.example-shadow:8080"),
            ("[::1]:80", "[::1]-shadow:80"),
            ("[::1]", "[::1]-shadow"),
        ] {
            assert_eq!(shadow_host(host), expected);
        }
    }

    #[test]
    fn a_copy_that_cant_keep_up_is_given_up() {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let (sender, _body) = (CopySender(Rc::clone(&queue)), CopyBody(Rc::clone(&queue)));
        let piece = Frame::data(Bytes::from(vec![0; MAX_WAITING]));
        sender.push(&piece);
        assert_eq!(queue.borrow().state, State::Open);
        sender.push(&piece);
        assert_eq!(queue.borrow().state, State::Broken);
        assert!(queue.borrow().frames.is_empty(), "nothing is kept");
        sender.end();
        assert_eq!(queue.borrow().state, State::Broken, "what is broken stays so");
    }

    #[test]
    fn a_request_that_breaks_off_breaks_its_copy() {
        let queue = Rc::new(RefCell::new(Queue::default()));
        drop(CopySender(Rc::clone(&queue)));
        assert_eq!(queue.borrow().state, State::Broken);
    }
}
