//! Explanations as text.

use serde_json::json;

use super::*;
use crate::admin::explain::Candidate;

fn object(name: &str, value: Json, object: &str, field: &str) -> Effective {
    let from = Source::Object { object: object.to_owned(), field: field.to_owned() };
    Effective { name: name.to_owned(), value, from }
}

fn default(name: &str, value: Json) -> Effective {
    Effective { name: name.to_owned(), value, from: Source::Default }
}

fn told(told: &str, values: Vec<Effective>) -> Part {
    Part { told: told.to_owned(), values }
}

fn answer(percent: u8, object: &str, action: Effect, values: Vec<Effective>) -> Answer {
    let (object, origin) = (object.to_owned(), "resource".to_owned());
    Answer { percent, object, origin, action, copies: None, values }
}

fn forward() -> Effect {
    Effect::Forward {
        service: "web:80".to_owned(),
        cluster: "cluster_web".to_owned(),
        upstream: "DNS name web.default, port 80".to_owned(),
        request_line: "GET /y".to_owned(),
        host: "localhost".to_owned(),
        request_headers: vec!["- x-a".to_owned(), "+ x-b: 1".to_owned()],
        response_headers: vec![],
        timeout_ms: Some(3000),
    }
}

fn explanation() -> Explanation {
    let candidate = |name: &str, verdict, why: &str| Candidate {
        objects: vec![format!("Mapping default/{name}")],
        matches: format!("host *, prefix /{name}"),
        verdict,
        why: why.to_owned(),
    };
    let values = vec![
        object(
            "timeout_ms",
            json!(5000),
            "Module default/ambassador",
            "cluster_request_timeout_ms",
        ),
        default("idle_timeout_ms", json!(300_000)),
        object("cors", json!({"origins": ["*"]}), "Mapping default/x", "cors"),
    ];
    let redirect = Effect::Redirect { status: 301, location: "http://b/".to_owned() };
    let beaten = "the winner comes first: its path is longer";
    Explanation {
        request: "GET localhost /x/y".to_owned(),
        listener: Some(told("Listener default/web, port 8080", vec![default("l7Depth", json!(0))])),
        tls: None,
        hosts: vec![told("Host default/all (insecure requests are served)", vec![])],
        answers: vec![
            answer(90, "Mapping default/x", forward(), values),
            answer(10, "Mapping default/r", redirect, vec![]),
        ],
        considered: vec![
            candidate("x", CandidateVerdict::Wins, "it answers"),
            candidate("y", CandidateVerdict::Beaten, beaten),
        ],
        refused: None,
        gateway: vec![default("merge_slashes", json!(false))],
    }
}

#[test]
fn answers_values_and_candidates_are_told() {
    assert_eq!(
        format(&explanation(), false),
        "\
GET localhost /x/y
  by        Listener default/web, port 8080
  host      Host default/all (insecure requests are served)

90% of requests: Mapping default/x (resource)
  to        web:80 (cluster_web: DNS name web.default, port 80)
  sends     GET /y
  host      localhost
    timeout_ms  5000            Module default/ambassador (cluster_request_timeout_ms)
    cors        {origins: [*]}  Mapping default/x

10% of requests: Mapping default/r (resource)
  redirect  301 to http://b/

Routes for this host and path, best first:
  wins      Mapping default/x
            host *, prefix /x
  beaten    Mapping default/y
            host *, prefix /y
            the winner comes first: its path is longer
"
    );
}

#[test]
fn all_shows_defaults_too() {
    let text = format(&explanation(), true);
    for line in [
        "    l7Depth  0  default\n",
        "    idle_timeout_ms  300000          default\n",
        "All requests:\n    merge_slashes  false  default\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn nothing_is_404() {
    let mut explanation = Explanation {
        request: "GET a /".to_owned(),
        listener: Some(told("port 8080", vec![])),
        hosts: vec![told("Host default/a (closed: its status says why)", vec![])],
        answers: vec![],
        considered: vec![],
        ..explanation()
    };
    assert_eq!(
        format(&explanation, false),
        "GET a /\n  by        port 8080\n  host      Host default/a (closed: its status says why)\n\n\
         404: no route answers\n"
    );
    explanation.hosts.clear();
    assert_eq!(
        format(&explanation, false),
        "GET a /\n  by        port 8080\n\n404: no Host takes this name here\n"
    );
}

#[test]
fn refused_tls_says_why() {
    let tls = TlsAnswer {
        server_name: Some("a.example".to_owned()),
        taken_by: String::new(),
        why: "no Host that fits this name has TLS here".to_owned(),
        certificate: None,
        values: vec![],
    };
    let explanation = Explanation { tls: Some(tls), ..explanation() };
    let text = format(&explanation, false);
    assert!(text.contains("  tls       refused: no Host that fits this name"), "{text}");
}
