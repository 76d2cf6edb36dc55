//! What a Mapping asks of its upstream.

use std::time::Duration;

use super::*;
use crate::model::policy::{
    Affinity, BalanceMethod, CircuitBreaker, ClusterPolicy, HashSource, HealthProbe, Keepalive,
    Limit, OutlierDetection, Priority, RetryBackOff, RetryOn, RetryPolicy, StatusRange,
};

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn policy(fields: &str) -> Arc<ClusterPolicy> {
    let object = mapping(fields);
    assert_eq!(problems(&object), [""; 0], "{fields}");
    forward(&object).cluster.policy.clone()
}

/// The fields that are complained of, with the policy that is left.
fn blamed(fields: &str) -> (Vec<String>, Arc<Object>) {
    let object = mapping(fields);
    let blamed = object.problems.iter().filter_map(|one| one.field.as_deref().map(str::to_owned));
    (blamed.collect(), Arc::clone(&object))
}

#[test]
fn retry_policies() {
    let base = RetryPolicy {
        on: vec![RetryOn::ServerError],
        status_codes: vec![],
        attempts: 1,
        per_try_timeout: None,
        back_off: RetryBackOff::default(),
    };
    for (text, expected) in [
        ("{retry_on: 5xx}", base.clone()),
        (
            "{retry_on: gateway-error, num_retries: 4, per_try_timeout: 0.25s}",
            RetryPolicy {
                on: vec![RetryOn::GatewayError],
                attempts: 4,
                per_try_timeout: Some(millis(250)),
                ..base.clone()
            },
        ),
        (
            "{retry_on: 'refused-stream,connect-failure', num_retries: 0}",
            RetryPolicy {
                on: vec![RetryOn::ConnectFailure, RetryOn::RefusedStream],
                attempts: 0,
                ..base.clone()
            },
        ),
        (
            "{retry_on: retriable-status-codes, retriable_status_codes: [502, 418]}",
            RetryPolicy {
                on: vec![RetryOn::RetriableStatusCodes],
                status_codes: vec![502, 418],
                ..base.clone()
            },
        ),
        (
            "{retry_on: retriable-4xx, retry_back_off: {base_interval: 0.1s}}",
            RetryPolicy {
                on: vec![RetryOn::Retriable4xx],
                back_off: RetryBackOff { base: millis(100), max: millis(1000) },
                ..base
            },
        ),
    ] {
        let object = mapping(&format!("retry_policy: {text}\n"));
        assert_eq!(problems(&object), [""; 0], "{text}");
        assert_eq!(route(&object).policy.retry.as_deref(), Some(&expected), "{text}");
    }
}

#[test]
fn wrong_retry_policies_are_told() {
    for (text, fields, stands) in [
        ("5xx", &["retry_policy"][..], false),
        ("{num_retries: 1}", &["retry_policy"], false),
        ("{retry_on: always}", &["retry_policy.retry_on"], false),
        ("{retry_on: '5xx,x'}", &["retry_policy.retry_on"], true),
        ("{retry_on: true}", &["retry_policy.retry_on"], false),
        ("{retry_on: 5xx, num_retries: -1}", &["retry_policy.num_retries"], true),
        ("{retry_on: 5xx, num_retries: few}", &["retry_policy.num_retries"], true),
        ("{retry_on: 5xx, per_try_timeout: soon}", &["retry_policy.per_try_timeout"], true),
        ("{retry_on: 5xx, per_try_timeout: 5}", &["retry_policy.per_try_timeout"], true),
        (
            "{retry_on: 5xx, retry_back_off: {max_interval: 1ms}}",
            &["retry_policy.retry_back_off.max_interval"],
            true,
        ),
        ("{retry_on: 5xx, num_retry: 1}", &["retry_policy.num_retry"], true),
        ("{retry_on: retriable-status-codes}", &["retry_policy.retry_on"], true),
        (
            "{retry_on: 5xx, retriable_status_codes: [7]}",
            &["retry_policy.retriable_status_codes[0]"],
            true,
        ),
    ] {
        let (told, object) = blamed(&format!("retry_policy: {text}\n"));
        assert_eq!(told, fields, "{text}");
        assert_eq!(route(&object).policy.retry.is_some(), stands, "{text}");
    }
}

#[test]
fn limits_and_times() {
    let policy = policy(
        "connect_timeout_ms: 500\ncluster_idle_timeout_ms: 0\n\
         cluster_max_connection_lifetime_ms: 60000\ngrpc: true\nrespect_dns_ttl: true\n\
         dns_type: logical_dns\nenable_ipv4: false\nenable_ipv6: true\ncluster_tag: blue\n\
         stats_name: quote\nkeepalive: {probes: 3, idle_time: 10, interval: 5}\n",
    );
    assert_eq!(policy.connect_timeout(), millis(500));
    assert_eq!(policy.idle_timeout, Some(Limit::Unlimited));
    assert_eq!(policy.max_lifetime, Some(Limit::After(millis(60_000))));
    assert_eq!(policy.http2, Some(true));
    let dns = policy.dns;
    assert_eq!((dns.logical, dns.respect_ttl), (Some(true), Some(true)));
    assert_eq!((dns.ipv4, dns.ipv6), (Some(false), Some(true)));
    assert_eq!(
        (policy.tag.as_deref(), policy.stats_name.as_deref()),
        (Some("blue"), Some("quote"))
    );
    let keepalive = Keepalive {
        probes: Some(3),
        idle: Some(Duration::from_secs(10)),
        interval: Some(Duration::from_secs(5)),
    };
    assert_eq!(policy.keepalive, Some(keepalive));
    let time = self::policy("keepalive: {time: 7}\n").keepalive.expect("read");
    assert_eq!(time.idle, Some(Duration::from_secs(7)));
    assert_eq!(mapping_priority("high"), Some(Priority::High));
    assert_eq!(mapping_priority("Default"), Some(Priority::Default));
}

fn mapping_priority(text: &str) -> Option<Priority> {
    route(&mapping(&format!("priority: {text}\n"))).policy.priority
}

#[test]
fn circuit_breakers() {
    let policy = policy(
        "circuit_breakers:\n- {max_connections: 10, max_requests: 0}\n\
         - {priority: high, max_retries: 9, max_pending_requests: 8}\n",
    );
    let expected = [
        CircuitBreaker {
            max_connections: 10,
            max_requests: 0,
            ..CircuitBreaker::of(Priority::Default)
        },
        CircuitBreaker {
            max_retries: 9,
            max_pending_requests: 8,
            ..CircuitBreaker::of(Priority::High)
        },
    ];
    assert_eq!(policy.circuit_breakers.as_deref(), Some(&expected[..]));
    assert_eq!(policy.circuit_breaker(Priority::High), (expected[1], true));
}

#[test]
fn load_balancers() {
    let cookie = |ttl: Option<u64>, path: Option<&str>| HashSource::Cookie {
        name: "sid".into(),
        path: path.map(Into::into),
        ttl: ttl.map(Duration::from_secs),
    };
    for (text, method, source) in [
        ("{policy: round_robin}", BalanceMethod::RoundRobin, None),
        ("{policy: least_request}", BalanceMethod::LeastRequest, None),
        (
            "{policy: ring_hash, header: X-User}",
            BalanceMethod::RingHash,
            Some(HashSource::Header(http::HeaderName::from_static("x-user"))),
        ),
        ("{policy: maglev, source_ip: true}", BalanceMethod::Maglev, Some(HashSource::SourceIp)),
        (
            "{policy: ring_hash, cookie: {name: sid, path: /a, ttl: 1m}}",
            BalanceMethod::RingHash,
            Some(cookie(Some(60), Some("/a"))),
        ),
        ("{policy: maglev, cookie: {name: sid}}", BalanceMethod::Maglev, Some(cookie(None, None))),
    ] {
        let balancer =
            policy(&format!("load_balancer: {text}\n")).load_balancer.clone().expect(text);
        let affinity = source.map(|source| Affinity { source });
        assert_eq!((balancer.method, balancer.affinity), (method, affinity), "{text}");
    }
}

#[test]
fn health_checks_and_outliers() {
    let text = "[{interval: 1s, health_check: {http: {path: /ok, hostname: h, \
         add_request_headers: {x: {value: y}}, remove_request_headers: [user-agent], \
         expected_statuses: [{min: 200, max: 299}]}}}, {timeout: 1s, unhealthy_threshold: 5, \
         healthy_threshold: 3, health_check: {grpc: {upstream_name: svc, authority: a}}}]";
    for field in ["health_checks", "v3health_checks"] {
        let checks = policy(&format!("{field}: {text}\n")).health_checks.clone().expect(field);
        assert_eq!((checks[0].timeout, checks[0].interval), (millis(3000), millis(1000)));
        assert_eq!((checks[0].unhealthy_threshold, checks[0].healthy_threshold), (2, 1));
        let HealthProbe::Http { path, hostname, expected, add_headers, remove_headers } =
            &checks[0].probe
        else {
            panic!("{checks:?}");
        };
        assert_eq!((&**path, hostname.as_deref()), ("/ok", Some("h")));
        assert_eq!(expected[..], [StatusRange { min: 200, max: 299 }]);
        assert_eq!((add_headers.len(), remove_headers.len()), (1, 1));
        let grpc = HealthProbe::Grpc { service: "svc".into(), authority: Some("a".into()) };
        assert_eq!((&checks[1].probe, checks[1].unhealthy_threshold), (&grpc, 5));
    }
    let outliers = policy("outlier_detection: {consecutive_5xx: 3, max_ejection_percent: 50}\n");
    let expected = OutlierDetection {
        consecutive_5xx: 3,
        max_ejection_percent: 50,
        ..OutlierDetection::default()
    };
    assert_eq!(outliers.outlier_detection, Some(expected));
}

/// What is wrong, and the field that is blamed for it.
const WRONG: &[(&str, &str)] = &[
    ("connect_timeout_ms: 0", "connect_timeout_ms"),
    ("cluster_idle_timeout_ms: -1", "cluster_idle_timeout_ms"),
    ("cluster_max_connection_lifetime_ms: long", "cluster_max_connection_lifetime_ms"),
    ("grpc: perhaps", "grpc"),
    ("priority: urgent", "priority"),
    ("dns_type: static", "dns_type"),
    ("enable_ipv6: both", "enable_ipv6"),
    ("enable_ipv4: false\nenable_ipv6: false", "enable_ipv4"),
    ("keepalive: {probes: 0}", "keepalive.probes"),
    ("keepalive: {idle: 1}", "keepalive.idle"),
    ("keepalive: 5", "keepalive"),
    ("circuit_breakers: 5", "circuit_breakers"),
    ("circuit_breakers: [{max_requests: -1}]", "circuit_breakers[0].max_requests"),
    ("circuit_breakers: [{max_request: 1}]", "circuit_breakers[0].max_request"),
    ("circuit_breakers: [{priority: low}]", "circuit_breakers[0].priority"),
    ("circuit_breakers: [{max_requests: 1}, {max_requests: 2}]", "circuit_breakers[1]"),
    ("load_balancer: {cookie: {name: a}}", "load_balancer"),
    ("load_balancer: {policy: random}", "load_balancer.policy"),
    ("load_balancer: {policy: maglev}", "load_balancer"),
    ("load_balancer: {policy: round_robin, header: a}", "load_balancer"),
    ("load_balancer: {policy: maglev, header: 'a b'}", "load_balancer.header"),
    ("load_balancer: {policy: maglev, header: a, source_ip: true}", "load_balancer.source_ip"),
    ("load_balancer: {policy: maglev, cookie: {ttl: 1s}}", "load_balancer.cookie"),
    ("load_balancer: {policy: maglev, cookie: {name: 'a;'}}", "load_balancer.cookie.name"),
    (
        "load_balancer: {policy: maglev, cookie: {name: a, path: 'x;y'}}",
        "load_balancer.cookie.path",
    ),
    ("load_balancer: {policy: maglev, cookie: {name: a, ttl: x}}", "load_balancer.cookie.ttl"),
    ("health_checks: {timeout: 1s}", "health_checks"),
    ("health_checks: [{health_check: {}}]", "health_checks[0].health_check"),
    (
        "health_checks: [{health_check: {http: {path: x}}}]",
        "health_checks[0].health_check.http.path",
    ),
    (
        "health_checks: [{health_check: {http: {hostname: x}}}]",
        "health_checks[0].health_check.http",
    ),
    (
        "health_checks: [{health_check: {grpc: {authority: x}}}]",
        "health_checks[0].health_check.grpc",
    ),
    (
        "health_checks: [{interval: 5, health_check: {http: {path: /}}}]",
        "health_checks[0].interval",
    ),
    (
        "health_checks: [{health_check: {http: {path: /, expected_statuses: [{min: 9, max: 5}]}}}]",
        "health_checks[0].health_check.http.expected_statuses[0]",
    ),
    ("outlier_detection: on failure", "outlier_detection"),
    ("outlier_detection: {consecutive5xx: 1}", "outlier_detection.consecutive5xx"),
    ("outlier_detection: {interval: 0s}", "outlier_detection.interval"),
    ("outlier_detection: {max_ejection_percent: 101}", "outlier_detection.max_ejection_percent"),
];

#[test]
fn what_is_wrong_is_told_and_the_rest_stands() {
    for (text, field) in WRONG {
        let (told, object) = blamed(&format!("{text}\n"));
        assert!(told.contains(&(*field).to_owned()), "{text}: {told:?}");
        assert!(object.problems.iter().all(|one| !one.severity.is_fatal()), "{text}");
        forward(&object);
    }
}
