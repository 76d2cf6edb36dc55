//! A request there and back, and the answers of the gateway's own.

use nuncio::model::cluster::Upstream;
use nuncio::model::route::{Action, Probe};

use crate::support::{Backend, Gateway, header, route, route_to, status};

#[test]
fn a_request_goes_there_and_back() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    let answer = gateway.get("/hello?x=1");
    assert_eq!(status(&answer), "200", "{answer}");
    let (head, seen) = answer.split_once("\r\n\r\n").expect("has a body");
    assert!(seen.starts_with("GET /hello?x=1 HTTP/1.1\r\n"), "{seen}");
    for (name, value) in [
        ("host", Some("a")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-envoy-external-address", Some("127.0.0.1")),
        ("x-envoy-expected-rq-timeout-ms", Some("3000")),
        ("connection", None),
    ] {
        assert_eq!(header(seen, name), value, "{name} in {seen}");
    }
    assert_eq!(header(seen, "x-request-id").map(str::len), Some(36));
    assert_eq!(header(head, "server"), Some("envoy"));
    assert!(
        header(head, "date").is_some() && header(head, "x-envoy-upstream-service-time").is_some()
    );
}

#[test]
fn the_gateway_answers_itself() {
    let gateway = Gateway::start(vec![
        route_to("/ambassador/v0/check_alive", Action::Probe(Probe::Alive)),
        route_to("/ambassador/v0/check_ready", Action::Probe(Probe::Ready)),
    ]);
    for (path, expected, body) in [
        ("/ambassador/v0/check_alive", "200", "Ambassador is alive and well\n"),
        ("/ambassador/v0/check_ready", "200", "Ambassador is ready and waiting\n"),
        ("/other", "404", "no route"),
    ] {
        let answer = gateway.get(path);
        assert_eq!(status(&answer), expected, "{path}");
        assert!(answer.ends_with(body), "{answer}");
    }
}
