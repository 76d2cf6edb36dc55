//! The bodies of the fuzz targets. Each takes any bytes, and fails where a promise is broken.
//!
//! `tests/fuzz_targets.rs` runs them in every test run, so that they always compile; `cargo fuzz`
//! runs them under libFuzzer.
#![allow(dead_code, reason = "each of libFuzzer's programs uses one of them")]

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, Method};
use nuncio::model::key::{Carrier, CarrierKind};
use nuncio::model::object::Content;
use nuncio::model::regex::Regex;
use nuncio::model::secret::SecretState;
use nuncio::model::snapshot::Defaults;
use nuncio::model::template::{Operator, Part, Template, Values};
use nuncio::model::{Build, build};
use nuncio::proxy::{GrpcWebEncoder, TextDecoder};
use nuncio::routing::{CanonicalPath, Outcome, RequestHead, RouteTable};
use nuncio::source::parse::{
    CarrierMeta, ParseSettings, parse_annotation, parse_file, parse_secret,
};
use nuncio::source::store::Store;
use nuncio::source::{Event, Statement};

/// Longest name of a cluster (src/model/build/clusters.rs).
const MAX_CLUSTER_NAME: usize = 60;

/// An annotation of any text is parsed, built and compiled; what is rejected says why.
pub(crate) fn annotation(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let carrier = CarrierMeta {
        carrier: Arc::new(Carrier {
            kind: CarrierKind::Service,
            namespace: "shop".into(),
            name: "web".into(),
            uid: "".into(),
        }),
        generation: None,
        created: None,
        labels: Arc::default(),
    };
    let settings = settings();
    let objects = parse_annotation(text, &carrier, &settings);
    for object in &objects {
        let rejected = matches!(object.content, Content::Rejected);
        assert!(!rejected || !object.problems.is_empty(), "a rejection without a reason");
    }
    assert_eq!(objects, parse_annotation(text, &carrier, &settings), "parsing is a function");
    let mut statement = parse_file("empty.yaml", "", &settings);
    statement.objects = objects;
    let built = build_statement(statement);
    for report in built.reports.iter() {
        assert_eq!(report.conditions().len(), 4);
    }
    RouteTable::compile(&built.config, &RouteTable::default());
}

/// Base64 of gRPC-Web: its cuts (at each byte that is odd) change neither verdict nor bytes.
pub(crate) fn grpc_web_text(bytes: &[u8]) {
    let decode = |pieces: &[&[u8]]| {
        let mut decoder = TextDecoder::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&decoder.data(piece)?);
        }
        decoder.finish().map(|()| all)
    };
    let pieces: Vec<&[u8]> = bytes.split_inclusive(|byte| byte % 2 == 1).collect();
    let whole = decode(&[bytes]);
    assert_eq!(decode(&pieces), whole, "cuts make a difference");
    if let Ok(plain) = whole {
        let text = GrpcWebEncoder::new(true).data(plain.clone().into());
        assert_eq!(decode(&[&text]), Ok(plain), "what is encoded is decoded");
    }
}

/// A path has one canonical form, which begins with a slash and holds no dot segment.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(path) = CanonicalPath::parse(text) else { return };
    let once = path.as_str();
    assert!(once.starts_with('/'));
    assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{once}");
    assert_eq!(CanonicalPath::parse(once).as_ref().map(CanonicalPath::as_str), Ok(once));
}

/// Whatever a client sends as its host, the table and the naive reading of the rules agree.
pub(crate) fn host_header(bytes: &[u8]) {
    let Ok(host) = std::str::from_utf8(bytes) else { return };
    let head = RequestHead {
        host,
        path: "/",
        query: None,
        method: &Method::GET,
        headers: &HeaderMap::new(),
        draw: 0,
    };
    let table = hosts();
    let found = table.find_any(&head).map(|leg| &leg.key);
    let considered = table.explain(&head);
    let expected = considered.iter().find_map(|considered| match &considered.outcome {
        Outcome::Wins(leg) => Some(&leg.key),
        _ => None,
    });
    assert_eq!(found, expected, "{host:?}");
}

/// A pattern (up to the first line end) and a text: whatever compiles matches without harm, and
/// a full match is also found by a search.
pub(crate) fn regex(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let (pattern, text) = input.split_once('\n').unwrap_or((input, ""));
    let (Ok(full), Ok(search)) = (Regex::full(pattern), Regex::search(pattern)) else {
        assert_eq!(Regex::full(pattern).is_ok(), Regex::search(pattern).is_ok(), "{pattern:?}");
        return;
    };
    let mut found = false;
    let replaced = search.replace_all(text, |group, out| {
        found = true;
        out.push_str(&group(0).unwrap_or_default());
    });
    if let Some(replaced) = replaced {
        assert_eq!(replaced, text, "each match replaced by itself");
    }
    assert!(!full.is_match(text) || found, "{pattern:?} matches all of {text:?}");
}

/// Whatever stands in a Secret is read as a certificate that TLS can use, or refused with a reason;
/// none of it is ever shown.
pub(crate) fn secret(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut values = text.split('\x00');
    let names = ["tls.crt", "tls.key", "ca.crt", "crl.pem"];
    let data: serde_json::Map<_, _> =
        names.iter().zip(&mut values).map(|(name, text)| ((*name).into(), text.into())).collect();
    let raw = serde_json::json!({ "metadata": { "name": "a" }, "stringData": data });
    let (_, state) = parse_secret(&raw).expect("it has a name");
    assert_eq!(parse_secret(&raw).map(|(_, state)| state), Some(state.clone()), "a function");
    let SecretState::Present(contents) = state else { return };
    let messages = [
        contents.certificate.as_ref().err(),
        contents.authorities.as_ref().err(),
        contents.revoked.as_ref().err(),
    ];
    let key = data.get("tls.key").and_then(|key| key.as_str()).unwrap_or_default();
    for message in messages.into_iter().flatten() {
        assert!(
            !message.is_empty() && message.len() < 1000 && !message.contains('\n'),
            "{message}"
        );
        for line in key.lines().filter(|line| line.len() > 30 && !line.starts_with("---")) {
            assert!(!message.contains(line), "{message}");
        }
    }
    if let Ok(Some(certificate)) = &contents.certificate {
        assert!(!certificate.chain.is_empty() && !certificate.key.expose().is_empty());
    }
}

/// A `service` of any text is refused with a reason, or names a cluster that metrics can show.
pub(crate) fn service(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mapping = serde_json::json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": { "name": "a", "namespace": "shop" },
        "spec": { "hostname": "*", "prefix": "/", "service": text },
    });
    let statement = parse_file("a.json", &mapping.to_string(), &settings());
    let object = Arc::clone(statement.objects.first().expect("a document makes an object"));
    let build = build_statement(statement);
    let Content::Route(_) = &object.content else {
        assert!(!object.problems.is_empty(), "{text:?}");
        return;
    };
    let clusters = build.config.clusters();
    let cluster = clusters.values().next().expect("only host_redirect redirects");
    let name = &*cluster.name.0;
    assert!(name.len() <= MAX_CLUSTER_NAME, "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
    assert!(!cluster.upstream.authority().is_empty());
}

/// The Module's keys with any value: `key: value`, the value as JSON where it is that, else as text.
/// Nothing of it stops a build, what isn't understood is told, and rules of addresses that can't be
/// read open nothing.
pub(crate) fn module(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((key, value)) = text.split_once(": ") else { return };
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::json!(value));
    let is_rule = matches!(key, "ip_allow" | "ip_deny") && !value.is_null();
    let nobody = value.as_array().is_some_and(Vec::is_empty) && key == "ip_deny";
    let module = serde_json::json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Module",
        "metadata": { "name": "ambassador" },
        "spec": { "config": { key: value } },
    });
    let statement = parse_file("module.json", &module.to_string(), &settings());
    assert_eq!(statement, parse_file("module.json", &module.to_string(), &settings()));
    let object = Arc::clone(statement.objects.first().expect("a document makes an object"));
    let rejected = matches!(object.content, Content::Rejected);
    assert!(!rejected || !object.problems.is_empty(), "a rejection without a reason");
    let http = Arc::clone(&build_statement(statement).config.http);
    // A text that YAML can't hold says nothing of what it is about.
    if is_rule && !nobody && !rejected {
        // What is left out of those who may ask closes the door further.
        let rules = http.addresses.as_ref().expect("a rule that is written counts");
        let anybody = std::net::Ipv4Addr::LOCALHOST.into();
        let closed = if key == "ip_allow" { rules.allow } else { !rules.admit(anybody, anybody) };
        assert!(object.problems.is_empty() || closed, "{text:?} is broken and open");
    }
}

/// A format with `%OPERATORS%` is refused, or has the same text and operators each time; text
/// without a percent sign stands for itself.
pub(crate) fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = Template::parse(text);
    assert_eq!(parsed, Template::parse(text), "parsing is a function");
    let Ok(template) = parsed else { return };
    assert_eq!(Ok(&template), Template::parse_lines(text).as_ref(), "a header's is a log's");
    if !text.contains('%') {
        assert_eq!(template.literal(), Some(text));
    }
    let doubled = text.replace('%', "%%");
    let quoted = Template::parse(&doubled).expect("nothing but percent signs");
    assert_eq!(quoted.literal(), Some(text));
    assert_eq!(template.render(&Nothing).is_some(), shows_text(&template));
}

/// Whether a template shows something where no operator has a value.
fn shows_text(template: &Template) -> bool {
    let is_text = |part: &Part| matches!(part, Part::Text(text) if !text.is_empty());
    template.parts().is_empty() || template.parts().iter().any(is_text)
}

/// No operator has a value.
struct Nothing;

impl Values for Nothing {
    fn value(&self, _: &Operator) -> Option<Cow<'_, str>> {
        None
    }
}

fn settings() -> ParseSettings {
    ParseSettings { namespace: "default".into(), ..ParseSettings::default() }
}

fn build_statement(statement: Statement) -> Build {
    let mut store =
        Store::new(Defaults { namespace: settings().namespace, ..Defaults::default() }, []);
    store.apply(Event::Put(statement));
    build(store.snapshot(), &Build::default())
}

/// Routes of every kind of host.
fn hosts() -> &'static RouteTable {
    static TABLE: OnceLock<RouteTable> = OnceLock::new();
    const HOSTS: [&str; 9] = [
        "*",
        "*.example.com",
        "*.com",
        "www.*",
        "w*",
        "www.example.com",
        "www.example.com:8080",
        "[::1]",
        "é.example",
    ];
    TABLE.get_or_init(|| {
        let documents = HOSTS.iter().enumerate().map(|(index, host)| {
            serde_json::json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": "Mapping",
                "metadata": { "name": format!("host-{index}") },
                "spec": { "hostname": host, "prefix": "/", "service": "web" },
            })
        });
        let documents: Vec<String> = documents.map(|document| document.to_string()).collect();
        let statement = parse_file("hosts.yaml", &documents.join("\n---\n"), &settings());
        let built = build_statement(statement);
        assert!(built.reports.iter().all(|report| report.is_accepted()));
        RouteTable::compile(&built.config, &RouteTable::default())
    })
}
