//! Consistent hashing on a ring (Envoy's `ring_hash`, Ketama).

use std::fmt::Write;
use std::net::SocketAddr;

use xxhash_rust::xxh64::xxh64;

use super::key_of;

/// Points of an endpoint, as in Ketama. Always as many: with Envoy's, which divides 1024 among the
/// endpoints, one that comes or goes would move clients of the others as well.
const POINTS: usize = 160;

/// The most points of a ring: beyond 819 endpoints each has fewer, and at least one.
const MOST_POINTS: usize = 1 << 17;

/// A ring: each endpoint has points on it, and answers for the hashes up to each of them.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// The ring of some endpoints.
    pub(crate) fn build(endpoints: &[SocketAddr]) -> Self {
        let each = (MOST_POINTS / endpoints.len().max(1)).clamp(1, POINTS);
        let mut points = Vec::with_capacity(each * endpoints.len());
        for (index, address) in (0_u32..).zip(endpoints) {
            // Envoy's name of a point.
            let mut name = key_of(address) + "_";
            let length = name.len();
            for number in 0..each {
                name.truncate(length);
                // A String takes whatever is written.
                let _ = write!(name, "{number}");
                points.push((xxh64(name.as_bytes(), 0), index));
            }
        }
        points.sort_unstable();
        Self { points }
    }

    /// See [`Table::find`](super::Table::find). 0 on an empty ring.
    pub(crate) fn find(&self, hash: u64, again: u32) -> usize {
        if self.points.is_empty() {
            return 0;
        }
        let at = self.points.partition_point(|(point, _)| *point < hash) + again as usize;
        self.points[at % self.points.len()].1 as usize
    }
}
