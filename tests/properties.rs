//! Properties of the pure core: the compiled table equals the naive reading of the rules, and
//! a build does not depend on the order in which objects came.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue, Method};
use nuncio::model::config::{Attachment, Leg, RouteGroup};
use nuncio::model::key::{Kind, ObjectKey, Origin};
use nuncio::model::listener::{InsecureAction, Listener, VirtualHost};
use nuncio::model::object::{Content, Object};
use nuncio::model::regex::Regex;
use nuncio::model::route::{
    Action, Forward, HeaderMatch, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite,
    QueryMatch, Route, RouteMatch, ValueMatch,
};
use nuncio::model::snapshot::{Defaults, Snapshot};
use nuncio::model::written::{UpstreamSpec, WrittenRoute};
use nuncio::model::{Build, build};
use nuncio::routing::{Found, Outcome, RequestHead, RouteTable};
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
            matches: Arc::new(RouteMatch { host: Some(host), path, method, headers, query }),
            precedence,
            weight,
            action: forward(),
            request_headers: Arc::default(),
            response_headers: Arc::default(),
            policy: Arc::default(),
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
            key: Arc::new(ObjectKey {
                kind: Kind::Mapping,
                namespace: "default".into(),
                name: format!("m{n}").into(),
                origin: Origin::Resource,
            }),
            uid: None,
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
    let objects = objects.iter().cloned().collect();
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
        for group in built(&objects).config.groups.iter() {
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
        let objects = objects.iter().cloned().collect();
        let snapshot = Snapshot { objects, ..Snapshot::default() };
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
            let objects = kept.map(|(_, object)| Arc::clone(object)).collect();
            before = build(&Snapshot { objects, ..Snapshot::default() }, &before);
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

/// A host for the table: its name, port, selector and what becomes of insecure requests.
fn virtual_host() -> impl Strategy<Value = VirtualHost> {
    let name = prop_oneof![
        Just(HostMatch::Any),
        Just(HostMatch::Exact("x.io".into())),
        Just(HostMatch::Suffix(".io".into())),
        Just(HostMatch::Suffix("x.io".into())),
        Just(HostMatch::Prefix("x.".into())),
    ];
    let port = prop::option::weighted(0.2, Just(81_u16));
    let selector = prop_oneof![2 => Just(None), 1 => Just(Some("a")), 1 => Just(Some("b"))];
    let insecure = prop_oneof![
        Just(InsecureAction::Route),
        Just(InsecureAction::Redirect),
        Just(InsecureAction::Reject)
    ];
    (name, port, selector, insecure, prop::bool::weighted(0.1)).prop_map(
        |(name, port, selector, insecure, closed)| VirtualHost {
            name,
            port,
            insecure,
            closed,
            selector: Arc::new(selector.map(labels).unwrap_or_default()),
            ..VirtualHost::any()
        },
    )
}

fn labels(team: &str) -> BTreeMap<String, String> {
    [("team".to_owned(), team.to_owned())].into()
}

/// How closely a host's name is that of a request, by the rules' own words.
fn closeness(host: &VirtualHost, authority: &str) -> Option<(u8, usize, bool)> {
    let authority = authority.to_ascii_lowercase();
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, port.parse::<u16>().ok()),
        None => (authority.as_str(), None),
    };
    if host.port.is_some() && host.port != port {
        return None;
    }
    let (class, length) = match &host.name {
        HostMatch::Any => (0, 0),
        HostMatch::Prefix(start) if name.starts_with(&**start) && name != &**start => {
            (1, start.len())
        }
        HostMatch::Suffix(end) if name.ends_with(&**end) && name != &**end => (2, end.len()),
        HostMatch::Exact(exact) if name == &**exact => (3, 0),
        _ => return None,
    };
    Some((class, length, host.port.is_some()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The host is the closest by name; of its routes the naive reading's best one answers.
    #[test]
    fn hosts_serve_what_the_naive_reading_says(
        objects in objects(),
        served_by in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 24),
        hosts in prop::collection::vec(virtual_host(), 0..5),
        secure in any::<bool>(),
        asked in prop::collection::vec(asked(), 8),
    ) {
        let mut config = (*built(&objects).config).clone();
        for (group, (by_host, a, b)) in config.groups.clone().iter().zip(served_by) {
            let teams = [a.then_some("a"), b.then_some("b")];
            let selectors = teams.into_iter().flatten().map(|team| Arc::new(labels(team)));
            let attachment = Attachment { by_host, selectors: selectors.collect() };
            let group = RouteGroup { attachment: Arc::new(attachment), ..(**group).clone() };
            config.groups.insert(Arc::new(group));
        }
        let hosts: Vec<Arc<VirtualHost>> = hosts.into_iter().map(Arc::new).collect();
        config.listeners = vec![Arc::new(Listener { hosts: hosts.clone(), ..Listener::plain(1) })];
        let table = RouteTable::compile(&Arc::new(config), &RouteTable::default());
        let listener = table.listener(None, 1).expect("listened on");
        for asked in asked {
            let head = asked.head();
            let best = hosts.iter().filter_map(|host| closeness(host, &asked.host)).max();
            let chosen: Vec<&Arc<VirtualHost>> = hosts
                .iter()
                .filter(|host| best.is_some() && closeness(host, &asked.host) == best)
                .collect();
            let found = listener.host_by_authority(&asked.host);
            prop_assert_eq!(found.is_some(), !chosen.is_empty(), "{:?}", asked);
            let Some(found) = found else { continue };
            prop_assert!(found.hosts().eq(chosen.iter().copied()), "{:?}", asked);
            let found = match table.find(listener, found, secure, &head) {
                Found::Route(leg) => leg.key.to_string(),
                Found::RedirectToHttps => "https".to_owned(),
                Found::NoRoute => "none".to_owned(),
            };
            prop_assert_eq!(found, naive(&table, &chosen, secure, &head), "{:?}", asked);
        }
    }
}

/// What answers, by looking at every route in the order of precedence, and at every host.
fn naive(
    table: &RouteTable,
    hosts: &[&Arc<VirtualHost>],
    secure: bool,
    head: &RequestHead<'_>,
) -> String {
    if hosts.iter().any(|host| host.closed) {
        return "none".to_owned();
    }
    for considered in table.explain(head) {
        let group = &considered.group;
        let answers = matches!(considered.outcome, Outcome::Wins(_) | Outcome::Beaten(_));
        let Some(leg) = group.pick(head.draw).filter(|_| answers) else { continue };
        let is_probe = matches!(leg.route.action, Action::Probe(_));
        let serves = |host: &&&Arc<VirtualHost>| {
            let attachment = &group.attachment;
            let attached = match host.selector.is_empty() {
                true => attachment.by_host,
                false => attachment.selectors.contains(&host.selector),
            };
            let refused = !secure && host.insecure == InsecureAction::Reject;
            (attached && !refused) || is_probe
        };
        if let Some(host) = hosts.iter().find(serves) {
            let redirects = !secure && host.insecure == InsecureAction::Redirect && !is_probe;
            return if redirects { "https".to_owned() } else { leg.key.to_string() };
        }
    }
    "none".to_owned()
}
