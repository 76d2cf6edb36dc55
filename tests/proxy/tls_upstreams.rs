//! TLS towards upstreams: who is trusted, what is asked for, what is shown.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::ClusterPolicy;
use nuncio::model::route::{Action, Route};
use nuncio::model::tls::{Authorities, Origination, RevocationLists};
use nuncio::proxy::AccessLogFormat;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Backend, Gateway, options, route, route_with, status};
use crate::tls_support::{Authority, Issued};

/// Whom the gateway trusts.
fn trusted(authority: &Authority) -> Option<Arc<Authorities>> {
    Some(Arc::new(Authorities(vec![authority.der().to_vec().into()])))
}

/// A backend that answers with the name it was asked for, and whether it was shown a certificate.
fn backend(authority: &Authority, name: &str, clients: Option<&Authority>) -> Backend {
    backend_with(&authority.issue(&[name]), clients)
}

fn backend_with(issued: &Issued, clients: Option<&Authority>) -> Backend {
    let certificate = issued.certificate.der().clone();
    let key = PrivateKeyDer::try_from(issued.key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("verifies"))
        }
    };
    let mut config = builder.with_single_cert(vec![certificate], key).expect("fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Backend::start(move |stream, _| {
        let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else { return };
        let mut stream = StreamOwned::new(connection, stream);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => return,
                }
            }
            let sni = stream.conn.server_name().unwrap_or("none");
            let shown = stream.conn.peer_certificates().is_some();
            let alpn = stream.conn.alpn_protocol().map(String::from_utf8_lossy);
            let alpn = alpn.unwrap_or_default();
            let body = format!("sni={sni} shown={shown} alpn={alpn}");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    })
}

fn secure(backend: &Backend, tls: Origination) -> Route {
    let mut route = route("/", Upstream::Address(backend.address));
    if let Action::Forward(forward) = &mut route.action {
        Arc::make_mut(&mut forward.cluster).tls = Some(Arc::new(tls));
    }
    route
}

fn ask(backend: &Backend, tls: Origination) -> (String, Gateway) {
    let mut options = options();
    options.access_log = AccessLogFormat::Json;
    let gateway = Gateway::with(options, vec![secure(backend, tls)]);
    (gateway.get("/"), gateway)
}

#[test]
fn without_authorities_any_certificate_is_taken_and_no_name_asked_for() {
    let server = backend(&Authority::new("One"), "whoever.example", None);
    let (answer, gateway) = ask(&server, Origination::default());
    assert!(answer.ends_with("sni=none shown=false alpn="), "{answer}");
    assert_eq!(status(&gateway.get("/")), "200");
    assert_eq!(server.count(), 1, "the connection is used again");
}

#[test]
fn with_authorities_the_certificate_has_to_be_theirs_and_for_the_name() {
    let (ours, other) = (Authority::new("One"), Authority::new("Other"));
    let server = backend(&ours, "quote.example", None);
    let sni = |name: &str| Some(name.into());
    for (authorities, sni, good) in [
        (trusted(&ours), sni("quote.example"), true),
        (trusted(&ours), sni("other.example"), false),
        // Without a name it has to be for the service's own: here an address.
        (trusted(&ours), None, false),
        (trusted(&other), sni("quote.example"), false),
        (None, sni("whatever.example"), true),
    ] {
        let tls = Origination { authorities, sni: sni.clone(), ..Origination::default() };
        let (answer, gateway) = ask(&server, tls);
        if good {
            let sni = sni.as_deref().unwrap_or_default();
            assert!(answer.contains(&format!("sni={sni} ")), "{answer}");
            continue;
        }
        assert_eq!(status(&answer), "503", "{answer}");
        assert!(answer.contains("transport failure reason: TLS error"), "{answer}");
        let line = &gateway.log_lines(1)[0];
        assert!(line.contains("\"UF\"") && line.contains("certificate"), "{line}");
    }
    let by_address = backend(&ours, "127.0.0.1", None);
    let tls = Origination { authorities: trusted(&ours), ..Origination::default() };
    assert_eq!(status(&ask(&by_address, tls).0), "200");
}

#[test]
fn with_revocation_lists_every_issuer_needs_one_that_has_not_expired() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let (good, bad) = (ours.issue(&["quote.example"]), ours.issue(&["quote.example"]));
    let (good_server, bad_server) = (backend_with(&good, None), backend_with(&bad, None));
    let answer = |server: &Backend, revoked: Option<Arc<RevocationLists>>| {
        let sni = Some("quote.example".into());
        let tls =
            Origination { authorities: trusted(&ours), sni, revoked, ..Origination::default() };
        status(&ask(server, tls).0).to_owned()
    };
    let both = RevocationLists([&*other.revoke(&[]).0, &*ours.revoke(&[&bad]).0].concat());
    let both = Arc::new(both);
    for (case, server, revoked, expected) in [
        ("no lists", &bad_server, None, "200"),
        ("one that isn't on it", &good_server, Some(ours.revoke(&[&bad])), "200"),
        ("one that is on it", &bad_server, Some(ours.revoke(&[&bad])), "503"),
        ("the lists of several", &good_server, Some(Arc::clone(&both)), "200"),
        ("and one that is on one of them", &bad_server, Some(both), "503"),
        // Nobody knows whether it is revoked.
        ("another's list only", &good_server, Some(other.revoke(&[])), "503"),
        ("a list that has expired", &good_server, Some(ours.revoke_until(&[], 2025)), "503"),
    ] {
        assert_eq!(answer(server, revoked), expected, "{case}");
    }
}

#[test]
fn a_certificate_is_shown_to_those_who_ask() {
    let (servers, clients) = (Authority::new("One"), Authority::new("Other"));
    let server = backend(&servers, "quote.example", Some(&clients));
    let certificate = clients.issue(&["gateway.example"]).model();
    let tls = Origination { certificate: Some(certificate), ..Origination::default() };
    let (answer, _gateway) = ask(&server, tls);
    assert!(answer.contains("shown=true"), "{answer}");
    let (answer, _gateway) = ask(&server, Origination::default());
    assert_eq!(status(&answer), "503", "{answer}");
}

#[test]
fn verification_can_be_demanded_always() {
    let server = backend(&Authority::new("One"), "127.0.0.1", None);
    let mut options = options();
    options.verify_upstreams = true;
    let gateway = Gateway::with(options, vec![secure(&server, Origination::default())]);
    let answer = gateway.get("/");
    assert_eq!(status(&answer), "503", "{answer}");
}

#[test]
fn only_what_is_spoken_is_offered() {
    let server = backend(&Authority::new("One"), "a.example", None);
    let mut tls = Origination::default();
    tls.parameters.alpn = vec!["h2".into(), "http/1.1".into()];
    let (answer, _gateway) = ask(&server, tls);
    assert!(answer.ends_with("alpn=http/1.1"), "{answer}");
    // An upstream that speaks cleartext is no TLS upstream: it waits for the rest of a head. The
    // limit for connecting ends that well before the route's.
    let plain = Backend::echo();
    let policy = ClusterPolicy {
        connect_timeout: Some(Duration::from_millis(200)),
        ..ClusterPolicy::default()
    };
    let mut route = route_with("/", Upstream::Address(plain.address), policy);
    if let Action::Forward(forward) = &mut route.action {
        Arc::make_mut(&mut forward.cluster).tls = Some(Arc::default());
    }
    let gateway = Gateway::start(vec![route]);
    let answer = gateway.get("/");
    assert_eq!(status(&answer), "503", "{answer}");
}
