//! The fields of a Listener.

use super::*;
use crate::model::listener::{SecurityModel, Stack};
use crate::model::written::{HostBinding, ListenerSpec};

const BINDING: &str = "hostBinding: {namespace: {from: ALL}}\n";

/// A Listener with these fields; those that it needs are added where they are missing.
fn listener(fields: &str) -> Arc<Object> {
    let mut text = fields.to_owned();
    for (name, default) in [
        ("port", "port: 8443\n"),
        ("protocol", "protocol: HTTPS\n"),
        ("securityModel", "securityModel: XFP\n"),
        ("hostBinding", BINDING),
    ] {
        let is_written = fields.lines().any(|line| line.starts_with(name));
        if !is_written {
            text.push_str(default);
        }
    }
    of_kind("Listener", &text)
}

fn spec(object: &Object) -> &ListenerSpec {
    match &object.content {
        Content::Listener(spec) => spec,
        other => panic!("no Listener: {other:?}: {:?}", object.problems),
    }
}

#[test]
fn a_listener_is_read_whole() {
    let object = of_kind(
        "Listener",
        "port: 9000\nprotocolStack: [TLS, PROXY, HTTP, TCP]\nsecurityModel: SECURE\n\
         l7Depth: 2\nstatsPrefix: edge\nhttp2MaxConcurrentStreams: 50\n\
         hostBinding:\n  namespace: {from: SELF}\n  selector: {matchLabels: {a: b}}\n",
    );
    assert_eq!(told(&object), [""; 0]);
    let expected = ListenerSpec {
        port: 9000,
        stack: Stack { proxy_protocol: true, tls: true, http: true },
        security: SecurityModel::Secure,
        hosts: HostBinding {
            own_namespace: true,
            selector: [("a".to_owned(), "b".to_owned())].into(),
        },
        stat_prefix: Some("edge".into()),
        trusted_hops: 2,
        max_concurrent_streams: Some(50),
    };
    assert_eq!(*spec(&object), expected);
}

#[test]
fn what_isnt_written_is_as_in_emissary() {
    let spec = |object: &Object| spec(object).clone();
    let plain = spec(&listener(""));
    assert_eq!((plain.trusted_hops, plain.max_concurrent_streams), (0, None));
    assert_eq!((plain.stat_prefix, plain.hosts.own_namespace), (None, false));
    let labelled = listener("hostBinding: {selector: {matchLabels: {a: b}}}\n");
    assert!(spec(&labelled).hosts.own_namespace, "SELF is the default");
}

#[test]
fn protocols_are_shorthands() {
    for (fields, proxy_protocol, tls, http) in [
        ("protocol: HTTP\n", false, false, true),
        ("protocol: HTTPS\n", false, true, true),
        ("protocol: HTTPPROXY\n", true, false, true),
        ("protocol: HTTPSPROXY\n", true, true, true),
        ("protocol: TCP\n", false, false, false),
        ("protocol: TLS\n", false, true, false),
        ("protocolStack: [HTTP, TCP]\n", false, false, true),
        ("protocolStack: [PROXY, TLS, HTTP, TCP]\n", true, true, true),
        ("protocolStack: [PROXY, TCP]\n", true, false, false),
        ("protocolStack: [TLS, TCP]\n", false, true, false),
    ] {
        let object = listener(fields);
        assert_eq!(told(&object), [""; 0], "{fields}");
        assert_eq!(spec(&object).stack, Stack { proxy_protocol, tls, http }, "{fields}");
    }
}

#[test]
fn security_models() {
    for (word, expected) in [
        ("XFP", SecurityModel::ForwardedProto),
        ("SECURE", SecurityModel::Secure),
        ("INSECURE", SecurityModel::Insecure),
    ] {
        let object = listener(&format!("securityModel: {word}\n"));
        assert_eq!(spec(&object).security, expected);
    }
}

#[test]
fn what_is_wrong_is_told_and_the_port_stays_closed() {
    for (fields, expected) in [
        ("port: 0\n", "Error port: 0 is not a port; write a number from 1 to 65535"),
        ("port: 65536\n", "Error port: 65536 is not a port"),
        ("port: -1\n", "Error port: -1 is not a port"),
        ("port: http\n", "Error port: expected a whole number, found http"),
        ("port: [80]\n", "Error port: expected a whole number, found a list"),
        ("port: null\n", "Error port: is missing; write the port"),
        ("protocol: Https\n", "Error protocol: \"Https\" is unknown; write HTTP, HTTPS, "),
        ("protocol: true\n", "Error protocol: expected text, found a boolean"),
        ("protocol: UDP\n", "Unsupported protocol: UDP and HTTP/3 are not supported"),
        ("protocol: ''\n", "Error protocol: is missing; write HTTP, HTTPS"),
        ("protocolStack: [TLS, HTTP, UDP]\n", "Unsupported protocolStack: UDP and HTTP/3"),
        ("protocolStack: [TLS, HTTP]\n", "Error protocolStack: has to end with TCP"),
        ("protocolStack: [TCP, HTTP]\n", "Error protocolStack: has to end with TCP"),
        ("protocolStack: [TCP, TCP]\n", "Error protocolStack: has to end with TCP, once"),
        ("protocolStack: [QUIC, TCP]\n", "Error protocolStack[0]: \"QUIC\" is unknown; write HTTP"),
        ("protocolStack: [[TLS], TCP]\n", "Error protocolStack[0]: expected text, found a list"),
        ("protocolStack: {a: b}\n", "Error protocolStack: expected text, found a map"),
        ("securityModel: xfp\n", "Error securityModel: \"xfp\" is unknown; write XFP, SECURE or"),
        ("securityModel: null\n", "Error securityModel: is missing; write XFP, SECURE or"),
        ("hostBinding: null\n", "Error hostBinding: is missing; write namespace: {from: ALL}"),
        ("hostBinding: {}\n", "Error hostBinding: is empty; write namespace"),
        ("hostBinding: ALL\n", "Error hostBinding: expected a map, found text"),
        ("hostBinding: {namespace: ALL}\n", "Error hostBinding.namespace: expected a map"),
        ("hostBinding: {namespace: {frm: ALL}}\n", "Error hostBinding.namespace: says no from"),
        (
            "hostBinding: {namespace: {from: SELECTOR}}\n",
            "Unsupported hostBinding.namespace.from: namespaces can't be chosen by their labels",
        ),
        (
            "hostBinding: {namespace: {from: SOME}}\n",
            "Error hostBinding.namespace.from: \"SOME\" is unknown; write ALL or SELF",
        ),
        (
            "hostBinding: {selector: {matchExpressions: [{key: a}]}}\n",
            "Error hostBinding.selector: has no matchLabels",
        ),
        (
            "hostBinding: {selector: {matchLabels: {a: [b]}}}\n",
            "Error hostBinding.selector.matchLabels.a: expected text, found a list",
        ),
        ("hostBinding: {selector: a}\n", "Error hostBinding.selector: expected a map"),
        ("l7Depth: -1\n", "Error l7Depth: -1 is not a count of proxies; write 0 to 100"),
        ("l7Depth: 1000\n", "Error l7Depth: 1000 is not a count of proxies"),
        ("l7Depth: one\n", "Error l7Depth: expected a whole number, found one"),
    ] {
        assert_told(&listener(fields), false, expected);
    }
}

#[test]
fn what_costs_one_field_only() {
    for (fields, expected) in [
        (
            "protocol: TCP\nprotocolStack: [TLS, HTTP, TCP]\n",
            "Warning protocol: is ignored, because protocolStack is set; keep one of them",
        ),
        ("http2MaxConcurrentStreams: 0\n", "Warning http2MaxConcurrentStreams: 0 is not a limit"),
        ("http2MaxConcurrentStreams: x\n", "Warning http2MaxConcurrentStreams: expected a whole"),
        ("statsPrefix: [a]\n", "Warning statsPrefix: expected text, found a list"),
        ("statPrefix: a\n", "Warning statPrefix: is not a field of a Listener; did you mean stat"),
        (
            "hostBinding: {namespace: {from: ALL}, selectr: {}}\n",
            "Warning hostBinding.selectr: is not a field of hostBinding; did you mean selector?",
        ),
        (
            "hostBinding: {selector: {matchLabels: {a: b}, matchExpressions: [{key: a}]}}\n",
            "Warning hostBinding.selector.matchExpressions: counts for nothing",
        ),
    ] {
        assert_told(&listener(fields), true, expected);
    }
    let object = listener("protocol: TCP\nprotocolStack: [TLS, HTTP, TCP]\n");
    assert!(spec(&object).stack.tls, "the stack wins");
    assert!(!spec(&listener("hostBinding: {namespace: {from: all}}\n")).hosts.own_namespace);
}
