//! Gets one request answered: which endpoint, which connection, and when to try another.
//!
//! Without a retry policy a request goes out again only where that can't do anything twice: it was
//! never written, its upstream says that it wasn't looked at (HTTP/2), or its connection ended
//! before any answer and it is idempotent and without a body (RFC 9110 section 9.2.2). The last
//! happens once to a connection that lay idle, which the upstream was closing as a rule, and once to
//! a new one: a pod that ends with both costs no request.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use smallvec::SmallVec;

use super::members::{Choice, Endpoint, Members};
use super::open::{Want, open, within};
use super::pool::Connection;
use super::retry::with_retries;
use super::send::{Sent, send};
use super::target::{Lease, Over, Target, Ticket};
use crate::model::policy::{Priority, RetryPolicy};
use crate::proxy::body::RequestBody;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::proxy::upgrade::Upgrade;

/// Addresses that one request tries at most.
pub(super) const MAX_ADDRESSES: usize = 16;

/// How often an HTTP/2 upstream may say that it hasn't looked at the same request.
const MAX_UNPROCESSED: u32 = 3;

/// An upstream's answer, and the connection that its body comes from.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The answer.
    pub(crate) response: Response<Incoming>,
    /// The connection.
    pub(crate) lease: Lease,
}

/// What a request asks of its way, beside its target.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    /// Whose limits count it.
    pub(crate) priority: Priority,
    /// When it goes out once more.
    pub(crate) retry: Option<&'a RetryPolicy>,
    /// What keeps its client at one endpoint.
    pub(crate) hash: Option<u64>,
    /// What it asks to switch to.
    pub(crate) upgrade: Option<&'a Upgrade>,
}

/// What a request is sent over.
#[derive(Debug, Clone, Copy)]
enum Lane {
    /// A connection that lay idle.
    Kept,
    /// A new one; where there is no other address, sending it again would only ask the same one
    /// twice.
    New { elsewhere: bool },
}

/// How one attempt went wrong.
enum Attempt {
    /// The request is back to go elsewhere: nothing of it was written, or looked at, or it may be
    /// sent twice.
    Unsent,
    /// It may have been seen.
    Failed(Failure),
}

/// One request's way from endpoint to endpoint.
pub(super) struct Journey<'a> {
    /// The request and what becomes of it.
    pub(super) exchange: &'a Rc<Exchange>,
    /// Where it goes.
    pub(super) target: &'a Rc<Target>,
    /// What it asks for.
    pub(super) wish: Wish<'a>,
    /// The request, unless it is on its way: here, so that no future below has a place for it.
    pub(super) request: Option<Request<RequestBody>>,
    turn: usize,
    tried: SmallVec<[SocketAddr; 2]>,
    /// A connection that lay idle has ended under it.
    was_stale: bool,
    /// A new one has.
    was_reset: bool,
    unprocessed: u32,
}

/// Sends a request to one of the cluster's endpoints and waits for the answer's head.
pub(crate) fn exchange_with<'a>(
    exchange: &'a Rc<Exchange>,
    target: &'a Rc<Target>,
    wish: Wish<'a>,
    request: Request<RequestBody>,
) -> impl Future<Output = Result<Answered, Failure>> + 'a {
    // What an HTTP/2 upstream hasn't looked at goes out again, with its body.
    let is_kept = wish.retry.is_some() || target.speaks_http2();
    let mut journey = Journey {
        exchange,
        target,
        wish,
        request: Some(if is_kept { request.map(RequestBody::keep) } else { request }),
        turn: target.next_turn(),
        tried: SmallVec::new(),
        was_stale: false,
        was_reset: false,
        unprocessed: 0,
    };
    async move {
        match wish.retry {
            Some(retry) => Box::pin(with_retries(&mut journey, retry)).await,
            None => journey.go().await,
        }
    }
}

impl Journey<'_> {
    /// Goes from endpoint to endpoint until one answers.
    pub(super) async fn go(&mut self) -> Result<Answered, Failure> {
        let (exchange, target) = (self.exchange, self.target);
        let addresses = self.addresses().await?;
        let members = &target.view(&addresses).members;
        if members.len() == 0 {
            return Err(Failure::NoHealthyUpstream);
        }
        let Some(mut ticket) = Ticket::take(target, self.wish.priority) else {
            target.stats.pending_overflowed();
            return Err(Failure::Overflow);
        };
        let (mut until, mut last) = (None, Failure::NoHealthyUpstream);
        let count = members.len().min(MAX_ADDRESSES);
        let mut step = 0;
        while step < count {
            let Some(endpoint) = self.pick(members, step == 0) else { break };
            self.tried.push(endpoint.address);
            ticket.go_to(endpoint);
            let want = self.want(endpoint.address)?;
            match self.send_open(endpoint, want.over).await {
                Ok((response, connection)) => {
                    return Ok(Answered { response, lease: Lease { connection, ticket } });
                }
                Err(Attempt::Failed(failure)) => return Err(failure),
                Err(Attempt::Unsent) => {}
            }
            let until = *until.get_or_insert_with(|| deadline(target));
            let limit = share(until, count - step);
            let opening = Box::pin(open(exchange, target, want, limit));
            let connection = match within(exchange, opening).await? {
                Ok(connection) => connection,
                Err(Failure::Overflow) => return Err(Failure::Overflow),
                Err(Failure::NoTunnel) if want.over == Over::Stream => {
                    // By now it is known what this address takes.
                    self.tried.pop();
                    continue;
                }
                Err(failure) => {
                    self.note_unconnected(endpoint, failure);
                    last = failure;
                    step += 1;
                    continue;
                }
            };
            let unprocessed = self.unprocessed;
            let lane = Lane::New { elsewhere: step + 1 < count };
            match self.send_over(connection, endpoint, lane).await {
                Ok((response, connection)) => {
                    return Ok(Answered { response, lease: Lease { connection, ticket } });
                }
                Err(Attempt::Failed(failure)) => return Err(failure),
                Err(Attempt::Unsent) => last = Failure::UpstreamReset,
            }
            if self.unprocessed == unprocessed {
                step += 1;
            } else {
                // It only wants another connection.
                self.tried.pop();
            }
        }
        Err(last)
    }

    /// The next endpoint. Where a try before this one has been everywhere, `first` begins anew.
    fn pick<'m>(&mut self, members: &'m Members, first: bool) -> Option<&'m Arc<Endpoint>> {
        let (hash, turn) = (self.wish.hash, self.turn);
        let found = members.pick(&Choice { hash, turn, tried: &self.tried });
        if found.is_some() || !first {
            return found;
        }
        self.tried.clear();
        members.pick(&Choice { hash, turn, tried: &[] })
    }

    /// There is no connection to an endpoint. One that takes no upgrades is well all the same: else
    /// who asks for them could have it left out.
    fn note_unconnected(&self, endpoint: &Endpoint, failure: Failure) {
        if failure != Failure::NoTunnel {
            self.target.state.observe(endpoint, None);
        }
    }

    /// The connection that it needs to `address`.
    fn want(&self, address: SocketAddr) -> Result<Want, Failure> {
        let over = match (self.wish.upgrade, &self.request) {
            (Some(upgrade), Some(request)) => {
                self.target.over(address, upgrade.fits_stream(request.method()))?
            }
            _ => Over::Usual,
        };
        Ok(Want { address, priority: self.wish.priority, over })
    }

    /// Tries connections that are open. Those that turn out to be dead cost nothing but a try.
    async fn send_open(
        &mut self,
        endpoint: &Arc<Endpoint>,
        over: Over,
    ) -> Result<(Response<Incoming>, Connection), Attempt> {
        while let Some(connection) = self.target.checkout(endpoint.address, over) {
            let was_stale = self.was_stale;
            match self.send_over(connection, endpoint, Lane::Kept).await {
                Err(Attempt::Unsent) => {}
                other => return other,
            }
            // It was closed while it lay idle. Its neighbours probably were, too.
            if self.was_stale != was_stale {
                break;
            }
        }
        Err(Attempt::Unsent)
    }

    /// Sends a request. If its connection ends before an answer, its nature and what has happened
    /// to it before decide whether the same request comes back to be sent elsewhere.
    async fn send_over(
        &mut self,
        mut connection: Connection,
        endpoint: &Arc<Endpoint>,
        lane: Lane,
    ) -> Result<(Response<Incoming>, Connection), Attempt> {
        let request = self.request.take().expect("it comes back wherever it isn't lost for good");
        let harmless = request.body().is_empty() && request.method().is_idempotent();
        let again = match lane {
            Lane::Kept => harmless && !self.was_stale,
            Lane::New { elsewhere } => harmless && elsewhere && !self.was_reset,
        };
        let spare = match self.target.speaks_http2() {
            true => copy(&request),
            false if again => copy(&request),
            false => None,
        };
        let within_time = {
            let sending = pin!(send(self.exchange, &mut connection, request, self.wish.upgrade));
            within(self.exchange, sending).await
        };
        let sent = match within_time {
            Ok(sent) => sent,
            Err(failure) => {
                self.target.state.observe(endpoint, None);
                return Err(Attempt::Failed(failure));
            }
        };
        let failure = match sent {
            Sent::Answered(response) => {
                self.target.state.observe(endpoint, Some(response.status().as_u16()));
                return Ok((response, connection));
            }
            Sent::Unsent(request) => return Err(self.take_back(request)),
            Sent::Unprocessed if self.unprocessed < MAX_UNPROCESSED => {
                // Its body may have grown too long since.
                if let Some(spare) = spare.as_ref().and_then(copy) {
                    self.unprocessed += 1;
                    self.target.stats.retried();
                    return Err(self.take_back(spare));
                }
                Failure::RefusedStream
            }
            Sent::Unprocessed => Failure::RefusedStream,
            Sent::Failed(Failure::UpstreamReset) if again => {
                if let Some(spare) = spare {
                    match lane {
                        Lane::Kept => self.was_stale = true,
                        Lane::New { .. } => self.was_reset = true,
                    }
                    self.target.stats.retried();
                    return Err(self.take_back(spare));
                }
                Failure::UpstreamReset
            }
            Sent::Failed(failure) => failure,
        };
        if failure != Failure::RequestBody {
            self.target.state.observe(endpoint, None);
        }
        Err(Attempt::Failed(failure))
    }

    fn take_back(&mut self, request: Request<RequestBody>) -> Attempt {
        self.request = Some(request);
        Attempt::Unsent
    }

    async fn addresses(&self) -> Result<Arc<[SocketAddr]>, Failure> {
        let (exchange, target) = (self.exchange, self.target);
        let known = target.source.known(&exchange.worker.endpoints);
        match known {
            Some(addresses) => addresses,
            None => {
                let limit = target.cluster.policy.connect_timeout();
                let waiting = Box::pin(tokio::time::timeout(limit, target.source.wait()));
                within(exchange, waiting).await?.map_err(|_| Failure::NameNotResolved)?
            }
        }
    }
}

/// The same request again, if its body can be had again.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut copy = Request::new(request.body().again()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    *copy.version_mut() = request.version();
    Some(copy)
}

/// Until when the cluster's endpoints may be tried.
fn deadline(target: &Target) -> Instant {
    Instant::now() + target.cluster.policy.connect_timeout()
}

/// The time for one address when `left` of them share what is left until `until`. The half is
/// kept for the others, so that one that swallows packets doesn't cost the request.
pub(super) fn share(until: Instant, left: usize) -> Duration {
    let rest = until.saturating_duration_since(Instant::now());
    if left > 1 { rest / 2 } else { rest }
}
