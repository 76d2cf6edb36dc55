//! Tables for consistent hashing. Pure: the same endpoints give the same table in every worker
//! and every replica, so that a client stays at its endpoint whichever gateway it meets.

mod maglev;
mod ring;

use std::net::SocketAddr;

pub(crate) use maglev::Maglev;
pub(crate) use ring::Ring;
use xxhash_rust::xxh64::xxh64;

/// A table for consistent hashing.
#[derive(Debug)]
pub(crate) enum Table {
    /// A ring of points.
    Ring(Ring),
    /// Google's table.
    Maglev(Maglev),
}

impl Table {
    /// The index of the endpoint for a hash. `again` counts the endpoints that were tried before.
    pub(crate) fn find(&self, hash: u64, again: u32) -> usize {
        match self {
            Self::Ring(ring) => ring.find(hash, again),
            Self::Maglev(maglev) => maglev.find(hash, again),
        }
    }
}

/// The hash of what keeps a client at one endpoint.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    xxh64(bytes, 0)
}

/// An endpoint as it is hashed (Envoy: its address).
fn key_of(address: &SocketAddr) -> String {
    address.to_string()
}

#[cfg(test)]
mod tests;
