use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const ZONES: [&str; 3] = ["a", "b", "c"];

fn service() -> Service {
    Service {
        key: ServiceKey { namespace: "ns".into(), name: "quote".into() },
        ports: vec![ServicePort { name: "".into(), port: 80 }],
        external_name: false,
        has_selector: true,
    }
}

/// Slices of these endpoints, two each: the number of the address, and its hints.
fn slices(endpoints: &[(u8, &[&str])]) -> Vec<EndpointSlice> {
    let ready = |(number, zones): &(u8, &[&str])| Ready {
        address: IpAddr::from([10, 0, 0, *number]),
        zones: zones.iter().map(|zone| Arc::from(*zone)).collect(),
    };
    let slice = |some: &[(u8, &[&str])]| EndpointSlice {
        service: service().key,
        ports: vec![ServicePort { name: "".into(), port: 8080 }],
        ready: some.iter().map(ready).collect(),
        ending: vec![],
        own_zone: None,
    };
    endpoints.chunks(2).map(slice).collect()
}

/// The numbers of the addresses that are used.
fn used(endpoints: &[(u8, &[&str])], zone: Option<&str>) -> Vec<u8> {
    let slices = slices(endpoints);
    let built = build_endpoints(&service(), &slices.iter(), zone);
    let numbers = built[0].1.iter().map(|address| match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(_) => 0,
    });
    numbers.collect()
}

#[test]
fn requests_stay_in_their_zone_where_kubernetes_says_so() {
    let hinted: &[(u8, &[&str])] = &[(1, &["a"]), (2, &["b"]), (3, &["a", "b"])];
    assert_eq!(used(hinted, Some("a")), [1, 3]);
    assert_eq!(used(hinted, Some("b")), [2, 3]);
    assert_eq!(used(hinted, Some("c")), [1, 2, 3], "nobody is for this zone");
    assert_eq!(used(hinted, None), [1, 2, 3], "nobody knows the zone");
    let partly: &[(u8, &[&str])] = &[(1, &["a"]), (2, &["b"]), (3, &[])];
    assert_eq!(used(partly, Some("a")), [1, 2, 3], "one has no hint");
    assert_eq!(used(&[], Some("a")), Vec::<u8>::new());
}

proptest! {
    /// kube-proxy's rule, read naively.
    #[test]
    fn hints_count_wholly_or_not_at_all(
        hints in proptest::collection::vec(proptest::collection::btree_set(0_usize..3, 0..3), 0..6),
        zone in proptest::option::of(0_usize..3),
    ) {
        let named: Vec<Vec<&str>> =
            hints.iter().map(|some| some.iter().map(|index| ZONES[*index]).collect()).collect();
        let endpoints: Vec<(u8, &[&str])> =
            (1..).zip(named.iter().map(Vec::as_slice)).collect();
        let got: BTreeSet<u8> = used(&endpoints, zone.map(|index| ZONES[index])).into_iter().collect();
        let all: BTreeSet<u8> = endpoints.iter().map(|(number, _)| *number).collect();
        let near: BTreeSet<u8> = match zone {
            None => BTreeSet::new(),
            Some(zone) => (1..).zip(&hints).filter(|(_, it)| it.contains(&zone)).map(|(n, _)| n).collect(),
        };
        let is_used = hints.iter().all(|some| !some.is_empty()) && !near.is_empty();
        prop_assert_eq!(got, if is_used { near } else { all });
    }
}
