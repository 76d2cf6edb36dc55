//! Consistent hashing by Google's Maglev table (Eisenbud et al., NSDI 2016, section 3.4).

use std::net::SocketAddr;

use xxhash_rust::xxh64::xxh64;

use super::key_of;

/// Envoy's size: a prime, and large enough for shares that are even to about one percent.
const SIZE: u64 = 65_537;

/// No endpoint yet.
const FREE: u32 = u32::MAX;

/// A table in which each endpoint has about the same number of slots.
#[derive(Debug)]
pub(crate) struct Maglev {
    slots: Vec<u32>,
}

/// An endpoint's own order of the slots.
struct Permutation {
    offset: u64,
    skip: u64,
    next: u64,
}

impl Permutation {
    fn slot(&mut self) -> usize {
        let slot = (self.offset + self.skip * self.next) % SIZE;
        self.next += 1;
        usize::try_from(slot).unwrap_or_default()
    }
}

impl Maglev {
    /// The table of some endpoints.
    pub(crate) fn build(endpoints: &[SocketAddr]) -> Self {
        let mut orders: Vec<Permutation> = endpoints
            .iter()
            .map(|address| {
                let key = key_of(address);
                Permutation {
                    offset: xxh64(key.as_bytes(), 0) % SIZE,
                    skip: xxh64(key.as_bytes(), 1) % (SIZE - 1) + 1,
                    next: 0,
                }
            })
            .collect();
        let mut slots = vec![FREE; usize::try_from(SIZE).unwrap_or_default()];
        let mut left = if orders.is_empty() { 0 } else { slots.len() };
        while left > 0 {
            for (index, order) in (0_u32..).zip(&mut orders) {
                // A prime size and a skip below it: the order visits every slot.
                let slot = loop {
                    let slot = order.slot();
                    if slots[slot] == FREE {
                        break slot;
                    }
                };
                slots[slot] = index;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Self { slots }
    }

    /// See [`Table::find`](super::Table::find). 0 in an empty table.
    pub(crate) fn find(&self, hash: u64, again: u32) -> usize {
        let hash = if again == 0 { hash } else { hash ^ (u64::MAX - u64::from(again) + 1) };
        let slot = usize::try_from(hash % SIZE).unwrap_or_default();
        match self.slots.get(slot) {
            Some(&index) if index != FREE => index as usize,
            _ => 0,
        }
    }
}
