//! Sequences of changes of all kinds: a build that goes on from the one before equals one from
//! nothing, and so does the table.

use std::fmt::Write as _;

use http::{HeaderMap, Method};
use nuncio::model::snapshot::Defaults;
use nuncio::model::{Build, build};
use nuncio::routing::{RequestHead, RouteTable};
use nuncio::source::parse::{ParseSettings, parse_file};
use nuncio::source::store::Store;
use nuncio::source::{Collection, Event, StatementId};
use proptest::prelude::*;
use std::sync::Arc;

/// One change: which file, and what it says from now on; `None` is that it goes.
type Step = (u8, Option<[u8; 8]>);

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (any::<u8>(), prop::option::weighted(0.8, any::<[u8; 8]>()));
    // The first fills the gateway.
    let first = prop::collection::vec(step.clone(), 40..80);
    let then = prop::collection::vec(prop::collection::vec(step, 0..4), 1..12);
    (first, then).prop_map(|(first, then)| [vec![first], then].concat())
}

/// What a file holds: few names and many forms, so that objects meet.
fn text(file: u8, form: [u8; 8]) -> String {
    let namespace = if form[0].is_multiple_of(4) { "b" } else { "a" };
    let name = file % 32;
    let head = |kind: &str, name: &str| {
        format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        )
    };
    match file % 64 {
        0..=1 => head("Host", &format!("h{name}")) + &host(form),
        2 => head("Listener", "listener") + &listener(form),
        3 => head("Module", "ambassador") + &module(form),
        4 => head("TCPMapping", "tcp") + "spec: {port: 9000, service: s1.a:80}\n",
        5 => head("KubernetesEndpointResolver", "endpoints"),
        6..=12 => service(name % 4, namespace, form),
        // Files that hold objects of a name that others have too.
        _ => head("Mapping", &format!("m{}", name % 24)) + &mapping(form),
    }
}

fn host(form: [u8; 8]) -> String {
    let hostname = ["x.io", "*.io", "*", "y.io"][usize::from(form[1] % 4)];
    let mut text = format!(
        "spec:\n  hostname: '{hostname}'\n  requestPolicy: {{insecure: {{action: Route}}}}\n"
    );
    if form[2].is_multiple_of(3) {
        text += "  mappingSelector: {matchLabels: {team: one}}\n";
    }
    if form[3].is_multiple_of(4) {
        text += "  tlsSecret: {name: missing}\n";
    }
    text
}

fn listener(form: [u8; 8]) -> String {
    let from = if form[1].is_multiple_of(2) { "ALL" } else { "SELF" };
    format!(
        "spec: {{port: 8080, protocol: HTTP, securityModel: INSECURE, hostBinding: {{namespace: {{from: {from}}}}}}}\n"
    )
}

fn module(form: [u8; 8]) -> String {
    match form[1] % 3 {
        0 => "spec: {config: {retry_policy: {retry_on: 5xx}}}\n",
        1 => "spec: {config: {resolver: kubernetes-endpoint}}\n",
        _ => "spec: {config: {}}\n",
    }
    .to_owned()
}

/// A Service that carries a Mapping, a rival of the resources of its name.
fn service(name: u8, namespace: &str, form: [u8; 8]) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s{name}\n  namespace: {namespace}\n"
    );
    if !form[1].is_multiple_of(3) {
        let prefix = form[2] % 6;
        let _ = write!(
            text,
            "  annotations:\n    getambassador.io/config: |\n      apiVersion: getambassador.io/v3alpha1\n      kind: Mapping\n      name: m{}\n      hostname: '*'\n      prefix: /p{prefix}/\n      service: s{name}\n",
            form[3] % 8,
        );
    }
    let _ = writeln!(text, "spec: {{ports: [{{port: {}}}]}}", 80 + u16::from(form[4] % 2));
    text
}

fn mapping(form: [u8; 8]) -> String {
    let mut text = String::new();
    if form[7].is_multiple_of(3) {
        text += "  labels: {team: one}\n";
    }
    let _ = writeln!(text, "spec:\n  prefix: /p{}/", form[1] % 6);
    text += match form[2] % 4 {
        0 => "  hostname: x.io\n",
        1 => "",
        _ => "  hostname: '*'\n",
    };
    text += match form[3] % 12 {
        0 => "  host_redirect: true\n",
        1 => "  shadow: true\n",
        2 => "  weight: 70\n",
        3 => "  weight: 40\n",
        4 => "  ambassador_id: [other]\n",
        5 => "  resolver: endpoints\n",
        6 => "  tls: missing\n",
        7 => "  regex_headers: {x: '('}\n",
        8 => "  precedence: 1\n",
        9 => "  timeout_ms: 1000\n",
        _ => "",
    };
    let _ = writeln!(text, "  service: s{}", form[4] % 5);
    text
}

/// Puts one change in.
fn apply(store: &mut Store, (file, form): &Step) {
    let path = format!("{}.yaml", file % 64);
    match form {
        Some(form) => {
            let statement = parse_file(&path, &text(*file, *form), &ParseSettings::default());
            store.apply(Event::Put(statement));
        }
        None => store.apply(Event::Delete(StatementId {
            collection: Collection::Files,
            namespace: "".into(),
            name: path.into(),
        })),
    }
}

/// Which object answers some requests.
fn answers(table: &RouteTable) -> Vec<Option<String>> {
    let headers = HeaderMap::new();
    let asked = ["x.io", "y.io", "z"].into_iter().flat_map(|host| {
        (0..6).flat_map(move |path| [10, 50, 90].map(move |draw| (host, path, draw)))
    });
    let answer = |(host, path, draw): (&str, i32, u8)| {
        let path = format!("/p{path}/x");
        let method = &Method::GET;
        let head = RequestHead { host, path: &path, query: None, method, headers: &headers, draw };
        table.find_any(&head).map(|leg| leg.key.to_string())
    };
    asked.map(answer).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_goes_on_equals_what_begins_anew(steps in steps(), services_known in any::<bool>()) {
        let defaults = Defaults { services_known, ..Defaults::default() };
        let mut store = Store::new(defaults, [Collection::Files]);
        let (mut going, mut table) = (Build::default(), RouteTable::default());
        for step in &steps {
            step.iter().for_each(|change| apply(&mut store, change));
            let anew = build(store.snapshot(), &Build::default());
            going = build(store.snapshot(), &going);
            prop_assert_eq!(&going, &anew);
            let again = build(store.snapshot(), &going);
            prop_assert!(Arc::ptr_eq(&again.config, &going.config), "nothing has changed");
            prop_assert!(again.reports.is(&going.reports), "nothing has changed");
            table = RouteTable::compile(&going.config, &table);
            let fresh = RouteTable::compile(&anew.config, &RouteTable::default());
            prop_assert_eq!(answers(&table), answers(&fresh));
        }
        prop_assert!(!going.reports.is_empty() || steps.is_empty());
    }
}
