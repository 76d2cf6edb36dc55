//! The fields of a TLSContext.

use super::*;
use crate::model::tls::{SecretKey, TlsVersion};
use crate::model::written::{PemSource, TlsSpec};

fn context(fields: &str) -> Arc<Object> {
    of_kind("TLSContext", fields)
}

fn spec(object: &Object) -> &TlsSpec {
    match &object.content {
        Content::TlsContext(spec) => spec,
        other => panic!("no TLSContext: {other:?}: {:?}", object.problems),
    }
}

fn secret(namespace: &str, name: &str) -> Option<PemSource> {
    Some(PemSource::Secret(SecretKey { namespace: namespace.into(), name: name.into() }))
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

#[test]
fn a_context_is_read_whole() {
    let object = context(
        "hosts: [A.example, '*.b.example']\nsecret: cert\nca_secret: ca\ncrl_secret: crl\n\
         cert_required: true\nalpn_protocols: h2, http/1.1\nmin_tls_version: v1.2\n\
         max_tls_version: v1.3\nsni: Up.example\n\
         cipher_suites: ['[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]', \
         TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\necdh_curves: [X25519, prime256v1]\n",
    );
    assert_eq!(told(&object), [""; 0]);
    let spec = spec(&object);
    assert_eq!(texts(&spec.hosts), ["a.example", "*.b.example"]);
    assert_eq!(spec.certificate, secret("default", "cert"));
    assert_eq!(spec.authorities, secret("default", "ca"));
    assert_eq!(spec.revoked, secret("default", "crl"));
    assert!(spec.required);
    assert_eq!(spec.sni.as_deref(), Some("up.example"));
    assert_eq!(spec.undivided, None);
    let parameters = &spec.parameters;
    assert_eq!(parameters.min_version, Some(TlsVersion::V1_2));
    assert_eq!(parameters.max_version, Some(TlsVersion::V1_3));
    assert_eq!(texts(&parameters.alpn), ["h2", "http/1.1"]);
    assert_eq!(texts(&parameters.curves), ["X25519", "P-256"]);
    assert_eq!(
        texts(&parameters.cipher_suites),
        [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        ]
    );
}

#[test]
fn an_empty_context_asks_for_nothing() {
    let object = context("");
    assert_eq!(told(&object), [""; 0]);
    assert_eq!(*spec(&object), TlsSpec::default());
}

#[test]
fn a_dot_divides_a_secret_unless_forbidden() {
    // (fields, with the Module's default, where the Module says false)
    for (fields, divided, whole) in [
        ("secret: a.b\n", secret("b", "a"), secret("default", "a.b")),
        ("secret: a.b.c\n", secret("c", "a.b"), secret("default", "a.b.c")),
        ("secret: a\n", secret("default", "a"), secret("default", "a")),
        // What the object says itself the Module doesn't change.
        ("secret: a.b\nsecret_namespacing: true\n", secret("b", "a"), secret("b", "a")),
        (
            "secret: a.b\nsecret_namespacing: false\n",
            secret("default", "a.b"),
            secret("default", "a.b"),
        ),
        ("secret: a.default\n", secret("default", "a"), secret("default", "a.default")),
    ] {
        let object = context(fields);
        assert_eq!(told(&object), [""; 0], "{fields}");
        assert_eq!(spec(&object).read(None).certificate, divided, "{fields}");
        assert_eq!(spec(&object).read(Some(true)).certificate, divided, "{fields}");
        assert_eq!(spec(&object).read(Some(false)).certificate, whole, "{fields}");
    }
    let object = context("hosts: [a]\nca_secret: ca.b\nsecret: x\n");
    assert_eq!(texts(&spec(&object).read(Some(false)).hosts), ["a"]);
}

#[test]
fn files_stand_for_secrets() {
    let object =
        context("cert_chain_file: /c.pem\nprivate_key_file: /k.pem\ncacert_chain_file: /ca.pem\n");
    assert_eq!(told(&object), [""; 0]);
    let files = |certificates: &str, key: Option<&str>| {
        Some(PemSource::Files { certificates: certificates.into(), key: key.map(Into::into) })
    };
    assert_eq!(spec(&object).certificate, files("/c.pem", Some("/k.pem")));
    assert_eq!(spec(&object).authorities, files("/ca.pem", None));
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_served_with_it() {
    for (fields, expected) in [
        ("hosts: ['a.*.b']\n", "Error hosts[0]: \"a.*.b\" has a star in it"),
        ("hosts: [[a]]\n", "Error hosts[0]: expected text, found a list"),
        ("secret: [a]\n", "Error secret: expected text, found a list"),
        ("secret: A\n", "Error secret: \"A\" is no name that Kubernetes takes"),
        ("secret: a..b\n", "Error secret: \"a..b\" is no name that Kubernetes takes"),
        ("secret: a.\n", "Error secret: \"a.\" is no name that Kubernetes takes"),
        (
            "secret: a\ncert_chain_file: /c\nprivate_key_file: /k\n",
            "Error cert_chain_file: excludes secret",
        ),
        ("secret: a\nprivate_key_file: /k\n", "Error private_key_file: excludes secret"),
        ("cert_chain_file: /c\n", "Error cert_chain_file: needs private_key_file beside it"),
        ("private_key_file: /k\n", "Error private_key_file: needs cert_chain_file beside it"),
        ("ca_secret: {}\nca_secret: {a: b}\n", "Error ca_secret: expected text, found a map"),
        ("crl_secret: a\n", "Error crl_secret: needs ca_secret or cacert_chain_file"),
        ("cert_required: true\n", "Error cert_required: needs ca_secret or cacert_chain_file"),
        ("cert_required: 'true'\n", "Error cert_required: expected true or false, found text"),
        ("alpn_protocols: [h2]\n", "Error alpn_protocols: expected text, found a list"),
        ("alpn_protocols: 'h 2'\n", "Error alpn_protocols: \"h 2\" is no application protocol"),
        ("min_tls_version: '1.2'\n", "Error min_tls_version: \"1.2\" is no version of TLS"),
        ("max_tls_version: v1.4\n", "Error max_tls_version: \"v1.4\" is no version of TLS"),
        (
            "min_tls_version: v1.3\nmax_tls_version: v1.2\n",
            "Error min_tls_version: is newer than max_tls_version",
        ),
        (
            "cipher_suites: [RC4-MD5]\n",
            "Error cipher_suites[0]: \"RC4-MD5\" is no cipher suite; write one of ECDHE-ECDSA",
        ),
        (
            "cipher_suites: [ECDHE-RSA-AES128-GCM-SHA265]\n",
            "Error cipher_suites[0]: \"ECDHE-RSA-AES128-GCM-SHA265\" is no cipher suite; did you",
        ),
        ("cipher_suites: [AES128-SHA]\n", "Error cipher_suites: leaves no suite; write one of"),
        ("cipher_suites: [{}]\n", "Error cipher_suites[0]: expected text, found a map"),
        ("ecdh_curves: [P-255]\n", "Error ecdh_curves[0]: \"P-255\" is no curve; did you mean P-"),
        ("ecdh_curves: [P-521]\n", "Error ecdh_curves: leaves no curve; write one of X25519"),
        ("secret_namespacing: maybe\n", "Error secret_namespacing: expected true or false"),
        ("sni: 'a b'\n", "Error sni: \"a b\" is not a host name"),
        ("sni: '*.a'\n", "Error sni: \"*.a\" is not a host name"),
    ] {
        assert_told(&context(fields), false, expected);
    }
}

#[test]
fn what_costs_one_field_only() {
    for (fields, expected) in [
        (
            "ca_secret: a\ncacert_chain_file: /c\n",
            "Warning cacert_chain_file: is ignored, because ca_secret is set",
        ),
        (
            "min_tls_version: v1.0\n",
            "Warning min_tls_version: v1.0 is broken and not spoken; v1.2 counts instead",
        ),
        ("max_tls_version: v1.1\n", "Warning max_tls_version: v1.1 is broken and not spoken"),
        (
            "cipher_suites: [AES128-SHA, ECDHE-RSA-AES128-GCM-SHA256]\n",
            "Warning cipher_suites[0]: AES128-SHA is weak and not spoken; it is left out",
        ),
        (
            "cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
            "Warning cipher_suites[0]: TLS_AES_128_GCM_SHA256 is of TLS 1.3",
        ),
        ("ecdh_curves: [P-521, P-256]\n", "Warning ecdh_curves[0]: P-521 is not spoken"),
        ("redirect_cleartext_from: 80\n", "NoEffect redirect_cleartext_from: has no effect, as"),
        ("host: [a]\n", "Warning host: is not a field of a TLSContext"),
    ] {
        assert_told(&context(fields), true, expected);
    }
    let object = context("min_tls_version: v1.0\n");
    assert_eq!(spec(&object).parameters.min_version, Some(TlsVersion::V1_2));
}

#[test]
fn http_3_is_left_out_of_alpn() {
    for (text, expected) in [("h3", &[][..]), ("'h3,h2'", &["h2"])] {
        let object = context(&format!("alpn_protocols: {text}\n"));
        assert_told(&object, true, "Warning alpn_protocols: h3 is spoken over QUIC only");
        assert_eq!(texts(&spec(&object).parameters.alpn), expected, "{text}");
    }
}
