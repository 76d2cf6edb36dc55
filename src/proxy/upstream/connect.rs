//! Gets one request answered: which address, which connection, and when to try another.
//!
//! A request goes out again only where that can't do anything twice: it was never written, or it
//! is idempotent and without a body and the connection had been idle before (RFC 9110 section 9.2.2).

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target::{Connection, Lease, Target};
use crate::proxy::body::RequestBody;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::telemetry::metrics::ClusterStats;

/// Addresses that one request tries at most.
const MAX_ADDRESSES: usize = 16;

/// An upstream's answer, and the connection that its body comes from.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The answer.
    pub(crate) response: Response<Incoming>,
    /// The connection.
    pub(crate) lease: Lease,
}

/// How one attempt went wrong.
enum Attempt {
    /// Nothing was written: the request may go anywhere else.
    Unsent(Request<RequestBody>),
    /// It may have been seen.
    Failed(Failure),
}

/// Sends a request to one of the cluster's addresses and waits for the answer's head.
pub(crate) async fn exchange_with(
    exchange: &Rc<Exchange>,
    target: &Rc<Target>,
    mut request: Request<RequestBody>,
) -> Result<Answered, Failure> {
    let addresses = addresses(exchange, target).await?;
    let count = addresses.len();
    let turn = target.next_turn();
    let mut budget = None;
    let mut last = Failure::NoHealthyUpstream;
    for step in 0..count.min(MAX_ADDRESSES) {
        let address = addresses[turn.wrapping_add(step) % count];
        match send_idle(exchange, target, address, request).await {
            Ok(answered) => return Ok(answered),
            Err(Attempt::Failed(failure)) => return Err(failure),
            Err(Attempt::Unsent(unsent)) => request = unsent,
        }
        let until = *budget.get_or_insert_with(|| Instant::now() + target.cluster.connect_timeout);
        let connecting = connect(target, address, share(until, count - step));
        let connection = match within(exchange, connecting).await? {
            Ok(connection) => connection,
            Err(failure) => {
                last = failure;
                continue;
            }
        };
        match send(exchange, target, connection, request).await {
            Ok(answered) => return Ok(answered),
            Err(Attempt::Failed(failure)) => return Err(failure),
            Err(Attempt::Unsent(unsent)) => {
                request = unsent;
                last = Failure::UpstreamReset;
            }
        }
    }
    Err(last)
}

async fn addresses(
    exchange: &Rc<Exchange>,
    target: &Rc<Target>,
) -> Result<Arc<[SocketAddr]>, Failure> {
    let known = target.source.known(&exchange.worker.endpoints);
    let addresses = match known {
        Some(addresses) => addresses?,
        None => {
            let waiting =
                tokio::time::timeout(target.cluster.connect_timeout, target.source.wait());
            within(exchange, waiting).await?.map_err(|_| Failure::NameNotResolved)??
        }
    };
    if addresses.is_empty() { Err(Failure::NoHealthyUpstream) } else { Ok(addresses) }
}

/// Tries idle connections. Those that turn out to be dead cost nothing but a try.
async fn send_idle(
    exchange: &Rc<Exchange>,
    target: &Rc<Target>,
    address: SocketAddr,
    mut request: Request<RequestBody>,
) -> Result<Answered, Attempt> {
    while let Some(connection) = target.checkout(address) {
        let spare = replay(&request);
        match send(exchange, target, connection, request).await {
            Err(Attempt::Unsent(unsent)) => request = unsent,
            Err(Attempt::Failed(Failure::UpstreamReset)) => {
                // The connection was closed while it lay idle. Its neighbours probably were, too.
                let spare = spare.ok_or(Attempt::Failed(Failure::UpstreamReset))?;
                target.stats.retried();
                return Err(Attempt::Unsent(spare));
            }
            other => return other,
        }
    }
    Err(Attempt::Unsent(request))
}

/// The same request again, if it may be sent twice.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.body().is_empty() || !request.method().is_idempotent() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

async fn send(
    exchange: &Rc<Exchange>,
    target: &Rc<Target>,
    mut connection: Connection,
    request: Request<RequestBody>,
) -> Result<Answered, Attempt> {
    exchange.upstream.set(Some((connection.address, connection.local)));
    let sending = connection.sender.try_send_request(request);
    match within(exchange, sending).await {
        Ok(Ok(response)) => {
            let lease = Lease { connection, target: Rc::clone(target) };
            Ok(Answered { response, lease })
        }
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(request) => Attempt::Unsent(request),
            None if error.error().is_parse() => Attempt::Failed(Failure::UpstreamProtocol),
            None => Attempt::Failed(Failure::UpstreamReset),
        }),
        Err(failure) => Err(Attempt::Failed(failure)),
    }
}

/// The time for one address when `left` of them share what is left until `until`. The half is
/// kept for the others, so that one that swallows packets doesn't cost the request.
fn share(until: Instant, left: usize) -> Duration {
    let rest = until.saturating_duration_since(Instant::now());
    if left > 1 { rest / 2 } else { rest }
}

async fn connect(
    target: &Target,
    address: SocketAddr,
    limit: Duration,
) -> Result<Connection, Failure> {
    let stream = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => {
            target.stats.connect_failed();
            return Err(Failure::ConnectFailure);
        }
        Err(_) => {
            target.stats.connect_failed();
            return Err(Failure::ConnectTimeout);
        }
    };
    // A small request must not wait for the upstream's acknowledgement.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map_err(|_| Failure::ConnectFailure)?;
    let (sender, driver) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::ConnectFailure)?;
    let open = Open::new(&target.stats);
    tokio::task::spawn_local(async move {
        // Its errors reach the request that is on it, or nobody.
        let _ = driver.await;
        drop(open);
    });
    Ok(Connection { sender, address, local })
}

/// Counts a connection for as long as it is open.
struct Open(Arc<ClusterStats>);

impl Open {
    fn new(stats: &Arc<ClusterStats>) -> Self {
        stats.connection_opened();
        Self(Arc::clone(stats))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Waits for `future`, but no longer than the exchange's deadlines let it.
async fn within<F: Future>(exchange: &Exchange, future: F) -> Result<F::Output, Failure> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Some(failure) = exchange.timing.expired() {
            return Poll::Ready(Err(failure));
        }
        exchange.timing.register(cx.waker());
        future.as_mut().poll(cx).map(Ok)
    })
    .await
}
