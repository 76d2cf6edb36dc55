use proptest::prelude::*;

use super::*;
use crate::source::Collection;

fn versions(number: u64) -> Versions {
    [(Collection::Mappings, Some(number))].into_iter().collect()
}

fn said(number: u64, ready: bool) -> Said {
    let (instance, version) = (String::new(), String::new());
    Said { instance, version, ready, served: versions(number) }
}

fn replica(serving: bool, link: Link, said: Option<Said>) -> Replica {
    Replica { address: ([10, 0, 0, 1], 8877).into(), serving, link, said }
}

fn lost() -> Link {
    Link::Lost("connection refused".into())
}

fn replicas(all: Vec<Replica>) -> Replicas {
    let named =
        all.into_iter().enumerate().map(|(n, replica)| (format!("pod-{n}").into(), replica));
    Replicas { membership: Membership::Known, by_name: named.collect() }
}

#[test]
fn each_replica_counts_by_what_is_known_best() {
    let rows = [
        // (Kubernetes sends it requests, connection, what it said, the reason to wait for it)
        (true, Link::Connected, Some(said(5, true)), None),
        (true, Link::Connected, Some(said(4, true)), Some("it is behind")),
        // It is ready before Kubernetes knows, and gets requests soon.
        (false, Link::Connected, Some(said(4, true)), Some("it is behind")),
        // It has begun to end before Kubernetes knows.
        (true, Link::Connected, Some(said(4, false)), None),
        (true, Link::Connecting, None, Some("not connected yet")),
        (false, Link::Connecting, None, None),
        (true, lost(), None, Some("connection refused")),
        (false, lost(), None, None),
        (false, lost(), Some(said(4, true)), None),
        (true, lost(), Some(said(4, true)), Some("connection refused")),
        // It was there already when it fell silent.
        (true, lost(), Some(said(5, true)), None),
    ];
    for (serving, link, said, reason) in rows {
        let shown = format!("{serving} {link:?} {said:?}");
        let expected = match reason {
            None => Judgement::Confirmed,
            Some(reason) => Judgement::Waiting(vec![("pod-0".into(), reason.into())]),
        };
        assert_eq!(
            replicas(vec![replica(serving, link, said)]).judge(&versions(5)),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn messages_name_a_few_and_say_why() {
    let unknown = Replicas::unknown("no permission").judge(&versions(1));
    let alone = Replicas::default().judge(&versions(1));
    assert_eq!(alone, Judgement::Confirmed);
    let of = |count| replicas(vec![replica(true, lost(), None); count]).judge(&versions(1));
    let pending = "Waiting until every replica serves this generation; not yet confirmed by";
    let rows = [
        (
            unknown,
            "Not known yet whether every replica serves this generation: no permission".to_owned(),
            ", except that it is not known which other replicas there are: no permission",
        ),
        (
            of(1),
            format!("{pending} pod-0"),
            ", except that replica pod-0 has not confirmed it for more than 30 s: connection refused",
        ),
        (
            of(2),
            format!("{pending} pod-0, pod-1"),
            ", except that pod-0 (connection refused), pod-1 (connection refused) have not confirmed it for more than 30 s",
        ),
        (
            of(5),
            format!("{pending} pod-0, pod-1, pod-2 and 2 more"),
            ", except that pod-0 (connection refused), pod-1 (connection refused), pod-2 (connection refused) and 2 more have not confirmed it for more than 30 s",
        ),
    ];
    for (judgement, pending, except) in rows {
        assert_eq!(
            (judgement.pending_text(), judgement.except_text(30)),
            (pending, except.to_owned())
        );
    }
}

fn any_replica() -> impl Strategy<Value = Replica> {
    let link = prop_oneof![Just(Link::Connecting), Just(Link::Connected), Just(lost())];
    let said = prop::option::of((0..10_u64, any::<bool>()).prop_map(|(n, ready)| said(n, ready)));
    (any::<bool>(), link, said).prop_map(|(serving, link, said)| replica(serving, link, said))
}

proptest! {
    /// What is confirmed is confirmed by everyone who takes requests as far as can be known, and
    /// waiting never goes on for somebody who has confirmed.
    #[test]
    fn confirmed_is_what_everybody_has(all in prop::collection::vec(any_replica(), 0..5), needed in 0..10_u64) {
        let replicas = replicas(all);
        let has = |replica: &Replica| {
            replica.said.as_ref().is_some_and(|said| said.served.covers(&versions(needed)))
        };
        match replicas.judge(&versions(needed)) {
            Judgement::Confirmed => for replica in replicas.by_name.values() {
                let connected = replica.link == Link::Connected;
                let idle = match (&replica.said, connected) {
                    (Some(said), true) => !said.ready,
                    _ => !replica.serving,
                };
                prop_assert!(has(replica) || idle, "{replica:?}");
            },
            Judgement::Waiting(names) => {
                prop_assert!(!names.is_empty());
                for (name, _) in names {
                    prop_assert!(!has(&replicas.by_name[&name]));
                }
            }
            Judgement::Unknown(_) => prop_assert!(false, "the list is complete"),
        }
    }
}
