use super::*;
use crate::model::secret::SecretContents;
use crate::model::tls::RevocationLists;

fn key(name: &str) -> SecretKey {
    SecretKey { namespace: "shop".into(), name: name.into() }
}

fn source(name: &str) -> PemSource {
    PemSource::Secret(key(name))
}

fn unreadable(text: &str) -> SecretState {
    SecretState::Unreadable(text.into())
}

fn file(path: &str, secrets: &[(&str, &str)]) -> Event {
    let name = path.into();
    let id = StatementId { collection: Collection::Files, namespace: "".into(), name };
    let secrets = secrets.iter().map(|(name, text)| (key(name), unreadable(text))).collect();
    let (objects, services, endpoints) = (vec![], vec![], vec![]);
    Event::Put(Statement { id, objects, services, endpoints, secrets })
}

#[test]
fn secrets_of_files_come_and_go_with_them() {
    let mut store = Store::new(Defaults::default(), [Collection::Files]);
    store.apply(file("a", &[("web", "a"), ("mail", "a")]));
    store.apply(file("b", &[("web", "b")]));
    let known = |store: &Store, name: &str| store.snapshot().secrets.get(&key(name)).cloned();
    assert_eq!(known(&store, "web"), Some(unreadable("b")));
    store.take_changes();
    store.apply(file("b", &[]));
    assert_eq!(known(&store, "web"), Some(unreadable("a")), "another file has it too");
    assert!(store.take_changes().snapshot);
    store.apply(file("a", &[("web", "a"), ("mail", "a")]));
    assert_eq!(store.take_changes(), Changes::default());

    // What no file holds is missing, until one does.
    let wanted = BTreeSet::from([source("web"), source("none")]);
    assert!(store.want(&wanted));
    assert!(!store.want(&wanted), "it is known by now");
    assert_eq!(known(&store, "none"), Some(SecretState::Missing));
    store.apply(file("b", &[("none", "b")]));
    assert_eq!(known(&store, "none"), Some(unreadable("b")));
}

#[test]
fn secrets_of_a_cluster_are_what_was_read_of_them() {
    let mut store = Store::new(Defaults::default(), [Collection::Mappings]);
    let wanted = BTreeSet::from([source("web")]);
    assert!(!store.want(&wanted) && !store.is_read(&source("web")), "it isn't read yet");
    store.take_changes();
    store.apply(Event::Pem(source("web"), Some(SecretState::Missing)));
    assert!(store.take_changes().snapshot && store.is_read(&source("web")));
    store.apply(Event::Pem(source("web"), Some(SecretState::Missing)));
    assert_eq!(store.take_changes(), Changes::default());
    store.apply(Event::Pem(source("web"), None));
    assert!(store.take_changes().snapshot && !store.is_read(&source("web")));
    let files = PemSource::Files { certificates: "/tls.crt".into(), key: None };
    store.apply(Event::Pem(files.clone(), Some(SecretState::Missing)));
    assert!(store.take_changes().snapshot && store.is_read(&files));
    assert!(store.needed().iter().next().is_none(), "no replica is asked for them");
}

/// With a revocation list, or with one that can't be read.
fn present(list: Result<&[u8], &str>) -> SecretState {
    let revoked = list.map(|der| Some(Arc::new(RevocationLists(vec![der.into()]))));
    SecretState::Present(Arc::new(SecretContents {
        certificate: Ok(None),
        authorities: Ok(None),
        revoked: revoked.map_err(Arc::from),
    }))
}

#[test]
fn what_could_be_used_last_is_known_as_long_as_it_is_wanted() {
    let mut store = Store::new(Defaults::default(), [Collection::Hosts]);
    let files = PemSource::Files { certificates: "/crl.pem".into(), key: None };
    let known = |store: &Store, source: &PemSource| {
        let good = store.snapshot().last_good.get(source)?;
        Some(good.revoked.as_ref()?.0[0].to_vec())
    };
    for source in [source("web"), files] {
        let mut put = |state| store.apply(Event::Pem(source.clone(), state));
        put(Some(SecretState::Missing));
        put(Some(present(Ok(b"one"))));
        put(Some(present(Ok(b"two"))));
        for worse in [present(Err("no PEM")), unreadable("its type"), SecretState::Missing] {
            put(Some(worse));
        }
        assert_eq!(known(&store, &source), Some(b"two".to_vec()), "{source}");
        store.apply(Event::Pem(source.clone(), None));
        assert_eq!(known(&store, &source), None, "{source}: nobody wants it any more");
    }
}

#[test]
fn what_files_held_last_is_known_as_long_as_it_is_wanted() {
    let mut store = Store::new(Defaults::default(), [Collection::Files]);
    let with = |state: Option<SecretState>| {
        let Event::Put(mut statement) = file("a", &[]) else { panic!("a statement") };
        statement.secrets = state.into_iter().map(|state| (key("web"), state)).collect();
        Event::Put(statement)
    };
    let wanted = BTreeSet::from([source("web")]);
    store.apply(with(Some(present(Ok(b"one")))));
    store.want(&wanted);
    store.apply(with(None));
    store.want(&wanted);
    assert_eq!(store.snapshot().secrets.get(&key("web")), Some(&SecretState::Missing));
    assert!(store.snapshot().last_good.contains_key(&source("web")), "its document was deleted");
    store.want(&BTreeSet::new());
    assert!(!store.snapshot().last_good.contains_key(&source("web")));
}

#[test]
fn time_is_an_input() {
    let mut store = Store::new(Defaults::default(), []);
    store.take_changes();
    store.apply(Event::Now(7));
    assert_eq!((store.snapshot().now, store.take_changes().snapshot), (7, true));
    store.apply(Event::Now(7));
    assert_eq!(store.take_changes(), Changes::default());
}
