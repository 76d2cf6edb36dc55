//! The fields of a Host.

use super::*;
use crate::model::listener::InsecureAction;
use crate::model::route::HostMatch;
use crate::model::tls::{SecretKey, TlsVersion};
use crate::model::written::{HostSpec, PemSource};

fn host(fields: &str) -> Arc<Object> {
    of_kind("Host", fields)
}

fn spec(object: &Object) -> &HostSpec {
    match &object.content {
        Content::Host(spec) => spec,
        other => panic!("no Host: {other:?}: {:?}", object.problems),
    }
}

fn secret(namespace: &str, name: &str) -> SecretKey {
    SecretKey { namespace: namespace.into(), name: name.into() }
}

#[test]
fn an_empty_host_is_every_host() {
    let object = host("");
    assert_eq!(told(&object), [""; 0]);
    let expected = HostSpec {
        name: HostMatch::Any,
        port: None,
        selector: Arc::default(),
        insecure: InsecureAction::Redirect,
        certificate: None,
        context: None,
        tls: None,
    };
    assert_eq!(*spec(&object), expected);
}

#[test]
fn hostnames() {
    for (text, name, port) in [
        ("'*'", HostMatch::Any, None),
        ("''", HostMatch::Any, None),
        ("WWW.Example.com", HostMatch::Exact("www.example.com".into()), None),
        ("'*.example.com'", HostMatch::Suffix(".example.com".into()), None),
        ("'example.*'", HostMatch::Prefix("example.".into()), None),
        ("a.example:8443", HostMatch::Exact("a.example".into()), Some(8443)),
        ("'*:8443'", HostMatch::Any, Some(8443)),
        ("'[::1]'", HostMatch::Exact("[::1]".into()), None),
        ("'[::1]:80'", HostMatch::Exact("[::1]".into()), Some(80)),
        ("10.0.0.1", HostMatch::Exact("10.0.0.1".into()), None),
    ] {
        let object = host(&format!("hostname: {text}\n"));
        assert_eq!(told(&object), [""; 0], "{text}");
        assert_eq!((&spec(&object).name, spec(&object).port), (&name, port), "{text}");
    }
}

#[test]
fn a_host_is_read_whole() {
    let object = host(
        "hostname: a.example\nmappingSelector: {matchLabels: {a: b, on: true}}\n\
         requestPolicy: {insecure: {action: Route, additionalPort: -1}}\n\
         tlsSecret: {name: cert, namespace: certs}\ntlsContext: {name: strict}\n\
         acmeProvider: {authority: none, email: a@b}\npreviewUrl: {enabled: false}\n",
    );
    assert_eq!(told(&object), [""; 0]);
    let spec = spec(&object);
    let labels: Vec<_> = spec.selector.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "b"), ("on", "true")]);
    assert_eq!(spec.insecure, InsecureAction::Route);
    assert_eq!(spec.certificate, Some(secret("certs", "cert")));
    assert_eq!(spec.context.as_deref(), Some("strict"));
}

#[test]
fn a_host_of_version_2_is_read() {
    let object = of_version(
        "getambassador.io/v2",
        "Host",
        "ambassadorId: [edge]\nhostname: a.example\nselector: {matchLabels: {a: b}}\n\
         tlsSecret: {name: cert}\n",
    );
    assert_eq!(told(&object), [""; 0]);
    assert_eq!(*object.ambassador_id, ["edge".to_owned()]);
    assert_eq!(spec(&object).selector.len(), 1);
    assert_eq!(spec(&object).certificate, Some(secret("default", "cert")));
}

#[test]
fn inline_tls_has_two_spellings() {
    for fields in [
        "tls: {ca_secret: ca.certs, cert_required: true, min_tls_version: v1.3, \
         alpn_protocols: 'h2, http/1.1', crl_secret: crl}\n",
        "tls: {caSecret: ca.certs, certRequired: true, minTLSVersion: v1.3, \
         alpnProtocols: 'h2,http/1.1', crlSecret: crl}\n",
    ] {
        let object = host(fields);
        assert_eq!(told(&object), [""; 0], "{fields}");
        let tls = spec(&object).tls.as_ref().expect("tls");
        assert_eq!(tls.authorities, Some(PemSource::Secret(secret("certs", "ca"))));
        assert_eq!(tls.revoked, Some(PemSource::Secret(secret("default", "crl"))));
        assert!(tls.required);
        assert_eq!(tls.parameters.min_version, Some(TlsVersion::V1_3));
        assert_eq!(tls.parameters.alpn, ["h2".into(), "http/1.1".into()]);
        let whole = tls.read(Some(false));
        assert_eq!(whole.authorities, Some(PemSource::Secret(secret("default", "ca.certs"))));
    }
}

#[test]
fn what_is_wrong_is_told_and_the_host_stays_closed() {
    for (fields, expected) in [
        ("spec: a.example\n", "Error spec: expected a map, found text"),
        ("hostname: [a]\n", "Error hostname: expected text, found a list"),
        ("hostname: true\n", "Error hostname: expected text, found a boolean"),
        ("hostname: a:b\n", "Error hostname: \"b\" is not a port; write a number from 1"),
        ("hostname: 'a:0'\n", "Error hostname: \"0\" is not a port"),
        ("hostname: 'a:99999'\n", "Error hostname: \"99999\" is not a port"),
        ("hostname: https://a.example\n", "Error hostname: \"https://a.example\" is an address"),
        ("hostname: a.example/x\n", "Error hostname: \"a.example/x\" is an address"),
        ("hostname: 'a.*.example'\n", "Error hostname: \"a.*.example\" has a star in it"),
        ("hostname: '*a*'\n", "Error hostname: \"*a*\" has a star in it"),
        ("hostname: 'a b'\n", "Error hostname: \"a b\" is not a host name"),
        ("hostname: 'bücher.example'\n", "Error hostname: \"bücher.example\" is not a host name"),
        ("mappingSelector: a\n", "Error mappingSelector: expected a map, found text"),
        ("mappingSelector: {matchLabels: [a]}\n", "Error mappingSelector.matchLabels: expected a"),
        ("selector: {matchLabels: {a: {}}}\n", "Error selector.matchLabels.a: expected text"),
        ("requestPolicy: Route\n", "Error requestPolicy: expected a map, found text"),
        ("requestPolicy: {insecure: Route}\n", "Error requestPolicy.insecure: expected a map"),
        (
            "requestPolicy: {insecure: {action: route}}\n",
            "Error requestPolicy.insecure.action: \"route\" is unknown; write Redirect, Reject or",
        ),
        ("tlsSecret: cert\n", "Error tlsSecret: expected a map, found text"),
        ("tlsSecret: {name: ''}\n", "Error tlsSecret: names nothing; write its name"),
        ("tlsSecret: {namespace: a}\n", "Error tlsSecret: names nothing"),
        ("tlsSecret: {name: [a]}\n", "Error tlsSecret.name: expected text, found a list"),
        ("tlsSecret: {name: A_B}\n", "Error tlsSecret.name: \"A_B\" is no name that Kubernetes"),
        ("tlsSecret: {name: a, namespace: B}\n", "Error tlsSecret.namespace: \"B\" is no name"),
        ("tlsContext: {}\ntlsContext: x\n", "Error tlsContext: expected a map, found text"),
        ("tlsContext: {name: ''}\n", "Error tlsContext: names nothing"),
        ("tls: strict\n", "Error tls: expected a map, found text"),
        (
            "tlsContext: {name: a}\ntls: {alpn_protocols: h2}\n",
            "Error tls: excludes tlsContext; keep one of them",
        ),
        ("tls: {min_tls_version: '1.2'}\n", "Error tls.min_tls_version: \"1.2\" is no version"),
        ("tls: {cert_required: maybe}\n", "Error tls.cert_required: expected true or false"),
        ("tls: {cert_required: true}\n", "Error tls.cert_required: needs ca_secret or cacert_"),
    ] {
        assert_told(&host(fields), false, expected);
    }
}

#[test]
fn what_costs_one_field_only() {
    for (fields, expected) in [
        (
            "mappingSelector: {matchLabels: {a: b}}\nselector: {matchLabels: {c: d}}\n",
            "Warning selector: is ignored, because mappingSelector is set; keep one of them",
        ),
        (
            "mappingSelector: {matchLabels: {a: b}, matchExpressions: [{key: a}]}\n",
            "Warning mappingSelector.matchExpressions: counts for nothing",
        ),
        (
            "requestPolicy: {insecure: {additionalPort: 8080}}\n",
            "NoEffect requestPolicy.insecure.additionalPort: has no effect, as in Emissary; write a",
        ),
        (
            "acmeProvider: {email: a@b}\n",
            "NoEffect acmeProvider: has no effect, as in Emissary; let",
        ),
        (
            "requestPolicy: {insecur: {action: Route}}\n",
            "Warning requestPolicy.insecur: is not a field of requestPolicy; did you mean insecure?",
        ),
        (
            "mappingSelector: {matchLabel: {a: b}}\n",
            "Warning mappingSelector.matchLabel: is not a field of a selector; did you mean match",
        ),
        ("selector: {labels: {a: b}}\n", "Warning selector.labels: is not a field of a selector"),
        ("previewUrl: {enabled: true}\n", "NoEffect previewUrl: has no effect"),
        ("tls: {redirect_cleartext_from: 80}\n", "NoEffect tls.redirect_cleartext_from: has no"),
        ("hostnme: a\n", "Warning hostnme: is not a field of a Host; did you mean hostname?"),
        ("tls: {cypher: a}\n", "Warning tls.cypher: is not a field of a Host's tls"),
    ] {
        assert_told(&host(fields), true, expected);
    }
}
