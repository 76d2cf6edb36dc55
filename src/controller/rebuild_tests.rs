use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;
use crate::model::key::Kind;
use crate::model::listener::InsecureAction;
use crate::model::object::Content;
use crate::model::route::HostMatch;
use crate::model::snapshot::Defaults;
use crate::model::written::HostSpec;
use crate::publish;
use crate::source::versions::{Version, Versions};
use crate::source::{Collection, Statement, StatementId};

const C: Collection = Collection::Mappings;

fn versions(number: u64) -> Versions {
    [(C, Some(number))].into_iter().collect()
}

fn versioned(number: u64, event: Option<Event>) -> Arrival {
    Event::Versioned(Version { collection: C, number }, event.map(Box::new)).into()
}

/// A Mapping of this name.
fn put(name: &str) -> Event {
    let id = StatementId { collection: C, namespace: "ns".into(), name: name.into() };
    let object = crate::controller::testing::mapping("ns", name);
    let (services, endpoints) = (Vec::new(), Vec::new());
    Event::Put(Statement {
        id,
        objects: vec![Arc::new(object)],
        services,
        endpoints,
        secrets: vec![],
    })
}

/// A Host with a certificate in `ns/NAME`.
fn put_host(name: &str) -> Event {
    let id = StatementId { collection: C, namespace: "ns".into(), name: name.into() };
    let mut object = crate::controller::testing::mapping("ns", name);
    Arc::make_mut(&mut object.key).kind = Kind::Host;
    object.problems.clear();
    object.content = Content::Host(Arc::new(HostSpec {
        name: HostMatch::Exact(format!("{name}.example.com").into()),
        port: None,
        selector: Arc::default(),
        insecure: InsecureAction::Redirect,
        certificate: Some(secret(name)),
        context: None,
        tls: None,
    }));
    let (services, endpoints, secrets) = (Vec::new(), Vec::new(), Vec::new());
    Event::Put(Statement { id, objects: vec![Arc::new(object)], services, endpoints, secrets })
}

fn secret(name: &str) -> SecretKey {
    SecretKey { namespace: "ns".into(), name: name.into() }
}

/// Nobody has made the Secret.
fn missing(namespace: &str, name: &str) -> Arrival {
    let key = SecretKey { namespace: namespace.into(), name: name.into() };
    Event::Pem(PemSource::Secret(key), Some(SecretState::Missing)).into()
}

/// Every build looks for this one.
fn no_fallback() -> Arrival {
    missing("", "fallback-self-signed-cert")
}

struct Scene {
    events: mpsc::Sender<Arrival>,
    built: watch::Receiver<Arc<Built>>,
    served: watch::Receiver<Versions>,
    wanted: watch::Receiver<Wanted>,
    table: publish::Reader<RouteTable>,
    _task: JoinSet<()>,
}

fn scene() -> Scene {
    let (tables, table) = publish::channel(RouteTable::default());
    let (endpoints, _) = publish::channel(Endpoints::default());
    let (built_sender, built) = watch::channel(Arc::default());
    let (served_sender, served) = watch::channel(Versions::default());
    let (wanted_sender, wanted) = watch::channel(Wanted::default());
    let outputs = Outputs {
        tables,
        endpoints,
        built: built_sender,
        served: served_sender,
        wanted: wanted_sender,
    };
    let (events, received) = mpsc::channel(10);
    let mut task = JoinSet::new();
    task.spawn(run(received, Store::new(Defaults::default(), [C]), outputs));
    Scene { events, built, served, wanted, table, _task: task }
}

impl Scene {
    async fn say(&self, event: impl Into<Arrival>) {
        self.events.send(event.into()).await.unwrap();
    }

    /// Waits for a build that is served.
    async fn next(&mut self) -> Arc<Built> {
        self.built.changed().await.unwrap();
        Arc::clone(&self.built.borrow_and_update())
    }

    /// Lists one Host and waits until its Secret is asked for.
    async fn list_host(&mut self) {
        self.say(Event::Init(C)).await;
        self.say(put_host("a")).await;
        self.say(versioned(9, Some(Event::Listed(C)))).await;
        let source = PemSource::Secret(secret("a"));
        self.wanted.wait_for(|wanted| wanted.contains(&source)).await.unwrap();
    }
}

/// What is said of the Host.
fn reason(built: &Arc<Built>) -> &'static str {
    let mut reports = built.reports().iter();
    reports.find(|report| report.object.key.kind == Kind::Host).unwrap().conditions()[0].reason
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_before_the_secrets_that_are_wanted_have_been_read() {
    let mut scene = scene();
    scene.list_host().await;
    scene.say(no_fallback()).await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!scene.built.has_changed().unwrap());
    assert_eq!(*scene.served.borrow(), Versions::default(), "nor told to other replicas");
    scene.say(missing("ns", "a")).await;
    let built = scene.next().await;
    assert_eq!((built.generation, built.timing.events), (1, 5));
    assert_eq!(reason(&built), "SecretNotFound");
    assert!(built.timing.change >= Duration::from_secs(5), "the wait is part of the change's way");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    scene.table.get();
    assert_eq!(scene.table.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_secret_that_cant_be_read_doesnt_keep_all_others_from_being_served() {
    let mut scene = scene();
    let begun = Instant::now();
    scene.list_host().await;
    scene.say(no_fallback()).await;
    let built = scene.next().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(reason(&built), "SecretNotRead");

    // It was waited for in vain, and is not again.
    scene.say(put("b")).await;
    scene.next().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    scene.say(missing("ns", "a")).await;
    assert_eq!(reason(&scene.next().await), "SecretNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_new_name_is_waited_for_a_moment_while_the_last_build_is_served() {
    let mut scene = scene();
    scene.list_host().await;
    for event in [no_fallback(), missing("ns", "a")] {
        scene.say(event).await;
    }
    let first = scene.next().await;
    let begun = Instant::now();
    scene.say(put_host("b")).await;
    scene.say(versioned(20, Some(put("m")))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!scene.built.has_changed().unwrap());
    assert_eq!(*scene.served.borrow(), versions(9));
    scene.say(missing("ns", "b")).await;
    let second = scene.next().await;
    assert_eq!(second.reports().len(), first.reports().len() + 2);
    scene.served.wait_for(|served| *served == versions(20)).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(300));

    // Somebody who names Secrets that can't be read holds others up for a second, once.
    let begun = Instant::now();
    scene.say(put_host("c")).await;
    scene.next().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    scene.say(put("n")).await;
    scene.next().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_served_is_told_after_it_is_and_what_is_needed_with_it() {
    let Scene { events, mut built, mut served, mut table, _task, .. } = scene();

    // In one go, so that nothing is built between them.
    for event in [no_fallback(), Event::Init(C).into(), versioned(5, Some(put("a")))] {
        events.send(event).await.unwrap();
    }
    events.send(versioned(9, Some(Event::Listed(C)))).await.unwrap();
    served.changed().await.unwrap();
    assert_eq!(*served.borrow_and_update(), versions(9), "not before the list is complete");
    assert_eq!(*built.borrow_and_update().needed, versions(5));
    table.get();
    assert_eq!(table.generation(), 1, "it is served by then");

    // A status: nothing to build, but it has been seen.
    events.send(versioned(11, None)).await.unwrap();
    served.changed().await.unwrap();
    assert_eq!(*served.borrow_and_update(), versions(11));
    assert!(!built.has_changed().unwrap());

    events.send(versioned(12, Some(put("b")))).await.unwrap();
    served.changed().await.unwrap();
    assert_eq!(*served.borrow_and_update(), versions(12));
    assert_eq!(*built.borrow_and_update().needed, versions(12));
    assert_eq!(built.borrow().reports().len(), 2);
}

#[test]
fn only_a_dear_build_is_followed_by_a_rest_which_has_an_end() {
    for (cost, expected) in [(300, 0), (1_000, 1_000), (40_000, 40_000), (5_000_000, 1_000_000)] {
        assert_eq!(rest(Duration::from_micros(cost)), Duration::from_micros(expected));
    }
}
