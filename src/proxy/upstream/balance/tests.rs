//! What consistent hashing promises, for any endpoints.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::{Maglev, Ring, Table, hash_of};

/// Hashes that stand for clients.
const CLIENTS: u64 = 4000;

fn endpoints() -> impl Strategy<Value = Vec<SocketAddr>> {
    prop::collection::btree_set(any::<u16>(), 2..12).prop_map(|all: BTreeSet<u16>| {
        let address = |n: u16| Ipv4Addr::new(10, 1, (n >> 8) as u8, (n & 255) as u8);
        all.into_iter().map(|n| SocketAddr::new(address(n).into(), 8080)).collect()
    })
}

fn owners(table: &Table, endpoints: &[SocketAddr]) -> Vec<SocketAddr> {
    let client = |n: u64| hash_of(&n.to_le_bytes());
    (0..CLIENTS).map(|n| endpoints[table.find(client(n), 0)]).collect()
}

fn largest_share(owners: &[SocketAddr], endpoints: &[SocketAddr]) -> f64 {
    let count = |one: &SocketAddr| owners.iter().filter(|owner| *owner == one).count();
    let most = endpoints.iter().map(count).max().unwrap_or_default();
    most as f64 * endpoints.len() as f64 / owners.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shares_are_even(endpoints in endpoints()) {
        let maglev = Table::Maglev(Maglev::build(&endpoints));
        let share = largest_share(&owners(&maglev, &endpoints), &endpoints);
        prop_assert!(share < 1.35, "maglev: {share} times the fair share");
        let ring = Table::Ring(Ring::build(&endpoints));
        let share = largest_share(&owners(&ring, &endpoints), &endpoints);
        prop_assert!(share < 1.8, "ring: {share} times the fair share");
    }

    #[test]
    fn who_leaves_takes_only_its_own_clients(endpoints in endpoints(), gone in any::<prop::sample::Index>()) {
        let gone = endpoints[gone.index(endpoints.len())];
        let rest: Vec<SocketAddr> = endpoints.iter().copied().filter(|one| *one != gone).collect();
        let moved = |before: &Table, after: &Table| {
            let before = owners(before, &endpoints);
            let after = owners(after, &rest);
            before.iter().zip(&after).filter(|(old, new)| **old != gone && old != new).count()
        };
        let ring = (Ring::build(&endpoints), Ring::build(&rest));
        let count = moved(&Table::Ring(ring.0), &Table::Ring(ring.1)) as u64;
        prop_assert_eq!(count, 0, "ring: {} of {} moved", count, CLIENTS);
        let maglev = (Maglev::build(&endpoints), Maglev::build(&rest));
        let count = moved(&Table::Maglev(maglev.0), &Table::Maglev(maglev.1)) as u64;
        prop_assert!(count < CLIENTS / 4, "maglev: {count} of {CLIENTS} moved");
    }

    #[test]
    fn another_endpoint_is_found(endpoints in endpoints(), client in any::<u64>()) {
        for table in [
            Table::Ring(Ring::build(&endpoints)),
            Table::Maglev(Maglev::build(&endpoints)),
        ] {
            let first = table.find(client, 0);
            let other = (1..64).map(|again| table.find(client, again)).find(|one| *one != first);
            prop_assert!(other.is_some());
        }
    }
}

#[test]
fn one_endpoint_and_none() {
    let one: SocketAddr = "10.0.0.1:80".parse().expect("an address");
    for endpoints in [&[][..], &[one][..]] {
        for hash in [0, 1, u64::MAX] {
            assert_eq!(Ring::build(endpoints).find(hash, 0), 0);
            assert_eq!(Maglev::build(endpoints).find(hash, 3), 0);
        }
    }
}
