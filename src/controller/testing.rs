//! Hand-made objects for the tests of this module.

use std::sync::Arc;

use serde_json::json;

use crate::controller::rebuild::Built;
use crate::model::Build;
use crate::model::key::{Carrier, CarrierKind, Kind, ObjectKey, Origin};
use crate::model::object::{Content, Location, Object, Problem};
use crate::model::report::{References, Report, Verdict};
pub(crate) use crate::source::kubernetes::testing::{Call, Server, server};

/// A rejected Mapping; reports decide by their verdict, not by its content.
pub(crate) fn mapping(namespace: &str, name: &str) -> Object {
    Object {
        key: ObjectKey {
            kind: Kind::Mapping,
            namespace: namespace.into(),
            name: name.into(),
            origin: Origin::Resource,
        },
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
    object.key.origin = Origin::Annotation {
        carrier: Carrier {
            kind: CarrierKind::Service,
            namespace: "ns".into(),
            name: carrier.into(),
            uid: format!("uid-{carrier}").into(),
        },
        index,
    };
    object.location = Some(Location { line: 1 + 10 * index, column: 1 });
    object.document = Some(json!({"kind": "Mapping", "name": name}).to_string().into());
    object
}

pub(crate) fn report(object: Object, verdict: Verdict) -> Report {
    Report { object: Arc::new(object), verdict, references: References::Resolved }
}

/// A build of these reports.
pub(crate) fn build(reports: Vec<Report>) -> Arc<Build> {
    let mut reports: Vec<Arc<Report>> = reports.into_iter().map(Arc::new).collect();
    reports.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    Arc::new(Build { reports, ..Build::default() })
}

/// The first build, as it is served; `None` is none yet.
pub(crate) fn built(build: Option<Arc<Build>>) -> Arc<Built> {
    let generation = u64::from(build.is_some());
    Arc::new(Built { generation, build: build.unwrap_or_default(), ..Built::default() })
}
