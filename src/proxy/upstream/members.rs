//! The endpoints of a cluster as workers choose among them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::balance::{Maglev, Ring, Table};
use crate::model::policy::BalanceMethod;

/// Below this share of usable endpoints, in percent, all of them are used: when most seem ill, the
/// judgement is probably wrong, and the rest would not bear the load (Envoy's panic threshold).
const PANIC_BELOW: usize = 50;

/// Points that consistent hashing tries before any other endpoint will do.
const MAX_WALK: u32 = 64;

/// One address, and what all workers know of it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Requests under way, where somebody chooses by it.
    pub(crate) active: AtomicU32,
    /// 5xx answers and failures in a row.
    pub(super) errors: AtomicU32,
    /// 502, 503, 504 and failures in a row.
    pub(super) gateway_errors: AtomicU32,
    /// Left out until this time; 0 is not left out.
    pub(super) ejected_until: AtomicU64,
    /// How often it was left out lately.
    pub(super) ejections: AtomicU32,
    /// One bit for each health check that fails.
    pub(super) ill: AtomicU32,
}

impl Endpoint {
    /// One about which nothing is known, and so nothing bad.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            active: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            gateway_errors: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            ill: AtomicU32::new(0),
        }
    }

    /// Whether it is left out for its answers.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejected_until.load(Ordering::Relaxed) != 0
    }

    /// Whether nothing speaks against it.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_ejected() && self.ill.load(Ordering::Relaxed) == 0
    }
}

/// The endpoints at one moment. Immutable; made anew when one comes, goes, or changes its health.
#[derive(Debug)]
pub(crate) struct Members {
    /// All addresses, as they were given.
    pub(super) addresses: Arc<[SocketAddr]>,
    /// Those that are chosen from.
    candidates: Vec<Arc<Endpoint>>,
    method: BalanceMethod,
    // Made by the first request that needs it, for all workers.
    table: OnceLock<Table>,
}

/// What a request brings along for the choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// The hash of what keeps its client at one endpoint.
    pub(crate) hash: Option<u64>,
    /// Its turn.
    pub(crate) turn: usize,
    /// Where it has been.
    pub(crate) tried: &'a [SocketAddr],
}

impl Members {
    /// All of `endpoints` that may be used, for `method`.
    pub(super) fn new(
        addresses: Arc<[SocketAddr]>,
        endpoints: Vec<Arc<Endpoint>>,
        method: BalanceMethod,
    ) -> Self {
        let total = endpoints.len();
        let usable: Vec<Arc<Endpoint>> =
            endpoints.iter().filter(|one| one.is_usable()).cloned().collect();
        let most_are_ill = usable.len() * 100 < total * PANIC_BELOW;
        let candidates = if most_are_ill { endpoints } else { usable };
        Self { addresses, candidates, method, table: OnceLock::new() }
    }

    /// How many there are to choose from.
    pub(crate) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// An endpoint that hasn't been tried; `None` where all have.
    pub(crate) fn pick(&self, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        let count = self.candidates.len();
        if count == 0 {
            return None;
        }
        let fresh = |one: &&Arc<Endpoint>| !choice.tried.contains(&one.address);
        let chosen = match (self.method, choice.hash) {
            (BalanceMethod::RingHash | BalanceMethod::Maglev, Some(hash)) => {
                (0..MAX_WALK).map(|again| self.hashed(hash, again)).find(fresh)
            }
            (BalanceMethod::LeastRequest, _) => Some(self.lesser()).filter(fresh),
            _ => None,
        };
        let start = match self.method {
            BalanceMethod::RoundRobin => choice.turn,
            _ => fastrand::usize(..count),
        };
        chosen.or_else(|| {
            (0..count).map(|step| &self.candidates[start.wrapping_add(step) % count]).find(fresh)
        })
    }

    /// Of two random ones that with fewer requests under way.
    fn lesser(&self) -> &Arc<Endpoint> {
        let count = self.candidates.len();
        let first = fastrand::usize(..count);
        let mut second = fastrand::usize(..count);
        if second == first {
            second = (second + 1) % count;
        }
        let (first, second) = (&self.candidates[first], &self.candidates[second]);
        let active = |one: &Endpoint| one.active.load(Ordering::Relaxed);
        if active(second) < active(first) { second } else { first }
    }

    fn hashed(&self, hash: u64, again: u32) -> &Arc<Endpoint> {
        let table = self.table.get_or_init(|| {
            let addresses: Vec<SocketAddr> =
                self.candidates.iter().map(|one| one.address).collect();
            match self.method {
                BalanceMethod::Maglev => Table::Maglev(Maglev::build(&addresses)),
                _ => Table::Ring(Ring::build(&addresses)),
            }
        });
        &self.candidates[table.find(hash, again) % self.candidates.len()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn members(count: u8, ill: u8, method: BalanceMethod) -> Members {
        let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 80));
        let endpoints: Vec<_> = (0..count).map(|n| Arc::new(Endpoint::new(address(n)))).collect();
        for one in endpoints.iter().take(ill.into()) {
            one.ill.store(1, Ordering::Relaxed);
        }
        Members::new((0..count).map(address).collect(), endpoints, method)
    }

    fn picks(members: &Members, count: usize) -> HashMap<SocketAddr, usize> {
        let mut seen = HashMap::new();
        for turn in 0..count {
            let choice = Choice { hash: None, turn, tried: &[] };
            *seen.entry(members.pick(&choice).expect("one").address).or_default() += 1;
        }
        seen
    }

    #[test]
    fn each_has_its_turn() {
        let seen = picks(&members(4, 0, BalanceMethod::RoundRobin), 40);
        assert_eq!((seen.len(), seen.values().max()), (4, Some(&10)));
    }

    #[test]
    fn the_ill_are_left_out_until_they_are_most() {
        assert_eq!(picks(&members(4, 2, BalanceMethod::RoundRobin), 40).len(), 2);
        assert_eq!(picks(&members(4, 3, BalanceMethod::RoundRobin), 40).len(), 4);
        let one = members(1, 1, BalanceMethod::RoundRobin);
        assert_eq!(picks(&one, 1).len(), 1);
    }

    #[test]
    fn who_has_less_to_do_is_chosen() {
        let members = members(2, 0, BalanceMethod::LeastRequest);
        members.candidates[0].active.store(5, Ordering::Relaxed);
        let seen = picks(&members, 50);
        assert_eq!(seen.get(&members.candidates[1].address), Some(&50));
    }

    #[test]
    fn every_endpoint_is_tried_once() {
        for method in [
            BalanceMethod::RoundRobin,
            BalanceMethod::LeastRequest,
            BalanceMethod::RingHash,
            BalanceMethod::Maglev,
        ] {
            let members = members(5, 0, method);
            let mut tried = Vec::new();
            while let Some(one) = members.pick(&Choice { hash: Some(7), turn: 3, tried: &tried }) {
                tried.push(one.address);
            }
            tried.sort_unstable();
            tried.dedup();
            assert_eq!(tried.len(), 5, "{method:?}");
        }
    }

    #[test]
    fn nobody_is_nobody() {
        let members = members(0, 0, BalanceMethod::Maglev);
        assert!(members.pick(&Choice { hash: Some(1), turn: 0, tried: &[] }).is_none());
    }
}
