//! Consistent hashing on a ring (Envoy's `ring_hash`, Ketama).

use std::net::SocketAddr;

use xxhash_rust::xxh64::xxh64;

use super::key_of;

/// Envoy's smallest ring.
const MIN_POINTS: usize = 1024;

/// A ring: each endpoint has points on it, and answers for the hashes up to each of them.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// The ring of some endpoints.
    pub(crate) fn build(endpoints: &[SocketAddr]) -> Self {
        let each = MIN_POINTS.div_ceil(endpoints.len().max(1));
        let mut points = Vec::with_capacity(each * endpoints.len());
        for (index, address) in (0_u32..).zip(endpoints) {
            let key = key_of(address);
            points.extend((0..each).map(|n| (xxh64(format!("{key}_{n}").as_bytes(), 0), index)));
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
