//! What the store derives from statements, whatever their order.

use super::*;
use crate::model::service::{Ready, ServicePort};

fn id(collection: Collection, name: &str) -> StatementId {
    StatementId { collection, namespace: "default".into(), name: name.into() }
}

fn key() -> ServiceKey {
    ServiceKey { namespace: "default".into(), name: "web".into() }
}

fn service() -> Statement {
    let port = ServicePort { name: "".into(), port: 80 };
    let service =
        Service { key: key(), ports: vec![port], external_name: false, has_selector: true };
    statement(id(Collection::Services, "web"), vec![service], vec![])
}

fn statement(id: StatementId, services: Vec<Service>, endpoints: Vec<EndpointSlice>) -> Statement {
    let services = services.into_iter().map(Arc::new).collect();
    Statement { id, objects: vec![], services, endpoints, secrets: vec![] }
}

fn slice(name: &str, ready: &[&str]) -> Statement {
    let slice = EndpointSlice {
        service: key(),
        ports: vec![ServicePort { name: "".into(), port: 8080 }],
        ready: ready.iter().map(|ip| ready_at(ip, &[])).collect(),
        ending: vec![],
        own_zone: None,
    };
    statement(id(Collection::EndpointSlices, name), vec![], vec![slice])
}

fn ready_at(ip: &str, zones: &[&str]) -> Ready {
    let zones = zones.iter().map(|zone| Arc::from(*zone)).collect();
    Ready { address: ip.parse().unwrap(), zones }
}

fn addresses(store: &Store) -> Vec<String> {
    let reference = ServiceRef { service: key(), port: 80 };
    store.endpoints().get(&reference).iter().map(ToString::to_string).collect()
}

#[test]
fn endpoints_follow_slices_and_services_in_any_order() {
    let mut store = Store::new(Defaults::default(), [Collection::Services]);
    store.apply(Event::Put(slice("a", &["10.0.0.2", "10.0.0.1"])));
    assert!(addresses(&store).is_empty(), "no Service yet");
    store.apply(Event::Put(service()));
    store.apply(Event::Put(slice("b", &["10.0.0.3"])));
    assert_eq!(addresses(&store), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]);
    assert!(store.snapshot().services.with_endpoints.contains(&key()));

    store.take_changes();
    store.apply(Event::Put(slice("b", &["10.0.0.4"])));
    assert_eq!(store.take_changes(), Changes { snapshot: false, endpoints: true });
    store.apply(Event::Put(slice("b", &["10.0.0.4"])));
    assert_eq!(store.take_changes(), Changes::default());

    store.apply(Event::Put(slice("a", &[])));
    store.apply(Event::Delete(id(Collection::EndpointSlices, "b")));
    assert!(addresses(&store).is_empty());
    assert_eq!(store.take_changes(), Changes { snapshot: true, endpoints: true });
}

#[test]
fn the_last_one_serves_until_it_has_ended() {
    let mut store = Store::new(Defaults::default(), [Collection::Services]);
    store.apply(Event::Put(service()));
    let slice_of = |ready: &[&str], ending: &[&str]| {
        let mut statement = slice("a", ready);
        statement.endpoints[0].ending = ending.iter().map(|ip| ip.parse().unwrap()).collect();
        Event::Put(statement)
    };
    store.apply(slice_of(&["10.0.0.1"], &["10.0.0.2"]));
    assert_eq!(addresses(&store), ["10.0.0.1:8080"]);
    store.apply(slice_of(&[], &["10.0.0.1", "10.0.0.2"]));
    assert_eq!(addresses(&store), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    store.apply(slice_of(&[], &[]));
    assert!(addresses(&store).is_empty());
}

#[test]
fn endpoints_of_the_own_zone_are_taken_as_soon_as_it_is_known() {
    let hinted = || {
        let mut statement = slice("a", &[]);
        statement.endpoints[0].ready =
            vec![ready_at("10.0.0.1", &["a"]), ready_at("10.0.0.2", &["b"])];
        Event::Put(statement)
    };
    // A slice of the gateway's own Service, which nobody routes to.
    let own = |zone: &str| {
        let mut statement = slice("own", &[]);
        statement.endpoints[0].service.name = "nuncio".into();
        statement.endpoints[0].own_zone = Some(zone.into());
        Event::Put(statement)
    };
    for (zone, expected) in [
        (OwnZone::Found, &["10.0.0.2:8080"][..]),
        (OwnZone::Named("a".into()), &["10.0.0.1:8080"]),
        (OwnZone::Ignored, &["10.0.0.1:8080", "10.0.0.2:8080"]),
    ] {
        let mut store = Store::new(Defaults { zone, ..Defaults::default() }, []);
        store.apply(Event::Put(service()));
        store.apply(hinted());
        store.take_changes();
        store.apply(own("b"));
        assert_eq!(addresses(&store), expected);
        let news = store.snapshot().defaults.zone == OwnZone::Found;
        assert_eq!(store.take_changes(), Changes { snapshot: false, endpoints: news });
        store.apply(own("b"));
        assert_eq!(store.take_changes(), Changes::default());
    }
}

#[test]
fn a_new_list_removes_what_it_does_not_repeat() {
    let mut store = Store::new(Defaults::default(), [Collection::EndpointSlices]);
    store.apply(Event::Put(service()));
    store.apply(Event::Put(slice("a", &["10.0.0.1"])));
    store.apply(Event::Put(slice("b", &["10.0.0.2"])));
    assert!(!store.is_synced());
    store.apply(Event::Init(Collection::EndpointSlices));
    store.apply(Event::Put(slice("b", &["10.0.0.2"])));
    assert_eq!(addresses(&store).len(), 2, "nothing goes before the list is complete");
    store.apply(Event::Listed(Collection::EndpointSlices));
    assert_eq!(addresses(&store), ["10.0.0.2:8080"]);
    assert!(store.is_synced());
}
