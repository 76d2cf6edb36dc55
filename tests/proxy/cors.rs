//! Requests of other sites' scripts.

use std::sync::Arc;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::Cors;

use crate::support::{Backend, Gateway, header, route, status};

fn start(cors: Cors) -> (Backend, Gateway) {
    let backend = Backend::echo();
    let mut one = route("/", Upstream::Address(backend.address));
    Arc::make_mut(&mut one.policy).cors = Some(Arc::new(cors));
    (backend, Gateway::start(vec![one]))
}

fn cors() -> Cors {
    Cors {
        origins: vec!["https://a.example".into(), "https://b.example".into()],
        methods: vec![http::Method::GET, http::Method::PUT],
        headers: vec!["X-User".into()],
        credentials: true,
        exposed_headers: vec![http::HeaderName::from_static("x-total")],
        max_age: Some("600".into()),
    }
}

fn ask(gateway: &Gateway, method: &str, headers: &str) -> String {
    gateway.ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n"))
}

#[test]
fn preflights_of_allowed_origins_are_answered() {
    let (backend, gateway) = start(cors());
    let answer = ask(
        &gateway,
        "OPTIONS",
        "origin: https://b.example\r\naccess-control-request-method: PUT\r\n",
    );
    assert_eq!(status(&answer), "200", "{answer}");
    for (name, value) in [
        ("access-control-allow-origin", Some("https://b.example")),
        ("access-control-allow-methods", Some("GET, PUT")),
        ("access-control-allow-headers", Some("X-User")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-max-age", Some("600")),
        ("access-control-expose-headers", None),
        ("vary", Some("origin")),
        ("content-length", Some("0")),
    ] {
        assert_eq!(header(&answer, name), value, "{name} in {answer}");
    }
    assert_eq!(backend.count(), 0);
    assert!(gateway.log_lines(1)[0].contains(" 200 "));
}

#[test]
fn what_is_no_preflight_goes_on() {
    let (backend, gateway) = start(cors());
    for (method, headers) in [
        // No origin, another one, one that only begins alike; no method that is asked for.
        ("OPTIONS", "access-control-request-method: PUT\r\n"),
        ("OPTIONS", "origin: https://c.example\r\naccess-control-request-method: PUT\r\n"),
        ("OPTIONS", "origin: https://a.example.org\r\naccess-control-request-method: PUT\r\n"),
        ("OPTIONS", "origin: https://A.example\r\naccess-control-request-method: PUT\r\n"),
        ("GET", ""),
    ] {
        let answer = ask(&gateway, method, headers);
        assert_eq!(status(&answer), "200", "{answer}");
        assert!(answer.contains(&format!("\r\n\r\n{method} / HTTP/1.1")), "{answer}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{answer}");
    }
    assert!(backend.count() > 0);
}

#[test]
fn answers_say_who_may_read_them() {
    let (_backend, gateway) = start(cors());
    let answer = ask(&gateway, "GET", "origin: https://a.example\r\n");
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.example")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-expose-headers", Some("x-total")),
        ("access-control-allow-methods", None),
        ("vary", Some("origin")),
    ] {
        assert_eq!(header(&answer, name), value, "{name} in {answer}");
    }
}

#[test]
fn any_origin_may_be_allowed_and_the_upstreams_word_is_replaced() {
    let backend = Backend::start(|mut stream, _| {
        use std::io::Write as _;
        while crate::support::read_head(&mut stream).is_some() {
            let answer = "HTTP/1.1 503 No\r\ncontent-length: 0\r\nvary: Accept, Origin\r\n\
                          access-control-allow-origin: https://upstream\r\n\r\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut one = route("/", Upstream::Address(backend.address));
    let any = Cors { origins: vec!["*".into()], ..Cors::default() };
    Arc::make_mut(&mut one.policy).cors = Some(Arc::new(any));
    let gateway = Gateway::start(vec![one]);
    let answer = ask(&gateway, "GET", "origin: https://x.example\r\n");
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://x.example"));
    assert_eq!(answer.matches("access-control-allow-origin").count(), 1, "{answer}");
    assert_eq!(answer.matches("vary").count(), 1, "{answer}");
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
}
