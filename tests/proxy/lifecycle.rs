//! Ports, workers, HTTP/2, and what log and metrics say afterwards.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use nuncio::model::cluster::Upstream;
use nuncio::model::route::HeaderAdd;
use nuncio::model::service::Endpoints;
use nuncio::model::template::Template;
use nuncio::proxy::{AccessLogFormat, Proxy};
use nuncio::publish::channel;

use crate::support::{
    Backend, Gateway, block_on, connect_h2, header, listener, options, route, status, table,
    table_of,
};

#[test]
fn a_port_is_taken_whole_or_not_at_all() {
    let mut options = options();
    options.workers = 3;
    let gateway = Gateway::with(options.clone(), vec![]);
    let port = gateway.address().port();
    let again = Proxy::start(
        options,
        channel(table_of(vec![listener(port)], vec![])).1,
        channel(Endpoints::default()).1,
        Arc::new(|| true),
    );
    assert!(again.is_err(), "a second process must not get half of the connections");
    for _ in 0..20 {
        assert_eq!(status(&gateway.get("/")), "404");
    }
}

#[test]
fn h2_with_prior_knowledge() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    block_on(async {
        let (mut sender, connection) = connect_h2(gateway.address()).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        for index in 0..10 {
            let request = http::Request::post(format!("http://host.example/p{index}?q"))
                .header("content-length", 3)
                .body(Full::new(bytes::Bytes::from("abc")))
                .expect("valid");
            let response = sender.send_request(request).await.expect("answered");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["server"], "envoy");
            let body = response.into_body().collect().await.expect("complete").to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(body.starts_with(&format!("POST /p{index}?q HTTP/1.1\r\n")), "{body}");
            assert_eq!(header(&body, "host"), Some("host.example"));
            assert!(body.ends_with("abc"), "{body}");
        }
    });
    assert!(gateway.log_lines(10)[0].contains("HTTP/2\" 200 - 3 "));
}

#[test]
fn a_quiet_h2_connection_stays() {
    let backend = Backend::echo();
    let mut options = options();
    options.limits.header_timeout = Duration::from_millis(200);
    options.limits.first_byte_timeout = Duration::from_millis(200);
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    block_on(async {
        let (mut sender, connection) = connect_h2(gateway.address()).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let request = http::Request::get("http://a/").body(Full::new(bytes::Bytes::new()));
            let response = sender.send_request(request.expect("valid")).await.expect("answered");
            assert_eq!(response.status(), 200);
        }
    });
}

#[test]
fn the_log_says_what_happened() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/", Upstream::Address(backend.address))]);
    gateway
        .ask("GET /p?q=1 HTTP/1.1\r\nhost: a.b\r\nuser-agent: test\r\nconnection: close\r\n\r\n");
    let line = gateway.log_lines(1).remove(0);
    let (time, rest) = line.split_once("] ").expect("has a time");
    assert!(time.starts_with("ACCESS [20") && time.ends_with('Z'), "{time}");
    assert!(rest.starts_with("\"GET /p?q=1 HTTP/1.1\" 200 - 0 "), "{rest}");
    let tail = format!("\"a.b\" \"{}\"", backend.address);
    assert!(rest.contains("\"127.0.0.1\" \"test\" \"") && rest.ends_with(&tail), "{rest}");

    let mut options = options();
    options.access_log = AccessLogFormat::Json;
    let gateway = Gateway::with(options, vec![route("/", Upstream::Address(backend.address))]);
    gateway.ask("GET /p HTTP/1.1\r\nhost: a.b\r\nuser-agent: \"\\\r\nconnection: close\r\n\r\n");
    let line = gateway.log_lines(1).remove(0);
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    for (key, value) in [
        ("method", "GET".into()),
        ("path", "/p".into()),
        ("response_code", 200.into()),
        ("response_flags", serde_json::Value::Null),
        ("user_agent", "\"\\".into()),
        ("authority", "a.b".into()),
        ("upstream_host", backend.address.to_string().into()),
        ("requested_server_name", serde_json::Value::Null),
    ] {
        assert_eq!(json[key], value, "{key} in {line}");
    }
}

#[test]
fn metrics_have_envoys_names() {
    let backend = Backend::echo();
    let gateway = Gateway::start(vec![route("/x", Upstream::Address(backend.address))]);
    gateway.get("/x");
    gateway.get("/missing");
    gateway.log_lines(2);
    let text = gateway.proxy.metrics().render();
    let cluster = format!("envoy_cluster_name=\"cluster_127_0_0_1_{}\"", backend.address.port());
    const LISTENER: &str = "envoy_http_conn_manager_prefix=\"ingress_http\"";
    for line in [
        format!("envoy_http_downstream_rq_total{{{LISTENER}}} 2"),
        format!("envoy_http_downstream_rq_active{{{LISTENER}}} 0"),
        format!("envoy_http_downstream_rq_xx{{envoy_response_code_class=\"2\",{LISTENER}}} 1"),
        format!("envoy_http_downstream_rq_xx{{envoy_response_code_class=\"4\",{LISTENER}}} 1"),
        format!("envoy_http_downstream_rq_time_count{{{LISTENER}}} 2"),
        format!("envoy_http_downstream_cx_total{{{LISTENER}}} 2"),
        format!("envoy_cluster_upstream_rq_total{{{cluster}}} 1"),
        format!("envoy_cluster_upstream_rq{{envoy_response_code=\"200\",{cluster}}} 1"),
        format!("envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"2\",{cluster}}} 1"),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"+Inf\"}} 1"),
        format!("envoy_cluster_upstream_cx_active{{{cluster}}} 1"),
        format!("envoy_cluster_membership_healthy{{{cluster}}} 1"),
        "envoy_server_live 1".to_owned(),
        "nuncio_access_log_dropped_total 0".to_owned(),
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    gateway.tables.publish(Arc::new(table(vec![])));
    let text = gateway.proxy.metrics().render();
    assert!(!text.contains(&cluster), "a cluster that is gone leaves no series");
}

#[test]
fn headers_are_edited_both_ways() {
    let backend = Backend::echo();
    let add = |name: &'static str, text: &str, append| HeaderAdd {
        name: http::HeaderName::from_static(name),
        value: Template::parse(text).expect("valid"),
        append,
    };
    let mut edited = route("/", Upstream::Address(backend.address));
    Arc::make_mut(&mut edited.request_headers).remove =
        vec![http::HeaderName::from_static("x-bye")];
    Arc::make_mut(&mut edited.request_headers).add = vec![
        add("x-bye", "back", true),
        add("x-more", "2", true),
        add("x-only", "2", false),
        add("x-path", "%REQ(:PATH)%", true),
        add("x-none", "%REQ(missing)%", true),
    ];
    Arc::make_mut(&mut edited.response_headers).remove =
        vec![http::HeaderName::from_static("content-type")];
    Arc::make_mut(&mut edited.response_headers).add =
        vec![add("x-agent", "%REQ(USER-AGENT)%/%PROTOCOL%", true)];
    let gateway = Gateway::start(vec![edited]);
    let answer = gateway.ask(
        "GET /e HTTP/1.1\r\nhost: a\r\nuser-agent: ua\r\nx-bye: 1\r\nx-more: 1\r\nx-only: 1\r\n\
         connection: close\r\n\r\n",
    );
    let (head, seen) = answer.split_once("\r\n\r\n").expect("a body");
    assert_eq!(header(head, "x-agent"), Some("ua/HTTP/1.1"));
    for (name, value) in
        [("x-bye", Some("back")), ("x-only", Some("2")), ("x-path", Some("/e")), ("x-none", None)]
    {
        assert_eq!(header(seen, name), value, "{name} in {seen}");
    }
    assert_eq!(seen.matches("x-more: ").count(), 2, "{seen}");
}
