use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;
use crate::model::snapshot::Defaults;
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

#[tokio::test]
async fn what_is_served_is_told_after_it_is_and_what_is_needed_with_it() {
    let (tables, mut table) = publish::channel(RouteTable::default());
    let (endpoints, _) = publish::channel(Endpoints::default());
    let (built_sender, mut built) = watch::channel(Arc::default());
    let (served_sender, mut served) = watch::channel(Versions::default());
    let wanted = watch::Sender::default();
    let outputs = Outputs { tables, endpoints, built: built_sender, served: served_sender, wanted };
    let (events, received) = mpsc::channel(10);
    let mut task = JoinSet::new();
    task.spawn(run(received, Store::new(Defaults::default(), [C]), outputs));

    // In one go, so that nothing is built between them.
    for event in [Event::Init(C).into(), versioned(5, Some(put("a")))] {
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
