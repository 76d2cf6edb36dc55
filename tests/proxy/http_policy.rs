//! What the Module says of all requests.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{
    AccessLog, EscapedSlashes, HttpPolicy, IpRule, IpRules, IpSource, Limit, UnderscoresAction,
};
use nuncio::model::route::{Action, PathRewrite, Route};
use nuncio::model::template::Template;

use crate::support::{
    Backend, Gateway, ask, block_on, connect, connect_h2, header, listener, options, read_all,
    read_head, read_until, route, status, table_with,
};

fn start(http: HttpPolicy) -> (Backend, Gateway) {
    let backend = Backend::echo();
    let gateway = Gateway::with_http(http, vec![route("/", Upstream::Address(backend.address))]);
    (backend, gateway)
}

/// What the upstream saw, of a request with these further header lines.
fn seen(gateway: &Gateway, path: &str, headers: &str) -> String {
    let answer = gateway
        .ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n"));
    assert_eq!(status(&answer), "200", "{path} {headers}: {answer}");
    answer.split_once("\r\n\r\n").expect("has a body").1.to_owned()
}

#[test]
fn the_server_has_a_name() {
    let (_backend, gateway) =
        start(HttpPolicy { server_name: "nuncio".into(), ..HttpPolicy::default() });
    assert_eq!(header(&gateway.get("/"), "server"), Some("nuncio"));
}

#[test]
fn routing_can_be_quiet() {
    let backend = Backend::echo();
    let mut quiet: Route = route("/old", Upstream::Address(backend.address));
    if let Action::Forward(forward) = &mut quiet.action {
        forward.path = PathRewrite::Matched("/new".into());
    }
    for suppress_envoy_headers in [false, true] {
        let http = HttpPolicy { suppress_envoy_headers, ..HttpPolicy::default() };
        let gateway = Gateway::with_http(http, vec![quiet.clone()]);
        let answer = gateway.get("/old");
        let (head, seen) = answer.split_once("\r\n\r\n").expect("has a body");
        let shown = !suppress_envoy_headers;
        assert_eq!(header(head, "x-envoy-upstream-service-time").is_some(), shown, "{head}");
        for name in ["x-envoy-expected-rq-timeout-ms", "x-envoy-original-path"] {
            assert_eq!(header(seen, name).is_some(), shown, "{name} in {seen}");
        }
        assert_eq!(header(seen, "x-envoy-external-address"), Some("127.0.0.1"));
    }
}

#[test]
fn request_ids_of_strangers_are_replaced_unless_kept() {
    for (preserve_external_request_id, kept) in [(false, false), (true, true)] {
        let (_backend, gateway) =
            start(HttpPolicy { preserve_external_request_id, ..HttpPolicy::default() });
        let id = seen(&gateway, "/", "x-request-id: mine\r\n");
        assert_eq!(header(&id, "x-request-id") == Some("mine"), kept, "{id}");
        assert_eq!(header(&seen(&gateway, "/", ""), "x-request-id").map(str::len), Some(36));
    }
}

#[test]
fn clients_are_known_by_their_connection_or_by_whom_is_trusted() {
    let backend = Backend::echo();
    let forwarded = "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\nx-forwarded-proto: https\r\n\
                     x-envoy-external-address: 9.9.9.9\r\nx-envoy-internal: true\r\n\
                     x-request-id: mine\r\n";
    // use_remote_address, hops; then XFF, XFP, external address, id kept, logged client
    for (use_remote_address, hops, list, proto, external, kept, client) in [
        (true, 0, "1.1.1.1, 2.2.2.2,127.0.0.1", "http", "127.0.0.1", false, "127.0.0.1"),
        (true, 1, "1.1.1.1, 2.2.2.2,127.0.0.1", "https", "2.2.2.2", false, "2.2.2.2"),
        (true, 2, "1.1.1.1, 2.2.2.2,127.0.0.1", "https", "1.1.1.1", false, "1.1.1.1"),
        (true, 3, "1.1.1.1, 2.2.2.2,127.0.0.1", "https", "127.0.0.1", false, "127.0.0.1"),
        (false, 0, "1.1.1.1, 2.2.2.2", "https", "9.9.9.9", true, "2.2.2.2"),
        (false, 1, "1.1.1.1, 2.2.2.2", "https", "9.9.9.9", true, "1.1.1.1"),
    ] {
        let http = HttpPolicy {
            use_remote_address,
            access_log: Some(AccessLog::Text(Some(
                Template::parse("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%").expect("parses"),
            ))),
            ..HttpPolicy::default()
        };
        let mut listener = listener(0);
        listener.trusted_hops = hops;
        let routes = vec![route("/", Upstream::Address(backend.address))];
        let gateway = Gateway::with_table(options(), table_with(http, vec![listener], routes));
        let seen = seen(&gateway, "/", forwarded);
        let case = format!("{use_remote_address} {hops}: {seen}");
        assert_eq!(header(&seen, "x-forwarded-for"), Some(list), "{case}");
        assert_eq!(header(&seen, "x-forwarded-proto"), Some(proto), "{case}");
        assert_eq!(header(&seen, "x-envoy-external-address"), Some(external), "{case}");
        assert_eq!(header(&seen, "x-envoy-internal"), None, "{case}");
        assert_eq!(header(&seen, "x-request-id") == Some("mine"), kept, "{case}");
        assert_eq!(gateway.log_lines(1), [client], "{case}");
    }
}

#[test]
fn a_port_that_is_the_listeners_is_taken_off() {
    let (_backend, gateway) =
        start(HttpPolicy { strip_matching_host_port: true, ..HttpPolicy::default() });
    let port = gateway.address().port();
    for (host, expected) in [
        (format!("a:{port}"), "a".to_owned()),
        ("a:1".to_owned(), "a:1".to_owned()),
        ("a".to_owned(), "a".to_owned()),
        (format!("[::1]:{port}"), "[::1]".to_owned()),
        ("[::1]".to_owned(), "[::1]".to_owned()),
    ] {
        let answer =
            gateway.ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
        let seen = answer.split_once("\r\n\r\n").expect("has a body").1;
        assert_eq!(header(seen, "host"), Some(&*expected), "{host}");
    }
}

#[test]
fn slashes_are_merged_or_refused() {
    let (_backend, gateway) = start(HttpPolicy {
        merge_slashes: true,
        escaped_slashes: EscapedSlashes::Reject,
        ..HttpPolicy::default()
    });
    let seen = seen(&gateway, "//a///b?x=//y", "");
    assert!(seen.starts_with("GET /a/b?x=//y HTTP/1.1\r\n"), "{seen}");
    for path in ["/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb"] {
        assert_eq!(status(&gateway.get(path)), "400", "{path}");
    }
    assert_eq!(status(&gateway.get("/a?b=%2F")), "200");
    // Without the policy all of it passes.
    let (_backend, gateway) = start(HttpPolicy::default());
    assert!(gateway.get("//a%2Fb").contains("GET //a%2Fb HTTP/1.1"));
}

#[test]
fn underscores_pass_or_are_dropped_or_refused() {
    for (underscores, expected) in
        [(UnderscoresAction::Allow, Some("1")), (UnderscoresAction::Drop, None)]
    {
        let (_backend, gateway) = start(HttpPolicy { underscores, ..HttpPolicy::default() });
        let seen = seen(&gateway, "/", "x_user: 1\r\nx-user: 2\r\n");
        assert_eq!(header(&seen, "x_user"), expected);
        assert_eq!(header(&seen, "x-user"), Some("2"));
    }
    let (_backend, gateway) =
        start(HttpPolicy { underscores: UnderscoresAction::Reject, ..HttpPolicy::default() });
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx_user: 1\r\n\r\n");
    assert_eq!(status(&answer), "400", "{answer}");
    seen(&gateway, "/", "x-user: 2\r\n");
}

#[test]
fn names_can_be_written_in_proper_case() {
    let (_backend, gateway) = start(HttpPolicy { proper_case: true, ..HttpPolicy::default() });
    let answer = gateway.get("/");
    let (head, seen) = answer.split_once("\r\n\r\n").expect("has a body");
    assert!(head.contains("\r\nContent-Length: ") && head.contains("\r\nServer: "), "{head}");
    assert!(seen.contains("\r\nx-request-id: "), "not towards upstreams: {seen}");
}

#[test]
fn http_1_0_is_answered_where_it_is_enabled() {
    let (_backend, gateway) = start(HttpPolicy::default());
    assert_eq!(status(&gateway.ask("GET / HTTP/1.0\r\nhost: a\r\n\r\n")), "426");

    // An upstream whose answers have no length.
    let backend = Backend::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
            let answer =
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let http = HttpPolicy { http10: true, ..HttpPolicy::default() };
    let routes = vec![
        route("/x", Upstream::Address(backend.address)),
        route("/echo", Upstream::Address(_backend.address)),
    ];
    let gateway = Gateway::with_http(http, routes);
    let answer = gateway.ask("GET /x HTTP/1.0\r\nhost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert_eq!(header(&answer, "transfer-encoding"), None, "{answer}");
    assert!(answer.ends_with("\r\n\r\nabc"), "ends with the connection: {answer}");
    // Kept alive where the client asks and the length is known.
    let mut stream = connect(gateway.address());
    for _ in 0..2 {
        stream
            .write_all(b"GET /echo HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
            .expect("writes");
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert_eq!(header(&head, "connection"), Some("keep-alive"), "{head}");
        let length =
            header(&head, "content-length").expect("has a length").parse().expect("is one");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("reads");
    }
    // There is no default host, and no chunked request.
    assert_eq!(status(&gateway.ask("GET /x HTTP/1.0\r\n\r\n")), "400");
    let chunked = "POST /x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&gateway.ask(chunked)), "400");
}

#[test]
fn heads_have_a_limit() {
    let (_backend, gateway) = start(HttpPolicy { max_request_head: 2048, ..HttpPolicy::default() });
    let long = "a".repeat(3000);
    let answer = gateway.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"));
    assert_eq!(status(&answer), "431", "{answer}");
    seen(&gateway, "/", &format!("x: {}\r\n", &long[..1000]));
    let status = block_on(async {
        let (mut sender, connection) = connect_h2(gateway.address()).await;
        tokio::spawn(connection);
        let request = http::Request::get("http://a/").header("x", &long);
        let request = request.body(http_body_util::Full::default()).expect("builds");
        sender.send_request(request).await.map(|response| response.status().as_u16())
    });
    assert_eq!(status.expect("is answered"), 431);
}

#[test]
fn silent_connections_end() {
    let (_backend, gateway) = start(HttpPolicy {
        idle_timeout: Limit::After(Duration::from_millis(100)),
        ..HttpPolicy::default()
    });
    // Never a byte, and silence after an answer.
    assert_eq!(read_all(&mut connect(gateway.address())), "");
    let answer = ask(gateway.address(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&answer), "200", "and then the connection has ended");
}

#[test]
fn requests_are_read_whole_up_to_a_limit() {
    let (backend, gateway) =
        start(HttpPolicy { buffer_request: Some(10), ..HttpPolicy::default() });
    // Nothing goes on before the end.
    let mut stream = connect(gateway.address());
    stream
        .write_all(b"POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n")
        .expect("writes");
    assert_eq!(status(&gateway.get("/other")), "200");
    assert_eq!(backend.count(), 1, "only the other request has come");
    stream.write_all(b"2\r\nde\r\n0\r\n\r\n").expect("writes");
    let answer = read_all(&mut stream);
    let seen = answer.split_once("\r\n\r\n").expect("has a body").1;
    assert_eq!(header(seen, "content-length"), Some("5"), "{answer}");
    assert_eq!(header(seen, "transfer-encoding"), None, "{answer}");
    assert!(seen.ends_with("\r\n\r\nabcde"), "{answer}");
    for (request, expected) in [
        ("content-length: 10\r\n\r\n0123456789", "200"),
        ("content-length: 11\r\n\r\n01234567890", "413"),
        // The length alone is enough.
        ("content-length: 99999999\r\n\r\n", "413"),
        ("transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n01234\r\n0\r\n\r\n", "413"),
    ] {
        let answer =
            gateway.ask(&format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{request}"));
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
}

#[test]
fn addresses_are_let_in_or_not() {
    let rule = |source, network: &str| IpRule { source, network: network.parse().expect("parses") };
    for (rules, client, expected) in [
        (
            IpRules { allow: true, rules: vec![rule(IpSource::Peer, "127.0.0.0/8")] },
            "9.9.9.9",
            "200",
        ),
        (
            IpRules { allow: true, rules: vec![rule(IpSource::Remote, "127.0.0.0/8")] },
            "9.9.9.9",
            "403",
        ),
        (
            IpRules { allow: false, rules: vec![rule(IpSource::Remote, "9.9.0.0/16")] },
            "9.9.9.9",
            "403",
        ),
        (
            IpRules { allow: false, rules: vec![rule(IpSource::Remote, "9.9.0.0/16")] },
            "8.8.8.8",
            "200",
        ),
        (IpRules::CLOSED, "9.9.9.9", "403"),
    ] {
        let backend = Backend::echo();
        let mut listener = listener(0);
        listener.trusted_hops = 1;
        let http = HttpPolicy { addresses: Some(rules.clone()), ..HttpPolicy::default() };
        let routes = vec![route("/", Upstream::Address(backend.address))];
        let gateway = Gateway::with_table(options(), table_with(http, vec![listener], routes));
        let answer = gateway.ask(&format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: {client}\r\n\r\n"
        ));
        assert_eq!(status(&answer), expected, "{rules:?} {client}");
        assert_eq!(answer.ends_with("RBAC: access denied"), expected == "403", "{answer}");
        assert_eq!(backend.count() == 0, expected == "403", "{rules:?} {client}");
    }
}

#[test]
fn linkerd_is_told_where_to() {
    let backend = Backend::echo();
    let mut told = route("/", Upstream::Address(backend.address));
    Arc::make_mut(&mut told.policy).linkerd_headers = Some(true);
    let gateway = Gateway::start(vec![told]);
    let seen = seen(&gateway, "/", "l5d-dst-override: elsewhere:80\r\n");
    assert_eq!(header(&seen, "l5d-dst-override"), Some(&*backend.address.to_string()));
    assert_eq!(seen.matches("l5d-dst-override").count(), 1, "{seen}");
}

#[test]
fn the_log_has_the_form_that_is_asked_for() {
    let template = |text| Template::parse(text).expect("parses");
    for (log, expected) in [
        (AccessLog::Text(Some(template("%REQ(:METHOD)% %RESPONSE_CODE%"))), "GET 200"),
        (
            AccessLog::Json(Some(vec![
                ("a \"key\"".into(), template("%REQ(X-USER)%")),
                ("code".into(), template("%RESPONSE_CODE%")),
            ])),
            r#"{"a \"key\"":"me","code":200}"#,
        ),
    ] {
        let (_backend, gateway) =
            start(HttpPolicy { access_log: Some(log), ..HttpPolicy::default() });
        seen(&gateway, "/", "x-user: me\r\n");
        assert_eq!(gateway.log_lines(1), [expected]);
    }
    let (_backend, gateway) =
        start(HttpPolicy { access_log: Some(AccessLog::Json(None)), ..HttpPolicy::default() });
    gateway.get("/");
    assert!(gateway.log_lines(1)[0].starts_with("{\"start_time\":"));
}

#[test]
fn a_new_policy_holds_for_the_next_request() {
    let (backend, gateway) = start(HttpPolicy::default());
    let mut stream = connect(gateway.address());
    for name in ["envoy", "later"] {
        let http = HttpPolicy { server_name: name.into(), ..HttpPolicy::default() };
        let routes = vec![route("/", Upstream::Address(backend.address))];
        gateway.tables.publish(Arc::new(table_with(http, vec![listener(0)], routes)));
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").expect("writes");
        let head = read_until(&mut stream, "\r\n\r\n");
        assert_eq!(header(&head, "server"), Some(name), "{head}");
    }
}
