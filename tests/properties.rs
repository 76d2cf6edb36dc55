//! Properties of the pure core: the compiled table equals the naive reading of the rules, and
//! a build does not depend on the order in which objects came.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue, Method};
use nuncio::model::config::Leg;
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::object::{Content, Object};
use nuncio::model::policy::RoutePolicy;
use nuncio::model::regex::Regex;
use nuncio::model::route::{
    Action, Forward, HeaderEdits, HeaderMatch, HostMatch, HostRewrite, PathMatch, PathMatchKind,
    PathRewrite, QueryMatch, Route, RouteMatch, ValueMatch,
};
use nuncio::model::snapshot::{Defaults, Snapshot};
use nuncio::model::written::{UpstreamSpec, WrittenRoute};
use nuncio::model::{Build, build};
use nuncio::routing::{Outcome, RequestHead, RouteTable};
use nuncio::source::store::Store;
use nuncio::source::{Collection, Event, Statement, StatementId};
use proptest::prelude::*;

/// Compiled once: compiling is what costs. Three for paths, one for hosts, one for values.
static REGEXES: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    ["/a.*", "/[ab]+", "/.*", "[xy]\\.io", "[12]"].map(|text| Regex::full(text).expect("valid"))
});

/// Small alphabets, so that matches overlap often.
fn path_match() -> impl Strategy<Value = PathMatch> {
    let text = "/[abAB]{0,2}(/[ab]{0,1})?";
    let kind = prop_oneof![
        3 => text.prop_map(|t| PathMatchKind::Prefix(t.into())),
        2 => text.prop_map(|t| PathMatchKind::Exact(t.into())),
        1 => (0_usize..3).prop_map(|n| PathMatchKind::Regex(REGEXES[n].clone())),
    ];
    (kind, prop::bool::weighted(0.8)).prop_map(|(kind, case_sensitive)| {
        let case_sensitive = case_sensitive || matches!(kind, PathMatchKind::Regex(_));
        PathMatch { kind, case_sensitive }
    })
}

fn host_match() -> impl Strategy<Value = HostMatch> {
    prop_oneof![
        4 => Just(HostMatch::Any),
        2 => prop_oneof![Just("x.io"), Just("y.io"), Just("x.io:81")]
            .prop_map(|h| HostMatch::Exact(h.into())),
        2 => prop_oneof![Just(".io"), Just("x.io"), Just("o")].prop_map(|h| HostMatch::Suffix(h.into())),
        1 => prop_oneof![Just("x."), Just("x")].prop_map(|h| HostMatch::Prefix(h.into())),
        1 => Just(HostMatch::Regex(REGEXES[3].clone())),
    ]
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        Just(ValueMatch::Present),
        Just(ValueMatch::Exact("1".into())),
        Just(ValueMatch::Regex(REGEXES[4].clone())),
    ]
}

fn route() -> impl Strategy<Value = WrittenRoute> {
    let method = prop::option::weighted(0.3, Just(ValueMatch::Exact("POST".into())));
    let headers = prop::collection::vec(value_match(), 0..2).prop_map(|values| {
        values.into_iter().map(|value| HeaderMatch { name: "x-h".into(), value }).collect()
    });
    let query = prop::collection::vec(value_match(), 0..2).prop_map(|values| {
        values.into_iter().map(|value| QueryMatch { name: "q".into(), value }).collect()
    });
    let weight = prop::option::weighted(0.4, 0_u8..=100);
    let precedence = prop_oneof![4 => Just(0), 1 => -1_i64..3];
    (host_match(), path_match(), method, headers, query, weight, precedence).prop_map(
        |(host, path, method, headers, query, weight, precedence)| Route {
            matches: RouteMatch { host: Some(host), path, method, headers, query },
            precedence,
            weight,
            action: forward(),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            policy: RoutePolicy::default(),
        },
    )
}

fn forward() -> Action<UpstreamSpec> {
    Action::Forward(Forward {
        cluster: UpstreamSpec::plain("web", 80, "default"),
        path: PathRewrite::Keep,
        host: HostRewrite::Keep,
    })
}

fn objects() -> impl Strategy<Value = Vec<Arc<Object>>> {
    prop::collection::vec((route(), prop::option::of(0_i64..3)), 0..24).prop_map(|routes| {
        let objects = routes.into_iter().enumerate().map(|(n, (route, created))| Object {
            key: ObjectKey {
                kind: Kind::Mapping,
                namespace: "default".into(),
                name: format!("m{n}").into(),
                origin: Origin::Resource,
            },
            generation: Some(1),
            created,
            labels: Arc::default(),
            ambassador_id: ["default".to_owned()].into(),
            location: None,
            content: Content::Route(Arc::new(route)),
            problems: vec![],
            document: None,
        });
        objects.map(Arc::new).collect()
    })
}

fn built(objects: &[Arc<Object>]) -> Build {
    let objects: BTreeMap<_, _> =
        objects.iter().map(|object| (object.key.clone(), Arc::clone(object))).collect();
    build(&Snapshot { objects, ..Snapshot::default() }, &Build::default())
}

#[derive(Debug, Clone)]
struct Asked {
    host: String,
    path: String,
    query: Option<String>,
    method: Method,
    headers: HeaderMap,
    draw: u8,
}

fn asked() -> impl Strategy<Value = Asked> {
    let host = prop_oneof![
        Just("x.io"),
        Just("y.io"),
        Just("X.IO"),
        Just("x.io:81"),
        Just("z.x.io"),
        Just("q"),
        Just(""),
    ];
    let query = prop::option::of(prop_oneof![Just("q=1"), Just("q=2&q=1"), Just("q"), Just("a=b")]);
    let method = prop_oneof![Just(Method::GET), Just(Method::POST)];
    let header = prop::option::of(prop_oneof![Just("1"), Just("2"), Just("3")]);
    ("/[abAB]{0,3}(/[ab]{0,2})?", host, query, method, header, 0_u8..100).prop_map(
        |(path, host, query, method, header, draw)| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert("x-h", HeaderValue::from_static(value));
            }
            Asked { host: host.into(), path, query: query.map(Into::into), method, headers, draw }
        },
    )
}

impl Asked {
    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
            draw: self.draw,
        }
    }
}

/// The winner by the naive reading.
fn oracle(table: &RouteTable, head: &RequestHead<'_>) -> Option<Arc<Leg>> {
    table.explain(head).into_iter().find_map(|considered| match considered.outcome {
        Outcome::Wins(leg) => Some(leg),
        Outcome::Beaten(_) | Outcome::NoShare | Outcome::Fails(_) => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn find_equals_the_naive_reading(objects in objects(), asked in prop::collection::vec(asked(), 8)) {
        let table = RouteTable::compile(&built(&objects).config, &RouteTable::default());
        for asked in asked {
            let head = asked.head();
            let found = table.find_any(&head).map(|leg| leg.key.clone());
            let expected = oracle(&table, &head).map(|leg| leg.key.clone());
            prop_assert_eq!(found, expected, "{:?}", asked);
        }
    }

    #[test]
    fn shares_never_overlap_and_never_exceed_the_whole(objects in objects()) {
        for group in &built(&objects).config.groups {
            let mut end = 0;
            for leg in &group.legs {
                prop_assert_eq!(leg.share.from, end);
                prop_assert!(leg.share.to >= end && leg.share.to <= 100);
                end = leg.share.to;
            }
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        objects in objects(),
        shuffle in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        let mut shuffled = objects.clone();
        for (n, index) in shuffle.iter().enumerate().take(objects.len()) {
            shuffled.swap(n, index.index(objects.len()));
        }
        prop_assert_eq!(by_events(&objects), by_events(&shuffled));
    }

    #[test]
    fn a_changed_build_equals_one_from_nothing(objects in objects(), cut in any::<prop::sample::Index>()) {
        let cut = if objects.is_empty() { 0 } else { cut.index(objects.len()) };
        let before = built(&objects[..cut]);
        let all: BTreeMap<_, _> = objects.iter().map(|o| (o.key.clone(), Arc::clone(o))).collect();
        let snapshot = Snapshot { objects: all, ..Snapshot::default() };
        prop_assert_eq!(build(&snapshot, &before), build(&snapshot, &Build::default()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Steps of a life: each drops some objects and takes up others again, so that routes are
    /// patched in and out.
    #[test]
    fn a_patched_table_answers_as_one_from_nothing(
        objects in objects(),
        steps in prop::collection::vec(any::<u32>(), 1..6),
        asked in prop::collection::vec(asked(), 8),
    ) {
        let (mut before, mut table) = (Build::default(), RouteTable::default());
        for step in steps {
            let kept = objects.iter().enumerate().filter(|(n, _)| step & (3 << (n % 30)) != 0);
            let kept: BTreeMap<_, _> =
                kept.map(|(_, object)| (object.key.clone(), Arc::clone(object))).collect();
            before = build(&Snapshot { objects: kept, ..Snapshot::default() }, &before);
            table = RouteTable::compile(&before.config, &table);
            for asked in &asked {
                let head = asked.head();
                let found = table.find_any(&head).map(|leg| leg.key.clone());
                let expected = oracle(&table, &head).map(|leg| leg.key.clone());
                prop_assert_eq!(found, expected, "{:?}", asked);
            }
        }
    }
}

fn by_events(objects: &[Arc<Object>]) -> Build {
    let mut store = Store::new(Defaults::default(), [Collection::Mappings]);
    for object in objects {
        store.apply(Event::Put(Statement {
            id: StatementId {
                collection: Collection::Mappings,
                namespace: object.key.namespace.clone(),
                name: object.key.name.clone(),
            },
            objects: vec![Arc::clone(object)],
            services: vec![],
            endpoints: vec![],
            secrets: vec![],
        }));
    }
    build(store.snapshot(), &Build::default())
}
