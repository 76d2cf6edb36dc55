//! The grammar of `service`, its qualification, and the names of clusters.

use std::collections::HashSet;
use std::time::Duration;

use super::super::service::{Placement, Resolver, ServiceError, ServiceText};
use crate::model::cluster::Cluster;
use crate::model::policy::ClusterPolicy;

fn cluster_of(
    service: &str,
    namespace: &str,
    resolver: Resolver,
    timeout: Option<Duration>,
) -> Cluster {
    let own = ClusterPolicy { connect_timeout: timeout, ..ClusterPolicy::default() };
    let placement = Placement { namespace, own_namespace: "ambassador", resolver, own: &own };
    ServiceText::parse(service).expect(service).cluster(&placement)
}

fn cluster(service: &str, namespace: &str) -> Cluster {
    cluster_of(service, namespace, Resolver::Dns, None)
}

#[test]
fn services_are_qualified_as_emissary_does() {
    for (service, namespace, expected) in [
        ("backoffice", "ambassador", "backoffice"),
        ("backoffice", "otherns", "backoffice.otherns"),
        ("backoffice.otherns", "ambassador", "backoffice.otherns"),
        ("backoffice.otherns", "otherns", "backoffice.otherns"),
        ("backoffice:80", "ambassador", "backoffice:80"),
        ("backoffice:80", "otherns", "backoffice.otherns:80"),
        ("backoffice.otherns:80", "otherns", "backoffice.otherns:80"),
        ("http://backoffice", "otherns", "backoffice.otherns"),
        ("HTTP://backoffice:80", "otherns", "backoffice.otherns:80"),
        ("https://backoffice:443", "otherns", "backoffice.otherns:443"),
        ("[fe80::e022:9cff:fecc:c7c4]", "otherns", "[fe80::e022:9cff:fecc:c7c4]"),
        ("https://[fe80::e022:9cff:fecc:c7c4]:443", "other", "[fe80::e022:9cff:fecc:c7c4]:443"),
        ("localhost", "otherns", "localhost"),
        ("localhost:8877", "otherns", "localhost:8877"),
        ("localhost.otherns", "otherns", "localhost.otherns"),
        ("127.0.0.1:8877", "otherns", "127.0.0.1:8877"),
        ("Backoffice", "otherns", "backoffice.otherns"),
        ("httpbin.org.", "otherns", "httpbin.org."),
    ] {
        let parsed = ServiceText::parse(service).expect(service);
        assert_eq!(parsed.qualified(namespace, "ambassador"), expected, "{service} {namespace}");
    }
}

#[test]
fn mistakes_are_told() {
    use ServiceError::{Brackets, Host, NoHost, Port};
    for (service, expected) in [
        ("", NoHost),
        ("http://", NoHost),
        (":80", NoHost),
        ("/path", NoHost),
        ("foo:", Port("".into())),
        ("foo:http", Port("http".into())),
        ("foo:0", Port("0".into())),
        ("foo:65536", Port("65536".into())),
        ("foo:+80", Port("+80".into())),
        ("foo:80:90", Brackets("foo:80:90".into())),
        ("::1", Brackets("::1".into())),
        ("[::1", Host("[::1".into())),
        ("[::1]x", Host("[::1]x".into())),
        ("[foo]", Host("[foo]".into())),
        ("foo bar", Host("foo bar".into())),
        ("foo..bar", Host("foo..bar".into())),
        ("foo%zz", Host("foo%zz".into())),
        (".", Host(".".into())),
    ] {
        assert_eq!(ServiceText::parse(service), Err(expected), "{service}");
    }
}

#[test]
fn what_is_ignored_is_told() {
    for (service, warnings) in [
        ("foo", 0),
        ("http://foo:80", 0),
        ("http://foo/", 1),
        ("http://foo/path?query", 1),
        ("ftp://foo", 1),
        ("http://user:secret@foo", 1),
        ("ftp://user@foo/", 3),
    ] {
        let parsed = ServiceText::parse(service).expect(service);
        assert_eq!(parsed.warnings.len(), warnings, "{service}: {:?}", parsed.warnings);
        assert!(!parsed.tls);
    }
    assert!(ServiceText::parse("HTTPS://foo").expect("valid").tls);
}

#[test]
fn upstreams_follow_the_resolver() {
    for (service, resolver, expected) in [
        ("foo", Resolver::Dns, "foo.ns:80"),
        ("foo:8080", Resolver::Endpoints, "foo.ns:8080"),
        ("foo.other.svc.cluster.local", Resolver::Endpoints, "foo.other:80"),
        ("foo.other.svc.cluster.local", Resolver::Dns, "foo.other.svc.cluster.local:80"),
        ("10.0.0.1", Resolver::Endpoints, "10.0.0.1:80"),
        ("[::1]:81", Resolver::Dns, "[::1]:81"),
        ("localhost:8877", Resolver::Endpoints, "localhost:8877"),
    ] {
        let cluster = cluster_of(service, "ns", resolver, None);
        assert_eq!(cluster.upstream.authority(), expected, "{service} {resolver:?}");
    }
}

#[test]
fn simple_clusters_are_named_as_emissary_names_them() {
    for (service, namespace, expected) in [
        ("quote", "default", "cluster_quote_default"),
        ("http://quote:80", "default", "cluster_quote_80_default"),
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
        for resolver in [Resolver::Dns, Resolver::Endpoints] {
            for timeout in [None, Some(seconds(5))] {
                let name = cluster_of(service, "c", resolver, timeout).name;
                assert!(name.0.len() <= 60, "{name}");
                assert!(names.insert(name.clone()), "{name} again");
            }
        }
    }
    assert_eq!(cluster("a-b", "c"), cluster("http://A-b", "c"));
    assert_eq!(&*cluster_of("a-b", "c", Resolver::Endpoints, None).name.0, "cluster_a_b_c_er");
    // Fixed, so that a new compiler doesn't rename everyone's metrics.
    let name = cluster(long, "c").name;
    assert_eq!(&*name.0, "cluster_a_very_long_name_of_a_service_in_a_h78ef6e4493c02e37");
}
