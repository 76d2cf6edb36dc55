//! Times, counts and logs each exchange, and signs its response with the `server` header.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tower::{Layer, Service};

use crate::proxy::body::ResponseBody;
use crate::proxy::connection::Conn;
use crate::proxy::exchange::{Exchange, Finish};
use crate::proxy::upgrade::Upgrade;
use crate::proxy::worker::Worker;

/// A request below this filter.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Its head.
    pub(crate) head: http::request::Parts,
    /// Its body.
    pub(crate) body: Incoming,
    /// The protocol that it asks to switch to.
    pub(crate) upgrade: Option<Box<Upgrade>>,
    /// Its record.
    pub(crate) exchange: Rc<Exchange>,
}

/// Puts [`Record`] around a service.
#[derive(Debug, Clone)]
pub(crate) struct RecordLayer {
    worker: Rc<Worker>,
    conn: Rc<Conn>,
}

impl RecordLayer {
    /// For the requests of one connection.
    pub(crate) fn new(worker: &Rc<Worker>, conn: &Rc<Conn>) -> Self {
        Self { worker: Rc::clone(worker), conn: Rc::clone(conn) }
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { worker: Rc::clone(&self.worker), conn: Rc::clone(&self.conn), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Record<S> {
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    inner: S,
}

impl<S> hyper::service::Service<Request<Incoming>> for Record<S>
where
    S: Service<Inbound, Response = Response<ResponseBody>, Error = Infallible> + Clone,
    S::Future: Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Recorded<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        let exchange = Rc::new(Exchange::new(&self.worker, &self.conn, &head));
        self.conn.begin_request(self.worker.timers.coarse());
        self.conn.stats.begin();
        let finish = Finish(Rc::clone(&exchange));
        let inner = self.inner.clone().call(Inbound { head, body, upgrade: None, exchange });
        Recorded { inner, conn: Rc::clone(&self.conn), finish: Some(finish) }
    }
}

/// The future of [`Record`]. Dropped early, it logs that the client went away.
#[derive(Debug)]
pub(crate) struct Recorded<F> {
    inner: F,
    conn: Rc<Conn>,
    finish: Option<Finish>,
}

impl<F> Future for Recorded<F>
where
    F: Future<Output = Result<Response<ResponseBody>, Infallible>> + Unpin,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Poll::Ready(Ok(mut response)) = Pin::new(&mut this.inner).poll(cx) else {
            return Poll::Pending;
        };
        if let Some(finish) = this.finish.take() {
            let exchange = &finish.0;
            exchange.status.set(response.status().as_u16());
            let server = exchange.policy.server.clone();
            response.headers_mut().insert(header::SERVER, server);
            let tunnel = exchange.tunnel.borrow_mut().take();
            if tunnel.is_none() && this.conn.says_close() {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            exchange.capture_response(response.headers());
            match tunnel {
                None => response.body_mut().finish_with(finish),
                Some(tunnel) => tunnel.begin(finish),
            }
        }
        Poll::Ready(Ok(response))
    }
}
