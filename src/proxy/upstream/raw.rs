//! A connection for bytes that aren't HTTP's: chosen, limited and secured as those for requests.

use std::net::SocketAddr;
use std::rc::Rc;

use smallvec::SmallVec;
use tokio::time::{Instant, timeout};

use super::connect::{MAX_ADDRESSES, share};
use super::dial::{Stream, dial};
use super::members::Choice;
use super::open::fail;
use super::state::Permit;
use super::target::Target;
use crate::model::policy::Priority;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;

/// A connection that counts against the cluster's limit for as long as it is held.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The connection.
    pub(crate) stream: Stream,
    /// The upstream's address.
    pub(crate) address: SocketAddr,
    /// Our address towards it.
    pub(crate) local: SocketAddr,
    _permit: Permit,
}

/// Connects to one of a cluster's endpoints.
///
/// # Errors
///
/// There is none, none answers in time, or the cluster has as many connections as it may.
pub(crate) async fn open_raw(exchange: &Exchange, target: &Rc<Target>) -> Result<Raw, Failure> {
    let limit = target.cluster.policy.connect_timeout();
    let addresses = match target.source.known(&exchange.worker.endpoints) {
        Some(addresses) => addresses?,
        None => {
            timeout(limit, target.source.wait()).await.map_err(|_| Failure::NameNotResolved)??
        }
    };
    let Some(permit) = target.state.try_permit(Priority::Default) else {
        target.stats.connection_overflowed();
        return Err(Failure::Overflow);
    };
    let view = target.view(&addresses);
    let (turn, until) = (target.next_turn(), Instant::now() + limit);
    let count = view.members.len().min(MAX_ADDRESSES);
    let mut tried: SmallVec<[SocketAddr; 2]> = SmallVec::new();
    let mut last = Failure::NoHealthyUpstream;
    for step in 0..count {
        let choice = Choice { hash: None, turn, tried: &tried };
        let Some(endpoint) = view.members.pick(&choice) else { break };
        let address = endpoint.address;
        let part = share(until.into_std(), count - step);
        match dial(&target.state, address, part).await {
            Ok((stream, local)) => return Ok(Raw { stream, address, local, _permit: permit }),
            Err(error) => last = fail(exchange, error),
        }
        target.stats.connect_failed();
        target.state.observe(endpoint, None);
        tried.push(address);
    }
    Err(last)
}
