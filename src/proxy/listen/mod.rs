//! Which ports are open: they follow the published table, and no other port notices.
//!
//! ```text
//! table ─► plan ─► control (one thread) ─┬─ bind once ─► a socket for each worker
//!                                        └─ what can't be bound: observations, tried again
//! ```

mod bind;
mod control;
mod plan;

use std::net::IpAddr;
use std::sync::mpsc;

pub(crate) use control::{Control, ControlParts, Handle};

use crate::model::listener::Listener;

/// Where a listener listens, as its table says it; no two listeners of a table have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The address; `None` is the process' own.
    pub(crate) address: Option<IpAddr>,
    /// The port; 0 is any free one.
    pub(crate) port: u16,
}

impl Place {
    /// The place of a listener.
    pub(crate) fn of(listener: &Listener) -> Self {
        Self { address: listener.address, port: listener.port }
    }
}

/// What a worker is told about its ports.
#[derive(Debug)]
pub(crate) enum PortCommand {
    /// To accept connections from here on.
    Open(Place, std::net::TcpListener),
    /// To accept what the kernel has connected already and nothing more, and then to say so; the
    /// connections end as in a drain.
    Close(Place, mpsc::Sender<()>),
}
