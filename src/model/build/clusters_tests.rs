//! Where clusters' addresses come from, and their names.

use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::model::written::GatewayDefaults;

fn spec(service: &str, namespace: &str) -> UpstreamSpec {
    let (host, port) = match service.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()),
        _ => (service, None),
    };
    let host = match host.trim_matches(['[', ']']).parse() {
        Ok(address) => UpstreamHost::Address(address),
        Err(_) => UpstreamHost::Name(host.into()),
    };
    UpstreamSpec { service: service.into(), host, port, ..UpstreamSpec::plain("", 0, namespace) }
}

fn cluster_of(
    service: &str,
    namespace: &str,
    resolver: Option<&str>,
    timeout: Option<Duration>,
) -> Cluster {
    let policy = ClusterPolicy { connect_timeout: timeout, ..ClusterPolicy::default() };
    let resolver = resolver.map(Arc::from);
    let spec = UpstreamSpec { resolver, policy: Arc::new(policy), ..spec(service, namespace) };
    build_cluster(&spec, &Environment::with_namespace("ambassador")).expect("resolved")
}

fn cluster(service: &str, namespace: &str) -> Cluster {
    cluster_of(service, namespace, None, None)
}

#[test]
fn upstreams_follow_the_resolver() {
    for (service, resolver, expected) in [
        ("foo", None, "foo.ns:80"),
        ("foo:8080", Some("kubernetes-endpoint"), "foo.ns:8080"),
        ("foo.other.svc.cluster.local", Some("kubernetes-endpoint"), "foo.other:80"),
        ("foo.other.svc.cluster.local", None, "foo.other.svc.cluster.local:80"),
        ("10.0.0.1", Some("kubernetes-endpoint"), "10.0.0.1:80"),
        ("[::1]:81", None, "[::1]:81"),
        ("localhost:8877", Some("kubernetes-endpoint"), "localhost:8877"),
    ] {
        let cluster = cluster_of(service, "ns", resolver, None);
        assert_eq!(cluster.upstream.authority(), expected, "{service} {resolver:?}");
    }
}

#[test]
fn simple_clusters_are_named_as_emissary_names_them() {
    for (service, namespace, expected) in [
        ("quote", "default", "cluster_quote_default"),
        ("quote:80", "default", "cluster_quote_80_default"),
        ("httpbin.org:80", "default", "cluster_httpbin_org_80_default"),
        ("test.kubeflow:8000", "kubeflow", "cluster_test_kubeflow_8000_kubeflow"),
        ("127.0.0.1:8877", "ambassador", "cluster_127_0_0_1_8877_ambassador"),
    ] {
        assert_eq!(&*cluster(service, namespace).name.0, expected);
    }
}

#[test]
fn names_are_short_and_tell_policies_apart() {
    let long = "a-very-long-name-of-a-service.in-a-very-long-namespace.svc.cluster.local";
    let other_port = format!("{long}:8081");
    let seconds = Duration::from_secs;
    let mut names = HashSet::new();
    for service in ["a-b", long, &other_port] {
        for resolver in [None, Some("kubernetes-endpoint")] {
            for timeout in [None, Some(seconds(5))] {
                let name = cluster_of(service, "c", resolver, timeout).name;
                assert!(name.0.len() <= 60, "{name}");
                assert!(names.insert(name.clone()), "{name} again");
            }
        }
    }
    assert_eq!(
        &*cluster_of("a-b", "c", Some("kubernetes-endpoint"), None).name.0,
        "cluster_a_b_c_er"
    );
    // Fixed, so that a new compiler doesn't rename everyone's metrics.
    let name = cluster(long, "c").name;
    assert_eq!(&*name.0, "cluster_a_very_long_name_of_a_service_in_a_h78ef6e4493c02e37");
}

#[test]
fn tls_has_a_port_and_a_mark_of_its_own() {
    let plain = spec("quote", "default");
    let tls = UpstreamSpec { tls: true, ..plain.clone() };
    let cluster = build_cluster(&tls, &Environment::with_namespace("ambassador")).expect("ok");
    assert_eq!(&*cluster.name.0, "cluster_quote_otls_default");
    assert_eq!(cluster.upstream.authority(), "quote.default:443");
    assert!(cluster.tls.is_some());
    let context = UpstreamSpec { context: Some("nowhere".into()), ..plain };
    let missing = build_cluster(&context, &Environment::with_namespace("ambassador"));
    assert_eq!(missing, Err(Missing::Context("nowhere".into())), "never in cleartext");
}

#[test]
fn what_the_module_says_renames_nothing() {
    let mut environment = Environment::with_namespace("ambassador");
    let mut defaults = GatewayDefaults::default();
    defaults.cluster.connect_timeout = Some(Duration::from_secs(9));
    environment.defaults = Arc::new(defaults);
    let cluster = build_cluster(&spec("quote", "default"), &environment).expect("ok");
    assert_eq!(&*cluster.name.0, "cluster_quote_default");
    assert_eq!(cluster.policy.connect_timeout(), Duration::from_secs(9));
}
