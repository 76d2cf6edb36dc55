//! What has to be opened and closed. Pure.

use std::collections::BTreeSet;

use super::Place;
use crate::model::listener::Listener;

/// The steps from the ports that are open to those that are wanted.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// First these are closed, since one of the others may want the same port.
    pub(super) close: Vec<Place>,
    /// Then these are opened, those that couldn't be before among them.
    pub(super) open: Vec<Place>,
}

/// Compares. What stands in both isn't touched, whatever else of its listener has changed.
pub(super) fn plan_listeners<'a>(
    open: impl Iterator<Item = &'a Place>,
    wanted: impl Iterator<Item = &'a Listener>,
) -> Plan {
    let open: BTreeSet<Place> = open.copied().collect();
    let wanted: BTreeSet<Place> = wanted.map(Place::of).collect();
    Plan {
        close: open.difference(&wanted).copied().collect(),
        open: wanted.difference(&open).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::listener::{SecurityModel, Stack};

    fn place(port: u16) -> Place {
        Place { address: None, port }
    }

    fn listener(place: Place, tls: bool) -> Listener {
        Listener {
            key: None,
            address: place.address,
            port: place.port,
            stat_prefix: Arc::from("ingress_http"),
            stack: Stack { proxy_protocol: false, tls, http: true },
            security: SecurityModel::ForwardedProto,
            trusted_hops: 0,
            max_concurrent_streams: None,
            hosts: vec![],
            tcp: vec![],
        }
    }

    #[test]
    fn only_differences_are_touched() {
        let open = [place(1), place(2)];
        let wanted = [listener(place(2), true), listener(place(3), false)];
        let plan = plan_listeners(open.iter(), wanted.iter());
        assert_eq!(plan, Plan { close: vec![place(1)], open: vec![place(3)] });
        let same = plan_listeners([place(2), place(3)].iter(), wanted.iter());
        assert_eq!(same, Plan::default(), "a stack is no socket");
    }

    #[test]
    fn the_same_port_of_another_address_is_another() {
        let local = Place { address: Some([127, 0, 0, 1].into()), port: 1 };
        let plan = plan_listeners([place(1)].iter(), [listener(local, false)].iter());
        assert_eq!(plan, Plan { close: vec![place(1)], open: vec![local] });
    }

    proptest! {
        #[test]
        fn a_plan_leads_where_it_should(
            open in proptest::collection::btree_set(0_u16..20, 0..10),
            wanted in proptest::collection::vec(0_u16..20, 0..10),
        ) {
            let open: BTreeSet<Place> = open.into_iter().map(place).collect();
            let listeners: Vec<_> = wanted.iter().map(|port| listener(place(*port), false)).collect();
            let plan = plan_listeners(open.iter(), listeners.iter());
            let mut after = open.clone();
            for gone in &plan.close {
                prop_assert!(after.remove(gone), "only what is open is closed");
            }
            for new in &plan.open {
                prop_assert!(after.insert(*new), "nothing is opened twice");
            }
            let wanted: BTreeSet<Place> = wanted.into_iter().map(place).collect();
            prop_assert_eq!(after, wanted);
        }
    }
}
