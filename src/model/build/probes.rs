//! The gateway's own health, answered on the data ports as Emissary does.
//!
//! Load balancers in front of the gateway ask there. They are routes like any other: a longer
//! path or a larger precedence of a user's comes before them.

use std::sync::{Arc, LazyLock};

use crate::model::common::Common;
use crate::model::config::{Attachment, Leg, RouteGroup, Share};
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::policy::RoutePolicy;
use crate::model::route::{
    Action, HeaderEdits, HostMatch, PathMatch, PathMatchKind, Probe, Route, RouteMatch,
};

/// Made once, so that each build holds the same ones. Every host serves them: whether a load
/// balancer finds the gateway well must not hang on a selector.
static GROUPS: LazyLock<[Arc<RouteGroup>; 2]> = LazyLock::new(|| {
    [
        group("check_alive", "/ambassador/v0/check_alive", Probe::Alive),
        group("check_ready", "/ambassador/v0/check_ready", Probe::Ready),
    ]
});

/// The routes of the probes.
pub(super) fn groups() -> impl Iterator<Item = Arc<RouteGroup>> {
    GROUPS.iter().cloned()
}

fn group(name: &str, prefix: &str, probe: Probe) -> Arc<RouteGroup> {
    let matches = Arc::new(RouteMatch {
        host: Some(HostMatch::Any),
        path: PathMatch { kind: PathMatchKind::Prefix(prefix.into()), case_sensitive: true },
        method: None,
        headers: vec![],
        query: vec![],
    });
    let route = Route {
        matches,
        precedence: 0,
        weight: None,
        action: Action::Probe(probe),
        request_headers: HeaderEdits::default().share(),
        response_headers: HeaderEdits::default().share(),
        policy: RoutePolicy::default().share(),
    };
    let key = Arc::new(ObjectKey {
        kind: Kind::Probe,
        namespace: "".into(),
        name: name.into(),
        origin: Origin::BuiltIn,
    });
    let leg = Leg {
        key,
        created: None,
        share: Share::ALL,
        route: Arc::new(route),
        written: None,
        mirror: None,
    };
    let attachment = Arc::new(Attachment::BY_HOST);
    Arc::new(RouteGroup { precedence: 0, attachment, legs: vec![Arc::new(leg)] })
}
