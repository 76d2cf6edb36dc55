//! TLS towards clients: who is shown which certificate, who may come in, what old connections and
//! changes mean to each other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use nuncio::model::cluster::Upstream;
use nuncio::model::config::GatewayConfig;
use nuncio::model::listener::{InsecureAction, VirtualHost};
use nuncio::model::policy::{ClientCertificateDetails, ClientCertificateHeader, HttpPolicy};
use nuncio::model::tls::{Termination, TlsParameters, TlsVersion};
use rustls::{HandshakeKind, ProtocolVersion};

use crate::support::{
    Backend, Gateway, block_on, connect, header, options, read_all, route, status, table_of,
    wait_for,
};
use crate::tls_support::{
    Authority, ask_tls, begin_tls, client, connect_tls, get, host, https, metric, termination,
};

/// A gateway with one TLS port that serves these hosts, with the backend's echo behind.
fn gateway(hosts: Vec<Arc<VirtualHost>>) -> (Gateway, Backend) {
    gateway_with(options(), hosts)
}

fn gateway_with(
    options: nuncio::proxy::ProxyOptions,
    hosts: Vec<Arc<VirtualHost>>,
) -> (Gateway, Backend) {
    let backend = Backend::echo();
    let routes = vec![route("/", Upstream::Address(backend.address))];
    (Gateway::with_table(options, table_of(vec![https(0, hosts)], routes)), backend)
}

fn shown(address: SocketAddr, authority: &Authority, name: &str) -> Option<Vec<u8>> {
    let stream = connect_tls(address, &client(authority, None, &[]), name).ok()?;
    Some(stream.conn.peer_certificates()?.first()?.to_vec())
}

#[test]
fn the_server_name_chooses_the_certificate() {
    let authority = Authority::new("root");
    let [exact, wild, any] = [&["a.example"], &["*.a.example"], &["other.test"]]
        .map(|names| authority.issue(names.as_slice()));
    let (gateway, _backend) = gateway(vec![
        host("a.example", Some(termination(&exact, None))),
        host("*.a.example", Some(termination(&wild, None))),
    ]);
    let address = gateway.address();
    assert_eq!(shown(address, &authority, "a.example").unwrap(), exact.certificate.der().to_vec());
    assert_eq!(shown(address, &authority, "b.a.example").unwrap(), wild.certificate.der().to_vec());
    let refused = connect_tls(address, &client(&authority, None, &[]), "other.test").unwrap_err();
    assert!(refused.to_string().contains("UnrecognisedName"), "{refused}");
    let text = gateway.proxy.metrics().render();
    assert_eq!(metric(&text, "envoy_listener_no_filter_chain_match"), 1, "{text}");

    let all = vec![host("*", Some(termination(&any, None)))];
    gateway.tables.publish(Arc::new(table_of(vec![https(0, all)], vec![])));
    assert_eq!(shown(address, &authority, "other.test").unwrap(), any.certificate.der().to_vec());
}

#[test]
fn a_request_over_tls_is_told_so() {
    let authority = Authority::new("root");
    let issued = authority.issue(&["a.example"]);
    let (gateway, _backend) = gateway(vec![host("a.example", Some(termination(&issued, None)))]);
    let config = client(&authority, None, &[]);
    let answer = ask_tls(gateway.address(), &config, "a.example", "/x").unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    let (_, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(header(seen, "x-forwarded-proto"), Some("https"));
    // Cleartext on the same port is served as well, and told apart.
    let plain = gateway.ask("GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
    let (_, seen) = plain.split_once("\r\n\r\n").unwrap();
    assert_eq!(header(seen, "x-forwarded-proto"), Some("http"), "{plain}");
}

#[test]
fn insecure_requests_are_sent_to_https() {
    let authority = Authority::new("root");
    let tls = Some(termination(&authority.issue(&["a.example"]), None));
    let redirects = VirtualHost {
        insecure: InsecureAction::Redirect,
        ..VirtualHost::clone(&host("a.example", tls))
    };
    let (gateway, _backend) = gateway(vec![Arc::new(redirects)]);
    let config = client(&authority, None, &[]);
    let answer = ask_tls(gateway.address(), &config, "a.example", "/x").unwrap();
    assert_eq!(status(&answer), "200");
    for (asked, location) in [
        ("a.example", "https://a.example/x?y=1"),
        ("a.example:80", "https://a.example/x?y=1"),
        ("a.example:8080", "https://a.example:8080/x?y=1"),
    ] {
        // It says what it likes: the connection counts.
        let request = format!(
            "GET /x?y=1 HTTP/1.1\r\nhost: {asked}\r\nx-forwarded-proto: https\r\n\
             connection: close\r\n\r\n"
        );
        let answer = gateway.ask(&request);
        assert_eq!((status(&answer), header(&answer, "location")), ("301", Some(location)));
    }
    let elsewhere = gateway.ask("GET / HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
    assert_eq!(status(&elsewhere), "404", "{elsewhere}");
}

#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new("root");
    let issued = authority.issue(&["a.example"]);
    let (gateway, _backend) = gateway(vec![host("a.example", Some(termination(&issued, None)))]);
    for (offered, agreed) in
        [(vec!["h2", "http/1.1"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let stream =
            connect_tls(gateway.address(), &client(&authority, None, &offered), "a.example");
        let stream = stream.unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
    }
    // And HTTP/2 is spoken where it was agreed on.
    block_on(async {
        let (mut sender, connection) =
            h2_over_tls(gateway.address(), &authority, "a.example").await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        let request = http::Request::get("https://a.example/").body(Full::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let seen = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&seen).contains("x-forwarded-proto: https"));
    });
}

type Http2OverTls = hyper::client::conn::http2::Connection<
    hyper_util::rt::TokioIo<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>,
    Full<bytes::Bytes>,
    hyper_util::rt::TokioExecutor,
>;

async fn h2_over_tls(
    address: SocketAddr,
    authority: &Authority,
    name: &str,
) -> (hyper::client::conn::http2::SendRequest<Full<bytes::Bytes>>, Http2OverTls) {
    let connector = tokio_rustls::TlsConnector::from(client(authority, None, &["h2"]));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = name.to_owned().try_into().unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    hyper::client::conn::http2::handshake(executor, io).await.unwrap()
}

#[test]
fn clients_show_who_they_are() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let server = authority.issue(&["a.example"]);
    let [good, revoked] = ["good", "revoked"].map(|name| authority.issue_client(name));
    let stranger = other.issue_client("stranger");
    let mut validation = authority.validation(true);
    validation.revoked = Some(authority.revoke(&[&revoked]));
    let (gateway, _backend) =
        gateway(vec![host("a.example", Some(termination(&server, Some(validation))))]);
    let ask = |own| ask_tls(gateway.address(), &client(&authority, own, &[]), "a.example", "/");
    assert_eq!(status(&ask(Some(&good)).unwrap()), "200");
    for (own, alert) in [
        (None, "CertificateRequired"),
        (Some(&stranger), "UnknownCA"),
        (Some(&revoked), "CertificateRevoked"),
    ] {
        let error = ask(own).unwrap_err().to_string();
        assert!(error.contains(alert), "{alert}: {error}");
    }
    let text = || gateway.proxy.metrics().render();
    wait_for("all to be counted", || metric(&text(), "envoy_listener_ssl_fail_verify_error") == 2);
    let text = text();
    for (name, value) in [
        ("envoy_listener_ssl_handshake", 1),
        ("envoy_listener_ssl_fail_verify_no_cert", 1),
        ("envoy_listener_ssl_fail_verify_error", 2),
        ("envoy_listener_ssl_connection_error", 0),
    ] {
        assert_eq!(metric(&text, name), value, "{name} in {text}");
    }

    // Where it is only offered, who has none comes in, and who has a wrong one doesn't.
    let hosts =
        vec![host("a.example", Some(termination(&server, Some(authority.validation(false)))))];
    let routes = vec![route("/", Upstream::Address(_backend.address))];
    gateway.tables.publish(Arc::new(table_of(vec![https(0, hosts)], routes)));
    assert_eq!(status(&ask(None).unwrap()), "200");
    assert_eq!(status(&ask(Some(&revoked)).unwrap()), "200", "there is no list any more");
    assert!(ask(Some(&stranger)).is_err());
}

/// Who is refused may have sent a request already. To close on it would reset the connection, and
/// the client could say no more than that.
#[test]
fn who_is_refused_hears_why_with_a_request_on_its_way() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let required = termination(&server, Some(authority.validation(true)));
    let (gateway, _backend) = gateway(vec![host("a.example", Some(required))]);
    let config = client(&authority, None, &[]);
    let mut stream = connect_tls(gateway.address(), &config, "a.example").unwrap();
    stream.sock.peek(&mut [0]).expect("it is told");
    for count in 0..50 {
        let request = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
        stream.write_all(request).unwrap_or_else(|e| panic!("reset after {count} requests: {e}"));
    }
    let error = stream.read(&mut [0]).unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
}

/// Else who has no certificate reaches the host that asks for one, by the name of another.
#[test]
fn a_request_for_a_host_with_other_tls_is_misdirected() {
    let authority = Authority::new("root");
    let (open, closed) = (authority.issue(&["open.example"]), authority.issue(&["closed.example"]));
    let shared = termination(&open, None);
    let (gateway, _backend) = gateway(vec![
        host("open.example", Some(Arc::clone(&shared))),
        host("also.example", Some(shared)),
        host("closed.example", Some(termination(&closed, Some(authority.validation(true))))),
    ]);
    let config = client(&authority, None, &[]);
    for (asked, expected) in [
        ("open.example", "200"),
        ("open.example:8443", "200"),
        ("also.example", "200"),
        ("closed.example", "421"),
        ("CLOSED.example:443", "421"),
    ] {
        let mut stream = connect_tls(gateway.address(), &config, "open.example").unwrap();
        let answer = get(&mut stream, asked, "/").unwrap();
        assert_eq!(status(&answer), expected, "{asked}: {answer}");
    }
}

#[test]
fn a_change_of_who_may_come_in_ends_what_was_allowed() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let (gateway, backend) = gateway(vec![host("a.example", Some(termination(&server, None)))]);
    let routes = || vec![route("/", Upstream::Address(backend.address))];
    let config = client(&authority, None, &[]);
    let ask = |stream: &mut crate::tls_support::Tls| {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        status(&head).to_owned()
    };
    let mut stream = connect_tls(gateway.address(), &config, "a.example").unwrap();
    assert_eq!(ask(&mut stream), "200");
    // A certificate that was renewed is no reason to part.
    let renewed = termination(&authority.issue(&["a.example"]), None);
    let publish = |tls| {
        let hosts = vec![host("a.example", Some(tls))];
        gateway.tables.publish(Arc::new(table_of(vec![https(0, hosts)], routes())));
    };
    publish(renewed);
    assert_eq!(ask(&mut stream), "200");
    publish(termination(&server, Some(authority.validation(true))));
    assert_eq!(ask(&mut stream), "421");
}

#[test]
fn upstreams_are_told_of_the_clients_certificate() {
    let authority = Authority::new("root");
    let (server, own) = (authority.issue(&["a.example"]), authority.issue_client("me"));
    let backend = Backend::echo();
    let tls = termination(&server, Some(authority.validation(false)));
    let all =
        ClientCertificateDetails { subject: true, uri: true, dns: true, ..Default::default() };
    let with_cert = ClientCertificateDetails { cert: true, ..Default::default() };
    let publish = |gateway: &Gateway, client_certificate| {
        let routes = vec![route("/", Upstream::Address(backend.address))];
        let first = table_of(vec![https(0, vec![host("*", Some(Arc::clone(&tls)))])], routes);
        let http = Arc::new(HttpPolicy { client_certificate, ..HttpPolicy::default() });
        let config = GatewayConfig { http, ..GatewayConfig::clone(first.config()) };
        gateway.tables.publish(Arc::new(nuncio::routing::RouteTable::compile(
            &Arc::new(config),
            &nuncio::routing::RouteTable::default(),
        )));
    };
    let gateway = Gateway::with_table(
        options(),
        table_of(vec![https(0, vec![host("*", Some(Arc::clone(&tls)))])], vec![]),
    );
    let ask = |own| {
        let config = client(&authority, own, &[]);
        let mut stream = connect_tls(gateway.address(), &config, "a.example").unwrap();
        let request = "GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-client-cert: By=x\r\n\
                       connection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        header(answer.split_once("\r\n\r\n").unwrap().1, "x-forwarded-client-cert")
            .map(str::to_owned)
    };
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, own.certificate.der());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let element = format!(
        "Hash={hash};Subject=\"O=Some\\, Org,CN=me\";URI=spiffe://test/me;DNS=client.example"
    );
    for (mode, with, without) in [
        (ClientCertificateHeader::Sanitize, None, None),
        (ClientCertificateHeader::ForwardOnly, Some("By=x".to_owned()), None),
        (ClientCertificateHeader::SanitizeSet(all), Some(element.clone()), None),
        (ClientCertificateHeader::AppendForward(all), Some(format!("By=x,{element}")), None),
        (
            ClientCertificateHeader::AlwaysForwardOnly,
            Some("By=x".to_owned()),
            Some("By=x".to_owned()),
        ),
    ] {
        publish(&gateway, mode);
        assert_eq!(ask(Some(&own)), with, "{mode:?}");
        assert_eq!(ask(None), without, "{mode:?} without a certificate");
    }
    publish(&gateway, ClientCertificateHeader::SanitizeSet(with_cert));
    let value = ask(Some(&own)).unwrap();
    let cert = value.split_once(";Cert=\"").unwrap().1.strip_suffix('"').unwrap();
    let pem = percent_encoding::percent_decode_str(cert).decode_utf8().unwrap().into_owned();
    assert_eq!(pem, own.certificate.pem().replace("\r\n", "\n"));
}

#[test]
fn versions_and_suites_are_kept_to() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let of = |parameters| {
        Arc::new(Termination { certificate: server.model(), clients: None, parameters })
    };
    let suites = vec!["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".into()];
    let old = TlsParameters {
        max_version: Some(TlsVersion::V1_2),
        cipher_suites: suites,
        curves: vec!["P-384".into()],
        ..TlsParameters::default()
    };
    let new = TlsParameters { min_version: Some(TlsVersion::V1_3), ..TlsParameters::default() };
    let nothing = TlsParameters { cipher_suites: vec!["TLS_NONE".into()], ..old.clone() };
    let (gateway, _backend) = gateway(vec![
        host("old.example", Some(of(old))),
        host("new.example", Some(of(new))),
        host("no.example", Some(of(nothing))),
    ]);
    let roots = client(&authority, None, &[]);
    let mut any = (*roots).clone();
    any.dangerous().set_certificate_verifier(Arc::new(crate::tls_support::Anyone));
    let any = Arc::new(any);
    let old = connect_tls(gateway.address(), &any, "old.example").unwrap();
    assert_eq!(old.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = old.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite.as_str(), Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"));
    let group = old.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::secp384r1);
    let new = connect_tls(gateway.address(), &any, "new.example").unwrap();
    assert_eq!(new.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let none = connect_tls(gateway.address(), &any, "no.example").unwrap_err();
    assert!(none.to_string().contains("InternalError"), "{none}");
}

#[test]
fn sessions_are_resumed_on_any_worker() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let mut options = options();
    options.workers = 4;
    let hosts = |clients| vec![host("a.example", Some(termination(&server, clients)))];
    let (gateway, _backend) = gateway_with(options, hosts(None));
    let config = client(&authority, None, &[]);
    let resume = || {
        let mut stream = connect_tls(gateway.address(), &config, "a.example").unwrap();
        // The ticket comes with the answer.
        get(&mut stream, "a.example", "/").unwrap();
        stream.conn.handshake_kind().unwrap()
    };
    assert_eq!(resume(), HandshakeKind::Full);
    for _ in 0..20 {
        assert_eq!(resume(), HandshakeKind::Resumed);
    }
    let text = gateway.proxy.metrics().render();
    assert_eq!(metric(&text, "envoy_listener_ssl_session_reused"), 20, "{text}");
    assert_eq!(metric(&text, "envoy_listener_ssl_versions"), 21, "{text}");
    // A ticket opens nothing where clients have to show a certificate by now.
    let closed = table_of(vec![https(0, hosts(Some(authority.validation(true))))], vec![]);
    gateway.tables.publish(Arc::new(closed));
    assert!(ask_tls(gateway.address(), &config, "a.example", "/").is_err());
}

#[test]
fn a_hello_may_come_in_many_pieces() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let (gateway, _backend) = gateway(vec![host("a.example", Some(termination(&server, None)))]);
    let name = "a.example".to_owned().try_into().unwrap();
    let mut connection =
        rustls::ClientConnection::new(client(&authority, None, &[]), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    let mut stream = connect(gateway.address());
    for byte in &hello {
        stream.write_all(&[*byte]).unwrap();
    }
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    let mut stream = rustls::StreamOwned::new(connection, stream);
    assert_eq!(status(&get(&mut stream, "a.example", "/").unwrap()), "200");
}

#[test]
fn what_is_no_handshake_costs_nobody_else() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let mut options = options();
    options.limits.handshake_timeout = Duration::from_millis(300);
    options.limits.handshakes = 4;
    let (gateway, _backend) =
        gateway_with(options, vec![host("a.example", Some(termination(&server, None)))]);
    let config = client(&authority, None, &[]);
    // Garbage that begins like a record is told so.
    let mut garbage = connect(gateway.address());
    garbage.write_all(b"\x16\x03\x01\x00\x05hello, world").unwrap();
    read_all(&mut garbage);
    // Those who begin and stop hold no places, however many there are.
    let mut slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect(gateway.address());
            stream.write_all(b"\x16\x03\x01").unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        let answer = ask_tls(gateway.address(), &config, "a.example", "/").unwrap();
        assert_eq!(status(&answer), "200");
    }
    for stream in &mut slow {
        read_all(stream);
    }
    let text = || gateway.proxy.metrics().render();
    wait_for("slow ones to end", || metric(&text(), "envoy_listener_downstream_cx_active") == 0);
    assert_eq!(metric(&text(), "envoy_listener_ssl_connection_error"), 1, "{}", text());
    assert!(metric(&text(), "envoy_listener_downstream_pre_cx_timeout") > 0, "{}", text());
}

/// Renewing a certificate costs no handshake and no request.
#[test]
fn certificates_change_under_load() {
    let authority = Authority::new("root");
    let first = authority.issue(&["a.example"]);
    let mut options = options();
    options.workers = 2;
    let (gateway, backend) =
        gateway_with(options, vec![host("a.example", Some(termination(&first, None)))]);
    let address = gateway.address();
    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let routes = || vec![route("/", Upstream::Address(backend.address))];
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let config = client(&authority, None, &[]);
                while !ended.load(Ordering::SeqCst) {
                    let answer = ask_tls(address, &config, "a.example", "/").unwrap();
                    assert_eq!(status(&answer), "200", "{answer}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..20 {
            let last = authority.issue(&["a.example"]);
            let hosts = vec![host("a.example", Some(termination(&last, None)))];
            gateway.tables.publish(Arc::new(table_of(vec![https(0, hosts)], routes())));
            let before = done.load(Ordering::SeqCst);
            wait_for("requests", || done.load(Ordering::SeqCst) >= before + 6);
            assert_eq!(
                shown(address, &authority, "a.example").unwrap(),
                last.certificate.der().to_vec()
            );
        }
        ended.store(true, Ordering::SeqCst);
    });
    let text = gateway.proxy.metrics().render();
    assert_eq!(metric(&text, "envoy_listener_ssl_connection_error"), 0, "{text}");
}

#[test]
fn a_drain_ends_tls_in_an_orderly_way() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let (gateway, _backend) = gateway(vec![host("a.example", Some(termination(&server, None)))]);
    let address = gateway.address();
    let config = client(&authority, None, &[]);
    let mut silent = begin_tls(TcpStream::connect(address).unwrap(), &config, "a.example").unwrap();
    let mut told = connect_tls(address, &config, "a.example").unwrap();
    let drain = std::thread::spawn(move || {
        block_on(gateway.proxy.drain(Duration::ZERO, Duration::from_secs(12)));
    });
    wait_for("the drain", || {
        let mut stream = connect_tls(address, &config, "a.example").unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        header(&String::from_utf8_lossy(&buffer[..count]), "connection") == Some("close")
    });
    told.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    told.read_to_string(&mut answer).expect("an orderly end of TLS");
    assert_eq!(
        (status(&answer), header(&answer, "connection")),
        ("200", Some("close")),
        "{answer}"
    );
    assert_eq!(silent.read(&mut [0; 1]).expect("an orderly end of TLS"), 0);
    drain.join().unwrap();
}

#[test]
fn the_tools_that_people_use_agree() {
    let authority = Authority::new("root");
    let server = authority.issue(&["a.example"]);
    let (gateway, _backend) = gateway(vec![host("a.example", Some(termination(&server, None)))]);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root.pem");
    std::fs::write(&root, authority.pem()).unwrap();
    let port = gateway.address().port();
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let out = std::process::Command::new("curl")
            .args([
                "-sS",
                flag,
                "--cacert",
                root.to_str().unwrap(),
                "-w",
                "%{http_version} %{http_code}",
            ])
            .args(["--resolve", &format!("a.example:{port}:127.0.0.1"), "-o", "/dev/null"])
            .arg(format!("https://a.example:{port}/"))
            .output()
            .expect("curl is one of the tests' packages");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(text, format!("{version} 200"), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let out = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "a.example"])
        .args(["-CAfile", root.to_str().unwrap(), "-verify_return_error", "-tls1_2", "-reconnect"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is one of the tests' packages");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let count = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("New, TLSv1.2"), count("Reused, TLSv1.2")), (1, 5), "{text}");
}
