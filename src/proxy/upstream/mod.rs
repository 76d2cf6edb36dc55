//! Upstreams: where a cluster's addresses come from, which of them is chosen, and the connections
//! to them.
//!
//! ```text
//! forward ► connect (one request's way) ─┬─ names, dns      which addresses there are
//!             │ retry (once more)        ├─ members, balance which of them
//!             │                          ├─ pool, open, dial a connection to it
//!             ▼                          └─ send             the request on it
//!           target (a worker's view of a cluster) ─ state (what all workers share of it) ─ health
//! ```

pub(crate) mod affinity;
mod balance;
pub(crate) mod connect;
pub(crate) mod dial;
pub(crate) mod dns;
mod health;
mod members;
pub(crate) mod names;
pub(crate) mod open;
mod pool;
mod retry;
mod send;
pub(crate) mod state;
pub(crate) mod target;
mod tls;
