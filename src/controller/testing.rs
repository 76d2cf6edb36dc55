//! Hand-made objects for the tests of this module.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::controller::lead::Leadership;
use crate::controller::rebuild::Built;
use crate::controller::replicas::{Barrier, Link, Replica, Replicas, Said};
use crate::model::Build;
use crate::model::key::{Carrier, CarrierKind, Kind, ObjectKey, Origin};
use crate::model::object::{Content, Location, Object, Problem};
use crate::model::report::{References, Report, Verdict};
use crate::source::Collection;
pub(crate) use crate::source::kubernetes::testing::{Call, Server, server};
use crate::source::versions::Versions;

/// A rejected Mapping; reports decide by their verdict, not by its content.
pub(crate) fn mapping(namespace: &str, name: &str) -> Object {
    Object {
        key: Arc::new(ObjectKey {
            kind: Kind::Mapping,
            namespace: namespace.into(),
            name: name.into(),
            origin: Origin::Resource,
        }),
        uid: None,
        generation: Some(1),
        created: None,
        labels: Arc::default(),
        ambassador_id: Arc::from(["default".to_owned()]),
        location: None,
        content: Content::Rejected,
        problems: vec![Problem::error("prefix", "is required")],
        document: None,
    }
}

/// A document of the annotation of Service `carrier`.
pub(crate) fn document(carrier: &str, index: u32, name: &str) -> Object {
    let mut object = mapping("ns", name);
    Arc::make_mut(&mut object.key).origin = Origin::Annotation {
        carrier: Arc::new(Carrier {
            kind: CarrierKind::Service,
            namespace: "ns".into(),
            name: carrier.into(),
            uid: format!("uid-{carrier}").into(),
        }),
        index,
    };
    object.location = Some(Location { line: 1 + 10 * index, column: 1 });
    object.document = Some(json!({"kind": "Mapping", "name": name}).to_string().into());
    object
}

pub(crate) fn report(object: Object, verdict: Verdict) -> Report {
    Report {
        object: Arc::new(object),
        verdict,
        references: References::Resolved,
        failure: None,
        warning: None,
    }
}

/// A build of these reports.
pub(crate) fn build(reports: Vec<Report>) -> Arc<Build> {
    let reports = reports.into_iter().map(Arc::new).collect();
    Arc::new(Build { reports, ..Build::default() })
}

/// The first build, as it is served; `None` is none yet.
pub(crate) fn built(build: Option<Arc<Build>>) -> Arc<Built> {
    let generation = u64::from(build.is_some());
    Arc::new(Built { generation, build: build.unwrap_or_default(), ..Built::default() })
}

/// A lease that is held for longer than any test takes, or none.
pub(crate) fn lease(is_held: bool) -> Leadership {
    match is_held {
        true => Leadership::until(Instant::now() + Duration::from_secs(1_000_000)),
        false => Leadership::default(),
    }
}

/// Replicas, and what follows them.
pub(in crate::controller) fn barrier(
    replicas: Replicas,
) -> (watch::Sender<Arc<Replicas>>, Barrier) {
    let (sender, replicas) = watch::channel(Arc::new(replicas));
    let grace = Duration::from_secs(30);
    (sender, Barrier { replicas, grace, timings: Arc::default() })
}

/// Another replica that gets requests and has come this far.
pub(crate) fn other(number: u64) -> Arc<Replicas> {
    let served = needs(number);
    let said = Said { instance: "b_1".to_owned(), version: String::new(), ready: true, served };
    let address = ([10, 0, 0, 1], 8877).into();
    let replica = Replica { address, serving: true, link: Link::Connected, said: Some(said) };
    Arc::new(Replicas { by_name: [("b".into(), replica)].into(), ..Replicas::default() })
}

fn needs(number: u64) -> Versions {
    [(Collection::Mappings, Some(number))].into_iter().collect()
}

/// A build that others serve when they have come this far.
pub(crate) fn built_at(number: u64, reports: Vec<Report>) -> Arc<Built> {
    let build = build(reports);
    let needed = Arc::new(needs(number));
    Arc::new(Built { generation: number, build, needed, ..Built::default() })
}
