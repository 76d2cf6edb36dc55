//! Tests of the build, over hand-made objects.

use std::sync::Arc;

use http::StatusCode;

use super::groups::shares;
use super::{Build, build};
use crate::model::cluster::ServiceRef;
use crate::model::config::RouteGroup;
use crate::model::key::{Carrier, CarrierKind, Kind, ObjectKey, Origin, ServiceKey};
use crate::model::object::{Content, Object, Problem};
use crate::model::report::{Conflict, Detached, References, ShadowRule, Verdict};
use crate::model::route::{
    Action, Forward, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite, Redirect,
    RedirectPath, Route, RouteMatch,
};
use crate::model::service::{Service, ServicePort};
use crate::model::snapshot::{Defaults, Snapshot};
use crate::model::sorted::{Keyed, Sorted};
use crate::model::written::{UpstreamSpec, WrittenRoute};

fn mapping_to(host: &str) -> Object {
    mapping("m", 1, forward_to(host, "/", None))
}

fn forward(prefix: &str, weight: Option<u8>) -> WrittenRoute {
    forward_to("web.default", prefix, weight)
}

fn forward_to(host: &str, prefix: &str, weight: Option<u8>) -> WrittenRoute {
    let cluster = UpstreamSpec::plain(host, 80, "default");
    let forward = Forward { cluster, path: PathRewrite::Keep, host: HostRewrite::Keep };
    route(prefix, weight, Action::Forward(forward))
}

fn redirect(prefix: &str) -> WrittenRoute {
    let redirect = Redirect {
        authority: "elsewhere".into(),
        path: RedirectPath::Keep,
        status: StatusCode::MOVED_PERMANENTLY,
    };
    route(prefix, None, Action::Redirect(Arc::new(redirect)))
}

fn route(prefix: &str, weight: Option<u8>, action: Action<UpstreamSpec>) -> WrittenRoute {
    Route {
        matches: Arc::new(RouteMatch {
            host: Some(HostMatch::Any),
            path: PathMatch { kind: PathMatchKind::Prefix(prefix.into()), case_sensitive: true },
            method: None,
            headers: vec![],
            query: vec![],
        }),
        precedence: 0,
        weight,
        action,
        request_headers: Arc::default(),
        response_headers: Arc::default(),
        policy: Arc::default(),
    }
}

fn object(name: &str, created: i64, content: Content) -> Object {
    Object {
        key: Arc::new(ObjectKey {
            kind: Kind::Mapping,
            namespace: "default".into(),
            name: name.into(),
            origin: Origin::Resource,
        }),
        uid: None,
        generation: Some(1),
        created: Some(created),
        labels: Arc::default(),
        ambassador_id: ["default".to_owned()].into(),
        location: None,
        content,
        problems: vec![],
        document: None,
    }
}

fn mapping(name: &str, created: i64, route: WrittenRoute) -> Object {
    object(name, created, Content::Route(Arc::new(route)))
}

fn annotation(name: &str, created: i64, carrier_namespace: &str) -> Object {
    let carrier = Carrier {
        kind: CarrierKind::Service,
        namespace: carrier_namespace.into(),
        name: "web".into(),
        uid: "".into(),
    };
    let mut object = mapping(name, created, forward("/", None));
    Arc::make_mut(&mut object.key).origin =
        Origin::Annotation { carrier: Arc::new(carrier), index: 0 };
    object
}

fn snapshot(objects: Vec<Object>) -> Snapshot {
    Snapshot { objects: objects.into_iter().map(Arc::new).collect(), ..Snapshot::default() }
}

fn built(objects: Vec<Object>) -> Build {
    build(&snapshot(objects), &Build::default())
}

/// The groups that objects asked for, without the gateway's own.
fn written(build: &Build) -> impl Iterator<Item = &Arc<RouteGroup>> {
    let groups = build.config.groups.iter();
    groups.filter(|group| group.first().key.origin != Origin::BuiltIn)
}

#[test]
fn probes_are_always_there() {
    assert_eq!(built(vec![]).config.groups.len(), 2);
}

fn first<T: Keyed>(list: &Sorted<Arc<T>>) -> &Arc<T> {
    list.iter().next().unwrap()
}

fn verdict<'a>(build: &'a Build, name: &str) -> &'a Verdict {
    let mut reports = build.reports.iter().filter(|report| &*report.object.key.name == name);
    &reports.next().unwrap_or_else(|| panic!("no report on {name}")).verdict
}

#[test]
fn shares_are_exact() {
    let rows: &[(&[Option<u8>], &[u8])] = &[
        (&[Some(10)], &[100]),
        (&[None], &[100]),
        (&[None, None, None], &[33, 33, 34]),
        (&[Some(20), None], &[20, 80]),
        (&[Some(80), Some(20)], &[80, 20]),
        (&[Some(30), Some(30)], &[30, 30]),
        (&[Some(100), None], &[100, 0]),
        (&[Some(0), None], &[0, 100]),
        (&[None, Some(50), None], &[25, 50, 25]),
    ];
    for (weights, expected) in rows {
        let shares = shares(weights);
        let percents: Vec<u8> = shares.iter().map(|share| share.percent()).collect();
        assert_eq!(percents, *expected, "{weights:?}");
        let ends = shares.iter().map(|share| share.from).skip(1);
        assert!(shares.iter().map(|share| share.to).zip(ends).all(|(to, from)| to == from));
    }
}

#[test]
fn the_same_match_makes_one_group_oldest_first() {
    let build = built(vec![
        mapping("young", 20, forward("/a", Some(30))),
        mapping("old", 10, forward("/a", None)),
        mapping("other", 5, forward("/b", None)),
    ]);
    let names: Vec<Vec<&str>> = written(&build)
        .map(|group| group.legs.iter().map(|leg| &*leg.key.name).collect())
        .collect();
    assert_eq!(names, [vec!["old", "young"], vec!["other"]]);
}

#[test]
fn weights_that_are_too_much_cost_the_youngest_only() {
    let build = built(vec![
        mapping("a", 1, forward("/a", Some(80))),
        mapping("b", 2, forward("/a", Some(30))),
        mapping("c", 3, forward("/a", Some(20))),
    ]);
    assert_eq!(*verdict(&build, "a"), Verdict::Accepted);
    assert_eq!(*verdict(&build, "c"), Verdict::Accepted);
    let Verdict::Conflicted { with, conflict } = verdict(&build, "b") else {
        panic!("b is too much")
    };
    assert_eq!((&*with.name, *conflict), ("a", Conflict::Weight { own: 30, left: 20 }));
}

#[test]
fn a_redirect_does_not_mix() {
    let build = built(vec![mapping("a", 1, forward("/a", None)), mapping("b", 2, redirect("/a"))]);
    assert!(matches!(
        verdict(&build, "b"),
        Verdict::Conflicted { conflict: Conflict::Redirect, .. }
    ));
    assert_eq!(written(&build).next().unwrap().legs.len(), 1);
}

#[test]
fn one_name_is_served_once() {
    let rows: Vec<(Vec<Object>, ShadowRule)> = vec![
        (
            vec![mapping("m", 9, forward("/", None)), annotation("m", 1, "default")],
            ShadowRule::ResourceFirst,
        ),
        (
            vec![annotation("m", 9, "default"), annotation("m", 1, "elsewhere")],
            ShadowRule::OwnNamespaceFirst,
        ),
    ];
    for (objects, expected) in rows {
        let loser = objects[1].key.clone();
        let build = built(objects);
        let report = build.reports.iter().find(|r| r.object.key == loser).unwrap();
        assert!(
            matches!(report.verdict, Verdict::Shadowed { rule, .. } if rule == expected),
            "{:?}",
            report.verdict
        );
        assert_eq!(written(&build).count(), 1);
    }
}

#[test]
fn a_bad_object_harms_no_other() {
    let mut bad = object("bad", 1, Content::Rejected);
    bad.problems.push(Problem::error("prefix", "is missing"));
    let mut homeless = forward("/", None);
    Arc::make_mut(&mut homeless.matches).host = None;
    let build =
        built(vec![bad, mapping("homeless", 1, homeless), mapping("good", 1, forward("/a", None))]);
    assert_eq!(*verdict(&build, "bad"), Verdict::Rejected);
    assert_eq!(*verdict(&build, "homeless"), Verdict::NotAttached(Detached::Unnamed));
    assert_eq!(*verdict(&build, "good"), Verdict::Accepted);
    assert_eq!(written(&build).count(), 1);
}

#[test]
fn other_gateways_objects_are_not_ours() {
    let mut foreign = mapping("foreign", 1, forward("/", None));
    foreign.ambassador_id = ["other".to_owned()].into();
    let mut any = mapping("any", 1, forward("/", None));
    any.ambassador_id = ["_automatic_".to_owned()].into();
    let build = built(vec![foreign, any]);
    assert_eq!(build.reports.len(), 1);
    assert_eq!(*verdict(&build, "any"), Verdict::Accepted);
}

#[test]
fn missing_services_are_told() {
    let key = ServiceKey { namespace: "default".into(), name: "web".into() };
    let reference = |port| ServiceRef { service: key.clone(), port };
    let mut snapshot = snapshot(vec![mapping("m", 1, forward("/", None))]);
    let references =
        |snapshot: &Snapshot| first(&build(snapshot, &Build::default()).reports).references.clone();
    assert_eq!(references(&snapshot), References::Resolved, "nobody knows");

    snapshot.defaults = Defaults { services_known: true, ..Defaults::default() };
    let service = |key: &ServiceKey, port| {
        let ports = vec![ServicePort { name: "".into(), port }];
        let key = key.clone();
        Arc::new(Service { key, ports, external_name: false, has_selector: true })
    };
    assert_eq!(references(&snapshot), References::ServiceNotFound(key.clone()));
    Arc::make_mut(&mut snapshot.services).by_key.insert(key.clone(), service(&key, 81));
    assert_eq!(references(&snapshot), References::PortNotFound(reference(80), vec![81]));
    Arc::make_mut(&mut snapshot.services).by_key.insert(key.clone(), service(&key, 80));
    assert_eq!(references(&snapshot), References::NoEndpoints(key.clone()));
    Arc::make_mut(&mut snapshot.services).with_endpoints.insert(key);
    assert_eq!(references(&snapshot), References::Resolved);
}

#[test]
fn a_name_with_a_dot_is_the_clusters_where_its_namespace_is() {
    let mut snapshot = snapshot(vec![mapping_to("httpbin.org")]);
    snapshot.defaults = Defaults { services_known: true, ..Defaults::default() };
    let references =
        |snapshot: &Snapshot| first(&build(snapshot, &Build::default()).reports).references.clone();
    assert_eq!(references(&snapshot), References::Resolved);
    let neighbour = ServiceKey { namespace: "org".into(), name: "other".into() };
    let service =
        Service { key: neighbour.clone(), ports: vec![], external_name: false, has_selector: true };
    Arc::make_mut(&mut snapshot.services).by_key.insert(neighbour, Arc::new(service));
    let missing = ServiceKey { namespace: "org".into(), name: "httpbin".into() };
    assert_eq!(references(&snapshot), References::ServiceNotFound(missing));
}

#[test]
fn unchanged_parts_keep_their_address() {
    let mut snapshot =
        snapshot(vec![mapping("a", 1, forward("/a", None)), mapping("b", 1, forward("/b", None))]);
    let first = build(&snapshot, &Build::default());
    let second = build(&snapshot, &first);
    assert!(Arc::ptr_eq(&first.config, &second.config));
    assert!(first.reports.iter().zip(second.reports.iter()).all(|(a, b)| Arc::ptr_eq(a, b)));

    let changed = Arc::new(mapping("b", 1, forward("/c", None)));
    snapshot.objects.insert(changed);
    let third = build(&snapshot, &second);
    for (change, of) in [
        (third.config.groups.changes(&second.config.groups).len(), "groups"),
        (third.reports.changes(&second.reports).len(), "reports"),
    ] {
        assert_eq!(change, 1, "{of}");
    }
    assert_eq!(third, build(&snapshot, &Build::default()), "what is lent changes nothing");
}
