//! Which certificate is shown, and how TLS is spoken.

use serde_json::json;

use super::Bench;
use crate::support::certificates::Authority;
use crate::support::peers::{Curl, handshake};
use crate::support::{PATIENCE, wait_until};

/// While there is no Host, the certificate of the Secret with Emissary's name is shown to everyone.
pub(super) fn fallback(bench: &Bench<'_>) {
    let secure = bench.at(443);
    let before = handshake(secure, Some("any.example"), &[]);
    assert_eq!(before.certificate(), None, "nobody has a certificate yet");
    let issued = bench.authority.issue(&["any.example"]);
    bench.apply(&[issued.secret("fallback-self-signed-cert")]);
    for name in [Some("any.example"), Some("another.example"), None] {
        wait_until(&format!("the fallback certificate for {name:?}"), PATIENCE, || {
            handshake(secure, name, &[]).shows(&issued)
        });
    }
    let reply = bench.curl.get("https://any.example/fallback", &[]).expect("an answer");
    assert_eq!(reply.echo()["url"], "/fallback");
}

/// Each name has its own certificate, and what has none is refused; cleartext is redirected.
pub(super) fn by_name(bench: &Bench<'_>) {
    let names = [("one.example", "one"), ("*.wild.example", "wild"), ("www.wild.example", "www")];
    let issued = names.map(|(host, name)| {
        let issued = bench.authority.issue(&[host]);
        let spec = json!({"tlsSecret": {"name": name}});
        bench.apply(&[issued.secret(name), bench.host(host, spec)]);
        issued
    });
    names.iter().for_each(|(_, name)| bench.namespace.wait_ready(&format!("host/{name}")));
    let trusted = bench.trusted();
    for (name, expected) in [
        ("one.example", &issued[0]),
        ("ONE.example", &issued[0]),
        ("a.wild.example", &issued[1]),
        ("www.wild.example", &issued[2]),
    ] {
        for (pod, address) in bench.gateway.pods(8443) {
            let shown = handshake(address, Some(name), &["-CAfile", &trusted]);
            shown.shows(expected).unwrap_or_else(|e| panic!("{pod}: {name}: {e}"));
            assert!(shown.is_verified(), "{pod}: {name}: {shown:?}");
        }
    }
    // There are Hosts now, and none of them is for these.
    for name in [Some("any.example"), Some("wild.example"), None] {
        let shown = handshake(bench.at(443), name, &[]);
        assert_eq!(shown.certificate(), None, "{name:?}: {shown:?}");
        assert!(shown.error().contains("unrecognized name"), "{name:?}: {shown:?}");
    }
    let get = |url: &str| bench.curl.get(url, &[]).unwrap_or_else(|e| panic!("{url}: {e}"));
    let reply = get("https://a.wild.example/path?query");
    assert_eq!((reply.status, &reply.echo()["url"]), (200, &json!("/path?query")));
    assert_eq!(reply.echoed("X-Forwarded-Proto").as_deref(), Some("https"));
    let age = reply.header("strict-transport-security");
    assert_eq!(age, Some("max-age=31536000; includeSubDomains"));
    let reply = get("http://one.example/path?query");
    assert_eq!(reply.status, 301);
    assert_eq!(reply.header("location"), Some("https://one.example/path?query"));
    // curl looks at the chain: it takes nothing of an authority that it doesn't know.
    let strangers = Curl::new("tls-strangers", &Authority::new("other"), bench.gateway.address());
    let error = strangers.get("https://one.example/", &[]).expect_err("an unknown authority");
    assert!(error.contains("SSL certificate problem"), "{error}");
}

/// What a Host says of versions and protocols, and what holds for one that says nothing.
pub(super) fn versions_and_protocols(bench: &Bench<'_>) {
    bench.serve("plain.example", json!({}));
    bench.serve("new.example", json!({"tls": {"min_tls_version": "v1.3"}}));
    bench.serve("old.example", json!({"tls": {"max_tls_version": "v1.2"}}));
    bench.serve("http1.example", json!({"tls": {"alpn_protocols": "http/1.1"}}));
    // Without it openssl itself speaks no version older than 1.2.
    let old = ["-cipher", "DEFAULT@SECLEVEL=0"];
    for (name, version, agreed) in [
        ("plain.example", "-tls1_2", Some("TLSv1.2")),
        ("plain.example", "-tls1_3", Some("TLSv1.3")),
        ("plain.example", "-tls1_1", None),
        ("plain.example", "-tls1", None),
        ("new.example", "-tls1_2", None),
        ("new.example", "-tls1_3", Some("TLSv1.3")),
        ("old.example", "-tls1_2", Some("TLSv1.2")),
        ("old.example", "-tls1_3", None),
    ] {
        let shown = handshake(bench.at(443), Some(name), &[&[version][..], &old].concat());
        assert_eq!(shown.version(), agreed, "{name} {version}: {shown:?}");
        // TLS 1.1 is refused by what it hasn't got; the alert for that is another.
        let refused = ["alert protocol version", "alert handshake failure"]
            .iter()
            .any(|alert| shown.error().contains(alert));
        assert_eq!(refused, agreed.is_none(), "{name} {version}: {shown:?}");
    }
    for (name, offered, agreed) in [
        ("plain.example", "h2,http/1.1", Some("h2")),
        ("plain.example", "http/1.1,h2", Some("h2")),
        ("plain.example", "http/1.1", Some("http/1.1")),
        ("http1.example", "h2,http/1.1", Some("http/1.1")),
        ("http1.example", "h2", None),
        ("plain.example", "other", None),
    ] {
        let shown = handshake(bench.at(443), Some(name), &["-alpn", offered]);
        assert_eq!(shown.alpn(), agreed, "{name} {offered}: {shown:?}");
        let refused = shown.error().contains("no application protocol");
        assert_eq!(refused, agreed.is_none(), "{name} {offered}: {shown:?}");
    }
    for (arguments, version) in [(["--http2"], "2"), (["--http1.1"], "1.1")] {
        let reply = bench.curl.get("https://plain.example/", &arguments).expect("an answer");
        assert_eq!((reply.status, &*reply.version), (200, version));
    }
}
