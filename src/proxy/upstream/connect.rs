//! Gets one request answered: which address, which connection, and when to try another.
//!
//! A request goes out again only where that can't do anything twice: it was never written, or its
//! connection ended before any answer and it is idempotent and without a body (RFC 9110 section
//! 9.2.2). The second happens once at most: an idle connection that the upstream was closing, or a
//! pod that ends with connections in its queue, costs no request.

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
use crate::proxy::error::{Failure, Flag};
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
#[expect(clippy::large_enum_variant, reason = "moved at most a few times, and rarely")]
enum Attempt {
    /// The request, to go elsewhere: nothing of it was written.
    Unsent(Request<RequestBody>),
    /// It may have been seen.
    Failed(Failure),
}

/// One request's way from address to address.
struct Journey<'a> {
    exchange: &'a Rc<Exchange>,
    target: &'a Rc<Target>,
    /// It has been sent a second time.
    replayed: bool,
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
    let mut journey = Journey { exchange, target, replayed: false };
    let mut budget = None;
    let mut last = Failure::NoHealthyUpstream;
    for step in 0..count.min(MAX_ADDRESSES) {
        let address = addresses[turn.wrapping_add(step) % count];
        match journey.send_idle(address, request).await {
            Ok(answered) => return Ok(answered),
            Err(Attempt::Failed(failure)) => return Err(failure),
            Err(Attempt::Unsent(unsent)) => request = unsent,
        }
        let until =
            *budget.get_or_insert_with(|| Instant::now() + target.cluster.policy.connect_timeout());
        let connecting = connect(target, address, share(until, count - step));
        let connection = match within(exchange, connecting).await? {
            Ok(connection) => connection,
            Err(failure) => {
                last = failure;
                continue;
            }
        };
        // Where there is no other address, sending it again would only ask the same one twice.
        let elsewhere = step + 1 < count.min(MAX_ADDRESSES);
        match journey.send_once_more(connection, request, elsewhere).await {
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

impl Journey<'_> {
    /// Tries idle connections. Those that turn out to be dead cost nothing but a try.
    async fn send_idle(
        &mut self,
        address: SocketAddr,
        mut request: Request<RequestBody>,
    ) -> Result<Answered, Attempt> {
        while let Some(connection) = self.target.checkout(address) {
            let replayed = self.replayed;
            match self.send_once_more(connection, request, true).await {
                Err(Attempt::Unsent(unsent)) => request = unsent,
                other => return other,
            }
            // It was closed while it lay idle. Its neighbours probably were, too.
            if self.replayed != replayed {
                break;
            }
        }
        Err(Attempt::Unsent(request))
    }

    /// Sends a request. If its connection ends before an answer, `again` and its nature decide
    /// whether the same request comes back to be sent elsewhere.
    async fn send_once_more(
        &mut self,
        connection: Connection,
        request: Request<RequestBody>,
        again: bool,
    ) -> Result<Answered, Attempt> {
        let spare = if again && !self.replayed { replay(&request) } else { None };
        match (send(self.exchange, self.target, connection, request).await, spare) {
            (Err(Attempt::Failed(Failure::UpstreamReset)), Some(spare)) => {
                self.replayed = true;
                self.target.stats.retried();
                Err(Attempt::Unsent(spare))
            }
            (other, _) => other,
        }
    }
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
                tokio::time::timeout(target.cluster.policy.connect_timeout(), target.source.wait());
            within(exchange, waiting).await?.map_err(|_| Failure::NameNotResolved)??
        }
    };
    if addresses.is_empty() { Err(Failure::NoHealthyUpstream) } else { Ok(addresses) }
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
            None if exchange.flag.get() == Some(Flag::DownstreamReset) => {
                Attempt::Failed(Failure::RequestBody)
            }
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
        let _ = driver.with_upgrades().await;
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
pub(crate) async fn within<F: Future>(
    exchange: &Exchange,
    future: F,
) -> Result<F::Output, Failure> {
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
