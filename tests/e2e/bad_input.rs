//! Bad input is told at its object, and costs nobody else anything.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::kubectl::with_input;
use crate::support::load::Hold;
use crate::support::status::{condition, is_ready};
use crate::support::{Namespace, PATIENCE, carrier, mapping, mapping_of, scenario, wait_until};

/// What is wrong in one document of an annotation, and what must be told of it.
struct Bad {
    /// The document; it stands between two good ones.
    document: &'static str,
    reason: &'static str,
    /// Words of the message.
    says: &'static [&'static str],
}

const DOCUMENTS: &[(&str, Bad)] = &[
    (
        "broken-yaml",
        Bad {
            document: "apiVersion: ambassador/v1\nkind: Mapping\nname: bad-0\nprefix: [/bad/",
            reason: "Invalid",
            says: &["line "],
        },
    ),
    (
        "wrong-type",
        Bad {
            document: "apiVersion: ambassador/v1\nkind: Mapping\nname: bad-1\n\
                prefix: {a: 1}\nservice: echo-v1.backends",
            reason: "Invalid",
            says: &["line ", "prefix"],
        },
    ),
    (
        "unknown-kind",
        Bad {
            document: "apiVersion: ambassador/v1\nkind: Maping\nname: bad-2\n\
                prefix: /bad/\nservice: echo-v1.backends",
            reason: "Invalid",
            says: &["Maping"],
        },
    ),
    (
        "bad-regex",
        Bad {
            document: "apiVersion: ambassador/v1\nkind: Mapping\nname: bad-3\n\
                prefix: /bad(/.*\nprefix_regex: true\nservice: echo-v1.backends",
            reason: "Invalid",
            says: &["prefix"],
        },
    ),
    (
        "missing-service",
        Bad {
            document: "apiVersion: ambassador/v1\nkind: Mapping\nname: bad-4\n\
                prefix: /bad/\nservice: nowhere.backends",
            reason: "ServiceNotFound",
            says: &["nowhere", "backends"],
        },
    ),
];

#[test]
fn a_bad_document_is_told_and_its_neighbours_serve() {
    scenario("bad-document", |namespace| {
        namespace.apply(&[mapping("neighbour", "/bad-neighbour/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/neighbour");
        let neighbour = Hold::neighbour("/bad-neighbour/");
        let mut client = Client::new();
        for (name, bad) in DOCUMENTS {
            let (first, last) = (good(name, "first"), good(name, "last"));
            let annotation = format!("---\n{first}---\n{}\n---\n{last}", bad.document);
            namespace.apply(&[carrier(name, &annotation)]);
            let object = namespace.annotated_name(name, 1);
            let message = namespace.told(&object, "Ready", ("False", bad.reason));
            println!("{name}: {} {message}", bad.reason);
            for word in bad.says {
                assert!(message.contains(word), "{name}: no {word:?} in: {message}");
            }
            namespace.told_by_event(name, &["Warning", bad.reason]);
            for place in ["first", "last"] {
                let answer = client.get(&format!("/{name}/{place}/"));
                assert!(answer.is_of("v1"), "{name}, {place}: {}", answer.shown());
            }
            assert_told_where(namespace, name);
        }
        assert_eq!(client.get("/bad/").status, 503, "the Service is missing, not the route");
        neighbour.stop_lossless("five kinds of bad documents");
    });
}

fn good(name: &str, place: &str) -> String {
    format!(
        "apiVersion: ambassador/v1\nkind: Mapping\nname: {name}-{place}\n\
         prefix: /{name}/{place}/\nservice: echo-v1.backends\n"
    )
}

/// The object of the second document says in which line of the annotation that begins.
fn assert_told_where(namespace: &Namespace, carrier: &str) {
    let objects = namespace.annotated(carrier);
    let spec = &objects.iter().find(|object| object["spec"]["index"] == 1).expect("seen")["spec"];
    let line = spec["line"].as_i64().unwrap_or_default();
    assert!((7..=8).contains(&line), "after one marker and five lines, not {line}: {spec}");
}

#[test]
fn a_bad_mapping_is_told() {
    scenario("bad-mapping", |namespace| {
        namespace.apply(&[mapping("neighbour", "/bad-mapping/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/neighbour");
        let neighbour = Hold::neighbour("/bad-mapping/");
        // What the webhook would refuse, to see what the gateway itself makes of it.
        namespace.leave_admission();
        let spec = |field: &str, value: Value| {
            let mut spec =
                json!({"hostname": "*", "prefix": "/bad/", "service": "echo-v1.backends"});
            spec[field] = value;
            spec
        };
        let mut regex = spec("prefix", json!("/bad(/.*"));
        regex["prefix_regex"] = json!(true);
        let cases = [
            ("regex", regex, "Invalid", "prefix"),
            ("service", spec("service", json!("nowhere.backends")), "ServiceNotFound", "nowhere"),
            ("port", spec("service", json!("echo-v1.backends:81")), "PortNotFound", "81"),
            ("grammar", spec("service", json!("echo-v1.backends:http")), "Invalid", "service"),
            ("hostless", spec("hostname", Value::Null), "NotAttached", "hostname"),
        ];
        for (name, spec, reason, word) in cases {
            namespace.apply(&[mapping_of(name, &spec)]);
            let message = namespace.told(&format!("mapping/{name}"), "Ready", ("False", reason));
            println!("{name}: {reason} {message}");
            assert!(message.contains(word), "{name}: no {word:?} in: {message}");
        }
        neighbour.stop_lossless("bad Mappings");
    });
}

/// What the schema can see is refused by the API server, and never arrives.
#[test]
fn wrong_types_of_a_mapping_are_refused() {
    scenario("wrong-types", |namespace| {
        let cases = [
            ("weight", json!("heavy"), "weight"),
            ("prefix", json!(["/a/"]), "prefix"),
            ("timeout_ms", json!("3s"), "timeout_ms"),
            ("service", Value::Null, "service"),
        ];
        for (field, value, word) in cases {
            let mut spec = json!({"hostname": "*", "prefix": "/a/", "service": "echo-v1.backends"});
            spec[field] = value;
            let object = mapping_of("wrong", &spec).to_string();
            let arguments = ["-n", &namespace.name, "apply", "--validate=false", "-f", "-"];
            let outcome = with_input(&arguments, &object);
            assert!(!outcome.ok, "{field} was accepted");
            assert!(outcome.stderr.contains(word), "{field}: {}", outcome.stderr);
        }
    });
}

#[test]
fn of_mappings_that_conflict_the_older_stays() {
    scenario("conflict", |namespace| {
        let weighted = |name: &str, weight: u32, version: &str| {
            let mut object = mapping(name, "/conflict/", &format!("echo-{version}.backends"));
            object["spec"]["weight"] = json!(weight);
            object
        };
        namespace.apply(&[
            weighted("older", 60, "v1"),
            mapping("rest", "/conflict/", "echo-v1.backends"),
        ]);
        namespace.wait_ready("mapping/older");
        namespace.wait_ready("mapping/rest");
        let load = Hold::neighbour("/conflict/");
        wait_for_another_second(namespace, "older");
        namespace.apply(&[weighted("younger", 60, "v2")]);
        let message = namespace.told("mapping/younger", "Ready", ("False", "Conflicted"));
        println!("{message}");
        assert!(message.contains("60") && message.contains("40"), "{message}");
        namespace.wait_ready("mapping/older");
        let mut client = Client::new();
        for _ in 0..50 {
            assert!(client.get("/conflict/").is_of("v1"));
        }
        namespace.kubectl(&["delete", "mapping", "older"]);
        namespace.wait_ready("mapping/younger");
        load.stop_lossless("conflicting weights");
    });
}

/// Kubernetes knows ages by the second.
fn wait_for_another_second(namespace: &Namespace, mapping: &str) {
    let object = namespace.get(&format!("mapping/{mapping}")).expect("it exists");
    let created = object["metadata"]["creationTimestamp"].as_str().expect("a time");
    let created: jiff::Timestamp = created.parse().expect("RFC 3339");
    wait_until("another second", PATIENCE, || {
        if jiff::Timestamp::now().as_second() > created.as_second() {
            Ok(())
        } else {
            Err(String::new())
        }
    });
}

/// The documents of the largest annotation that the API server takes, by its default limit.
const MANY: usize = 2000;
const LIMIT: usize = 256 * 1024;
/// Every so many documents one is broken.
const BROKEN_EVERY: usize = 500;

#[test]
fn two_thousand_documents_at_the_size_limit() {
    scenario("limit", |namespace| {
        namespace.apply(&[mapping("neighbour", "/limit-neighbour/", "echo-v1.backends")]);
        namespace.wait_ready("mapping/neighbour");
        let neighbour = Hold::neighbour("/limit-neighbour/");

        let service = carrier("many", &many_documents()).to_string();
        let create = ["-n", &namespace.name, "create", "-f", "-"];
        with_input(&create, &service).succeed();
        let start = Instant::now();
        let mut client = Client::new();
        wait_until("the last document is served", PATIENCE, || {
            client.get(&format!("/limit/{}/", MANY - 1)).expect_of("v1")
        });
        println!("{MANY} documents: served after {} ms", start.elapsed().as_millis());
        for index in (1..MANY).step_by(37).filter(|index| !is_broken(*index)) {
            let answer = client.get(&format!("/limit/{index}/"));
            assert!(answer.is_of("v1"), "{index}: {}", answer.shown());
        }
        let objects = wait_until("all are told", Duration::from_secs(180), || {
            let objects = namespace.annotated("many");
            // Unknown is what stands there before a gateway has looked.
            let is_told = |object: &&Value| {
                condition(object, "Ready").is_some_and(|ready| ready.status != "Unknown")
            };
            let told = objects.iter().filter(is_told).count();
            if told == MANY { Ok(objects) } else { Err(format!("{told} of {}", objects.len())) }
        });
        println!("{MANY} documents: all told after {} ms", start.elapsed().as_millis());
        for (index, object) in objects.iter().enumerate() {
            assert_eq!(is_ready(object), !is_broken(index), "{index}: {object}");
        }
        neighbour.stop_lossless("an annotation of 2,000 documents");
    });
}

fn is_broken(index: usize) -> bool {
    index % BROKEN_EVERY == BROKEN_EVERY / 2
}

/// Padded with a comment, so that all annotations together have exactly the size allowed.
fn many_documents() -> String {
    let mut text = String::new();
    for index in 0..MANY {
        let open = if is_broken(index) { "[" } else { "" };
        write!(
            text,
            "---\napiVersion: ambassador/v1\nkind: Mapping\nname: m{index}\n\
             prefix: {open}/limit/{index}/\nservice: echo-v1.backends\n"
        )
        .expect("text takes text");
    }
    let left = LIMIT - "getambassador.io/config".len() - text.len();
    text + "#" + &"x".repeat(left - 2) + "\n"
}
