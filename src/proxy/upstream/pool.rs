//! A worker's connections to one cluster: idle ones of HTTP/1.1, shared ones of HTTP/2.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use hashbrown::HashMap;
use hyper::client::conn::{http1, http2};
use tokio::sync::Notify;

use super::open::Open;
use crate::proxy::body::RequestBody;

/// Idle connections to one address that a worker keeps.
const MAX_IDLE: usize = 256;

/// Streams that share one HTTP/2 connection, if the upstream takes so many: one connection is one
/// thread's work at the other end, too.
const MAX_STREAMS: usize = 100;

/// The connections. Times are the worker's milliseconds.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    shared: RefCell<HashMap<SocketAddr, Vec<Rc<Shared>>>>,
    opening: RefCell<HashMap<SocketAddr, Rc<Notify>>>,
    /// Requests of this worker that wait for a connection to be given back.
    pub(super) waiting: Cell<u32>,
    /// Tells them.
    pub(super) released: Notify,
}

/// A connection to an upstream.
pub(crate) struct Connection {
    /// Its sending half; the rest runs on a task of its own.
    pub(super) sender: Sender,
    /// The upstream's address.
    pub(crate) address: SocketAddr,
    /// Our address towards it.
    pub(crate) local: SocketAddr,
    /// When it was opened.
    pub(super) born: u64,
    /// Its place among the cluster's connections, which its driver holds.
    pub(super) open: Weak<Open>,
    /// The same, held on for a request that may outlive HTTP on the connection.
    pub(super) held: Option<Rc<Open>>,
}

impl Connection {
    /// Whether it is a stream of an HTTP/2 connection.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }
}

/// What sends.
pub(super) enum Sender {
    /// One request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// One of several streams.
    Http2(Stream),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u64,
}

/// An HTTP/2 connection.
pub(super) struct Shared {
    /// Its sending half.
    pub(super) sender: http2::SendRequest<RequestBody>,
    /// The upstream's address.
    pub(super) address: SocketAddr,
    /// Our address towards it.
    pub(super) local: SocketAddr,
    /// When it was opened.
    pub(super) born: u64,
    /// What the upstream says of itself.
    pub(super) peer: Rc<Peer>,
    /// Streams that are open.
    pub(super) streams: Cell<usize>,
    /// When the last one ended.
    pub(super) since: Cell<u64>,
    /// It takes no more requests.
    pub(super) retired: Cell<bool>,
}

/// What an HTTP/2 upstream says of itself in its SETTINGS.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Streams that it takes at once.
    pub(super) limit: Cell<usize>,
    /// It takes extended CONNECT (RFC 8441).
    pub(super) extended: Cell<bool>,
    /// It has said so, or has had its time to.
    pub(super) settled: Cell<bool>,
    /// Wakes who drives the connection: h2 tells nobody when SETTINGS have come.
    pub(super) driver: RefCell<Option<Waker>>,
}

impl Peer {
    /// Has its driver look at what the upstream has said by now.
    pub(super) fn look(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

/// One stream of a shared connection, counted for as long as it is held.
#[derive(Debug)]
pub(super) struct Stream(pub(super) Rc<Shared>);

impl Stream {
    /// One more on `shared`.
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get() + 1);
        Self(Rc::clone(shared))
    }

    /// A connection to send one request on.
    pub(super) fn into_connection(self) -> Connection {
        let Shared { address, local, born, .. } = *self.0;
        let sender = Sender::Http2(self);
        Connection { sender, address, local, born, open: Weak::new(), held: None }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

/// How long connections last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// Unused; `None` is for ever.
    pub(super) idle: Option<Duration>,
    /// From their beginning; `None` is for ever.
    pub(super) total: Option<Duration>,
}

impl Lifetimes {
    fn is_old(&self, born: u64, now: u64) -> bool {
        self.total.is_some_and(|total| u128::from(now.saturating_sub(born)) >= total.as_millis())
    }

    fn is_stale(&self, since: u64, now: u64) -> bool {
        self.idle.is_some_and(|idle| u128::from(now.saturating_sub(since)) >= idle.as_millis())
    }
}

/// Says that a connection to an address is being opened, so that others wait for it.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pool: &'a Pool,
    address: SocketAddr,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(notify) = self.pool.opening.borrow_mut().remove(&self.address) {
            notify.notify_waiters();
        }
    }
}

impl Pool {
    /// An idle connection to `address` that is ready, the last used first.
    pub(super) fn checkout(
        &self,
        address: SocketAddr,
        lifetimes: &Lifetimes,
        now: u64,
    ) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&address)?;
        let mut at = list.len();
        while at > 0 {
            at -= 1;
            let connection = &list[at].connection;
            let Sender::Http1(sender) = &connection.sender else { continue };
            if sender.is_closed() || lifetimes.is_old(connection.born, now) {
                list.swap_remove(at);
            } else if sender.is_ready() {
                return Some(list.swap_remove(at).connection);
            }
        }
        None
    }

    /// A stream on the connection to `address` that has the most, of those with room; with
    /// `extended`, of those that take extended CONNECT.
    ///
    /// Few connections that are busy cost less than many that are not: what comes over one is read
    /// at once, and answers that come at once leave at once, for each client in one write.
    pub(super) fn checkout_stream(
        &self,
        address: SocketAddr,
        lifetimes: &Lifetimes,
        now: u64,
        extended: bool,
    ) -> Option<Connection> {
        let mut shared = self.shared.borrow_mut();
        let list = shared.get_mut(&address)?;
        list.retain(|one| {
            !one.sender.is_closed() && !one.retired.get() && !lifetimes.is_old(one.born, now)
        });
        let room = |one: &&Rc<Shared>| one.streams.get() < one.peer.limit.get().min(MAX_STREAMS);
        let fits = |one: &&Rc<Shared>| !extended || one.peer.extended.get();
        let fullest = list.iter().filter(room).filter(fits).max_by_key(|one| one.streams.get())?;
        Some(Stream::new(fullest).into_connection())
    }

    /// Whether extended CONNECT is taken at `address`, as far as connections to it know.
    pub(super) fn takes_extended(&self, address: SocketAddr) -> Option<bool> {
        let shared = self.shared.borrow();
        let open = shared.get(&address)?.iter().filter(|one| !one.sender.is_closed());
        open.filter(|one| one.peer.settled.get()).map(|one| one.peer.extended.get()).max()
    }

    /// Keeps a connection for the next request. One too many closes.
    pub(super) fn keep(&self, connection: Connection, lifetimes: &Lifetimes, now: u64) {
        if lifetimes.is_old(connection.born, now) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(connection.address).or_default();
        if list.len() < MAX_IDLE {
            list.push(Idle { connection, since: now });
        }
        drop(idle);
        if self.waiting.get() > 0 {
            self.released.notify_one();
        }
    }

    /// Lets others use an HTTP/2 connection.
    pub(super) fn share(&self, connection: &Rc<Shared>) {
        let mut shared = self.shared.borrow_mut();
        shared.entry(connection.address).or_default().push(Rc::clone(connection));
    }

    /// The connection to `address` that is being opened, to wait for; or the right to open one.
    pub(super) fn open(&self, address: SocketAddr) -> Result<Opening<'_>, Rc<Notify>> {
        let mut opening = self.opening.borrow_mut();
        if let Some(notify) = opening.get(&address) {
            return Err(Rc::clone(notify));
        }
        opening.insert(address, Rc::default());
        Ok(Opening { pool: self, address })
    }

    /// Closes an idle connection, whichever; says whether there was one.
    pub(super) fn close_one(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let closed = idle.values_mut().any(|list| list.pop().is_some());
        drop(idle);
        let mut shared = self.shared.borrow_mut();
        closed
            || shared.values_mut().any(|list| {
                let unused = list.iter().position(|one| one.streams.get() == 0);
                unused.is_some_and(|at| {
                    list.swap_remove(at);
                    true
                })
            })
    }

    /// Closes connections that are unused or old; says whether any are left.
    pub(super) fn sweep(&self, lifetimes: &Lifetimes, now: u64) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, list| {
            list.retain(|one| {
                let closed = match &one.connection.sender {
                    Sender::Http1(sender) => sender.is_closed(),
                    Sender::Http2(_) => true,
                };
                !closed
                    && !lifetimes.is_stale(one.since, now)
                    && !lifetimes.is_old(one.connection.born, now)
            });
            !list.is_empty()
        });
        let mut shared = self.shared.borrow_mut();
        shared.retain(|_, list| {
            list.retain(|one| {
                if one.streams.get() > 0 {
                    one.since.set(now);
                }
                !one.sender.is_closed()
                    && !one.retired.get()
                    && !lifetimes.is_stale(one.since.get(), now)
                    && !lifetimes.is_old(one.born, now)
            });
            !list.is_empty()
        });
        !idle.is_empty() || !shared.is_empty()
    }
}
