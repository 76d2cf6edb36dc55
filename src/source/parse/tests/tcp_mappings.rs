//! The fields of a TCPMapping, and resolvers.

use std::time::Duration;

use super::*;
use crate::model::policy::{CircuitBreaker, ClusterPolicy, DnsPolicy, Limit, Priority};
use crate::model::route::HostMatch;
use crate::model::written::{ResolverKind, TcpRoute, UpstreamHost, UpstreamSpec};

const V3: &str = "getambassador.io/v3alpha1";
const V2: &str = "getambassador.io/v2";

fn of(version: &str, fields: &str) -> Arc<Object> {
    let mut text = fields.to_owned();
    for (name, default) in [("port:", "port: 5432\n"), ("service:", "service: db\n")] {
        if !fields.lines().any(|line| line.starts_with(name)) {
            text.push_str(default);
        }
    }
    of_version(version, "TCPMapping", &text)
}

fn spec(object: &Object) -> &TcpRoute {
    match &object.content {
        Content::TcpRoute(route) => route,
        other => panic!("no TCPMapping: {other:?}: {:?}", object.problems),
    }
}

#[test]
fn a_tcp_mapping_is_read_whole() {
    let object = of(
        V3,
        "port: 6789\nhost: DB.example\naddress: 127.0.0.1\nservice: https://DB.shop:5432\n\
         tls: strict\nweight: 30\nresolver: endpoint\nenable_ipv4: false\nenable_ipv6: true\n\
         cluster_tag: blue\nstats_name: db\nidle_timeout_ms: '60000'\n\
         circuit_breakers: [{max_connections: 7}]\n",
    );
    assert_eq!(told(&object), [""; 0]);
    let dns = DnsPolicy { ipv4: Some(false), ipv6: Some(true), ..DnsPolicy::default() };
    let breaker = CircuitBreaker { max_connections: 7, ..CircuitBreaker::of(Priority::Default) };
    let expected = TcpRoute {
        address: Some("127.0.0.1".parse().expect("an address")),
        port: 6789,
        sni: Some(HostMatch::Exact("db.example".into())),
        passthrough: false,
        weight: Some(30),
        upstream: UpstreamSpec {
            service: "db.shop:5432".into(),
            host: UpstreamHost::Name("db.shop".into()),
            port: Some(5432),
            namespace: "default".into(),
            resolver: Some("endpoint".into()),
            tls: true,
            context: Some("strict".into()),
            policy: Arc::new(ClusterPolicy {
                dns,
                circuit_breakers: Some([breaker].into()),
                tag: Some("blue".into()),
                stats_name: Some("db".into()),
                ..ClusterPolicy::default()
            }),
        },
        idle_timeout: Some(Limit::After(Duration::from_secs(60))),
    };
    assert_eq!(*spec(&object), expected);
}

#[test]
fn tls_towards_the_upstream() {
    for (version, fields, tls, context) in [
        (V3, "service: db\n", false, None),
        (V3, "service: https://db\n", true, None),
        (V3, "service: db\ntls: strict\n", true, Some("strict")),
        (V3, "service: db\ntls: ''\n", false, None),
        (V2, "service: db\ntls: true\n", true, None),
        (V2, "service: db\ntls: false\n", false, None),
        (V2, "service: db\ntls: strict\n", true, Some("strict")),
    ] {
        let object = of(version, fields);
        assert_eq!(told(&object), [""; 0], "{version} {fields}");
        let upstream = &spec(&object).upstream;
        let found = (upstream.tls, upstream.context.as_deref());
        assert_eq!(found, (tls, context), "{version} {fields}");
    }
}

#[test]
fn names_and_limits() {
    for (fields, sni) in [
        ("", None),
        ("host: ''\n", None),
        ("host: '*'\n", Some(HostMatch::Any)),
        ("host: '*.example'\n", Some(HostMatch::Suffix(".example".into()))),
    ] {
        assert_eq!(spec(&of(V3, fields)).sni, sni, "{fields}");
    }
    for (text, limit) in
        [("'0'", Limit::Unlimited), ("500", Limit::After(Duration::from_millis(500)))]
    {
        let object = of(V3, &format!("idle_timeout_ms: {text}\n"));
        assert_eq!(spec(&object).idle_timeout, Some(limit));
    }
    assert!(spec(&of(V3, "host: a.example\ntls_passthrough: true\n")).passthrough);
}

#[test]
fn what_is_wrong_is_told_and_no_connection_is_taken() {
    for (fields, expected) in [
        ("port: 0\n", "Error port: 0 is not a port"),
        ("port: null\n", "Error port: is missing"),
        ("service: null\n", "Error service: is missing; write the upstream as host:port"),
        ("service: 'a:b'\n", "Error service: \"b\" is not a port"),
        ("service: [a]\n", "Error service: expected text, found a list"),
        ("host: 'a.*.b'\n", "Error host: \"a.*.b\" has a star in it"),
        ("host: [a]\n", "Error host: expected text, found a list"),
        ("address: localhost\n", "Error address: \"localhost\" is not an IP address"),
        ("address: {}\naddress: {a: b}\n", "Error address: expected text, found a map"),
        ("tls: true\n", "Error tls: expected the name of a TLSContext; to begin TLS without one"),
        ("tls: [a]\n", "Error tls: expected text, found a list"),
        ("weight: -1\n", "Error weight: -1 is not a share in percent"),
        ("weight: half\n", "Error weight: expected a whole number, found half"),
        ("resolver: [a]\n", "Error resolver: expected text, found a list"),
        ("tls_passthrough: 'yes'\n", "Error tls_passthrough: expected true or false"),
        (
            "host: a\ntls_passthrough: true\nservice: https://db\n",
            "Error tls_passthrough: passes the client's TLS on",
        ),
    ] {
        assert_told(&of(V3, fields), false, expected);
    }
}

#[test]
fn what_costs_one_field_only() {
    for (version, fields, expected) in [
        (V3, "weight: 101\n", "Warning weight: 101 is not a share in percent"),
        (V3, "idle_timeout_ms: 1m\n", "Warning idle_timeout_ms: 1m is ignored; write whole"),
        (V3, "idle_timeout_ms: [1]\n", "Warning idle_timeout_ms: a list is ignored"),
        (V3, "cluster_tag: [a]\n", "Warning cluster_tag: expected text"),
        (V3, "circuit_breakers: [{max_connections: -1}]\n", "Warning circuit_breakers[0].max_c"),
        (V3, "enable_ipv6: maybe\n", "Warning enable_ipv6: expected true or false"),
        (V3, "service: http://db\ntls: strict\n", "Warning service: http:// is ignored"),
        (V3, "tls_passthrough: true\n", "Warning tls_passthrough: needs host"),
        (V3, "hosts: a\n", "Warning hosts: is not a field of a TCPMapping; did you mean host?"),
    ] {
        assert_told(&of(version, fields), true, expected);
    }
}

#[test]
fn resolvers_are_their_kind() {
    for (kind, expected) in [
        ("KubernetesServiceResolver", ResolverKind::Dns),
        ("KubernetesEndpointResolver", ResolverKind::Endpoints),
    ] {
        let object = of_kind(kind, "");
        assert_eq!((told(&object), &object.content), (vec![], &Content::Resolver(expected)));
        let object = of_kind(kind, "address: x\n");
        assert_told(&object, true, &format!("Warning address: is not a field of a {kind}"));
    }
}
