use std::sync::Arc;
use std::time::Duration;

use crate::model::object::{Content, Object, Severity};
use crate::model::policy::{
    AccessLog, ClientCertificateHeader, EscapedSlashes, HttpPolicy, IpRules, Limit,
    UnderscoresAction,
};
use crate::model::written::GatewayDefaults;
use crate::source::parse::{ParseSettings, parse_file};

fn object(name: &str, config: &str) -> Arc<Object> {
    let mut text = format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {{name: {name}}}\nspec:\n  config:\n"
    );
    for line in config.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    let statement = parse_file("m.yaml", &text, &ParseSettings::default());
    Arc::clone(&statement.objects[0])
}

fn read(config: &str) -> (Arc<GatewayDefaults>, Vec<String>) {
    let object = object("ambassador", config);
    let Content::Defaults(defaults) = &object.content else {
        unreachable!("{config}: {:?}", object.problems)
    };
    assert!(object.problems.iter().all(|problem| !problem.severity.is_fatal()));
    (Arc::clone(defaults), object.problems.iter().map(ToString::to_string).collect())
}

/// What is served, of a config that is in order.
fn http(config: &str) -> Arc<HttpPolicy> {
    let (defaults, problems) = read(config);
    assert!(problems.is_empty(), "{config}: {problems:?}");
    Arc::clone(&defaults.http)
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(*http("{}"), HttpPolicy::default());
    assert_eq!(*read("{}").0, GatewayDefaults::default());
}

#[test]
fn each_key_sets_its_own() {
    let default = HttpPolicy::default;
    for (config, expected) in [
        ("server_name: web", HttpPolicy { server_name: "web".into(), ..default() }),
        ("suppress_envoy_headers: yes", HttpPolicy { suppress_envoy_headers: true, ..default() }),
        (
            "preserve_external_request_id: true",
            HttpPolicy { preserve_external_request_id: true, ..default() },
        ),
        ("use_remote_address: false", HttpPolicy { use_remote_address: false, ..default() }),
        (
            "strip_matching_host_port: true",
            HttpPolicy { strip_matching_host_port: true, ..default() },
        ),
        ("merge_slashes: true", HttpPolicy { merge_slashes: true, ..default() }),
        (
            "reject_requests_with_escaped_slashes: true",
            HttpPolicy { escaped_slashes: EscapedSlashes::Reject, ..default() },
        ),
        (
            "headers_with_underscores_action: DROP_HEADER",
            HttpPolicy { underscores: UnderscoresAction::Drop, ..default() },
        ),
        (
            "headers_with_underscores_action: REJECT_REQUEST",
            HttpPolicy { underscores: UnderscoresAction::Reject, ..default() },
        ),
        ("proper_case: true", HttpPolicy { proper_case: true, ..default() }),
        ("enable_http10: true", HttpPolicy { http10: true, ..default() }),
        ("enable_grpc_web: true", HttpPolicy { grpc_web: true, ..default() }),
        ("enable_grpc_web: false", default()),
        ("enable_grpc_http11_bridge: true", HttpPolicy { grpc_http11_bridge: true, ..default() }),
        ("max_request_headers_kb: 8", HttpPolicy { max_request_head: 8192, ..default() }),
        ("buffer_limit_bytes: 5000", HttpPolicy { buffer_limit: 5000, ..default() }),
        ("buffer: {max_request_bytes: 9}", HttpPolicy { buffer_request: Some(9), ..default() }),
        (
            "listener_idle_timeout_ms: 500",
            HttpPolicy { idle_timeout: Limit::After(Duration::from_millis(500)), ..default() },
        ),
        ("listener_idle_timeout_ms: 0", HttpPolicy { idle_timeout: Limit::Unlimited, ..default() }),
        (
            "forward_client_cert_details: ALWAYS_FORWARD_ONLY",
            HttpPolicy {
                client_certificate: ClientCertificateHeader::AlwaysForwardOnly,
                ..default()
            },
        ),
        ("envoy_log_path: /dev/null", HttpPolicy { access_log: Some(AccessLog::Off), ..default() }),
        (
            "envoy_log_type: json",
            HttpPolicy { access_log: Some(AccessLog::Json(None)), ..default() },
        ),
    ] {
        assert_eq!(*http(config), expected, "{config}");
    }
}

#[test]
fn compression_is_read() {
    let compression = |config: &str| http(config).compression.clone();
    assert_eq!(compression("{}"), None);
    let one = compression("gzip: {}").expect("is on");
    assert_eq!((one.min_length, one.level, one.window_bits), (30, None, 12));
    assert!(one.content_types.iter().any(|kind| &**kind == "text/html"));
    assert!(!one.brotli && !one.zstd && !one.skip_etag);
    let one = compression(
        "gzip: {min_content_length: 7, compression_level: level_4, window_bits: 15, \
         content_type: [\"Text/HTML; charset=x\"], disable_on_etag_header: true, \
         remove_accept_encoding_header: true, brotli: true, zstd: true}",
    )
    .expect("is on");
    assert_eq!((one.min_length, one.level, one.window_bits), (7, Some(4), 15));
    assert_eq!(one.content_types, ["text/html".into()]);
    assert!(one.brotli && one.zstd && one.skip_etag && one.remove_accept_encoding);
    for (level, expected) in [
        ("best", Some(9)),
        ("speed", Some(1)),
        ("default", None),
        ("6", Some(6)),
        ("COMPRESSION_LEVEL_3", Some(3)),
    ] {
        let one = compression(&format!("gzip: {{compression_level: {level}}}")).expect("is on");
        assert_eq!(one.level, expected, "{level}");
    }
}

#[test]
fn what_is_wrong_costs_itself_and_is_told() {
    for (config, expected) in [
        ("server_name: [a]", "config.server_name: expected text, found a list"),
        ("server_name: \"a\\nb\"", "config.server_name: \"a\\nb\" can't stand in a header"),
        ("merge_slashes: maybe", "config.merge_slashes: expected true or false, found maybe"),
        ("merge_slashes: [true]", "config.merge_slashes: expected true or false, found a list"),
        ("headers_with_underscores_action: NO", "write one of ALLOW, REJECT_REQUEST, DROP_HEADER"),
        ("max_request_headers_kb: 0", "0 is ignored; write a whole number of KiB from 1 to 8192"),
        ("max_request_headers_kb: 9000", "9000 is ignored"),
        ("max_request_headers_kb: many", "many is ignored"),
        ("buffer_limit_bytes: -1", "-1 is ignored; write a whole number of bytes"),
        ("listener_idle_timeout_ms: -1", "a whole number of milliseconds of at least 0"),
        ("buffer: {}", "config.buffer: needs max_request_bytes"),
        ("buffer: {max_request_bytes: x}", "config.buffer.max_request_bytes: x is ignored"),
        ("buffer: 7", "config.buffer: expected a map, found a number"),
        (
            "buffer: {max_bytes: 7, max_request_bytes: 1}",
            "config.buffer.max_bytes: is not known here",
        ),
        ("gzip: true", "config.gzip: expected a map, found a boolean; write {}"),
        ("gzip: {window_bits: 16}", "16 is ignored; write a whole number of bits from 9 to 15"),
        ("gzip: {compression_level: 11}", "config.gzip.compression_level: 11 is ignored"),
        (
            "gzip: {content_type: [html]}",
            "config.gzip.content_type[0]: \"html\" is no content type",
        ),
        ("gzip: {memory_level: 4}", "config.gzip.memory_level: is the library's choice"),
        ("forward_client_cert_details: YES", "write one of SANITIZE, FORWARD_ONLY"),
        ("set_current_client_cert_details: {subject: true}", "has an effect only together with"),
        ("envoy_log_type: xml", "xml is ignored; write one of text, json, typed_json"),
        ("envoy_log_path: /var/log/x", "/var/log/x is not written to"),
        ("envoy_log_format: {a: b}", "a map of keys needs envoy_log_type: json"),
        ("envoy_log_format: \"%NOPE%\"", "is left out: unknown operator %NOPE%"),
        ("envoy_log_type: json\nenvoy_log_format: x", "JSON needs a map of keys, found text"),
        ("resolver: {a: b}", "config.resolver: expected text, found a map"),
        ("cluster_request_timeout_ms: soon", "config.cluster_request_timeout_ms: soon is ignored"),
        ("enable_ipv6: 1", "config.enable_ipv6: expected true or false, found 1"),
        ("lua_scripts: x", "config.lua_scripts: scripts are not supported and don't run"),
        (
            "use_remote_adress: true",
            "config.use_remote_adress: is not known here; did you mean use_remote_address?",
        ),
        (
            "defaults: {httpmapping: {stats_name: x}}",
            "config.defaults.httpmapping.stats_name: one name",
        ),
        ("retry_policy: {retry_on: never}", "config.retry_policy"),
        ("circuit_breakers: 7", "config.circuit_breakers"),
        ("load_balancer: {policy: best}", "config.load_balancer"),
        ("keepalive: {probes: x}", "config.keepalive.probes"),
        ("defaults: {httpmaping: {}}", "did you mean httpmapping?"),
        (
            "defaults: {httpmapping: {add_request_headers: {\"a b\": c}}}",
            "config.defaults.httpmapping.add_request_headers.a b: \"a b\" is not the name",
        ),
    ] {
        let (_, problems) = read(config);
        assert!(problems.iter().any(|text| text.contains(expected)), "{config}: {problems:?}");
    }
}

#[test]
fn addresses_never_open() {
    let rules = |config: &str| {
        let (defaults, problems) = read(config);
        (defaults.http.addresses.clone(), problems)
    };
    let (found, problems) = rules("ip_deny: [{peer: 192.0.2.0/24}, {remote: \"2001:db8::1\"}]");
    assert!(problems.is_empty());
    assert_eq!(found.map(|found| (found.allow, found.rules.len())), Some((false, 2)));
    let (found, problems) = rules("ip_allow: [{remote: 192.0.2.0/24}, {remote: 192.0.2.0/240}]");
    assert_eq!(found.map(|found| (found.allow, found.rules.len())), Some((true, 1)));
    assert!(
        problems[0].contains("config.ip_allow[1]: \"192.0.2.0/240\" is neither"),
        "{problems:?}"
    );
    for config in [
        "ip_allow: [{remote: x}]",
        "ip_allow: []",
        "ip_allow: 192.0.2.1",
        "ip_deny: 192.0.2.1",
        "ip_deny: [{remote: 192.0.2.0/24}, {remote: x}]",
        "ip_deny: [{remote: 192.0.2.0/24, peer: 192.0.2.0/24}]",
        "ip_deny: [{source: 192.0.2.0/24}]",
        "ip_deny: [192.0.2.0/24]",
        "ip_allow: [{remote: 192.0.2.0/24}]\nip_deny: [{remote: 192.0.2.1/32}]",
    ] {
        let (found, problems) = rules(config);
        assert_eq!(found, Some(IpRules::CLOSED), "{config}");
        assert!(problems.iter().any(|text| text.contains("403")), "{config}: {problems:?}");
    }
    assert_eq!(rules("ip_deny: []").0, None);
}

#[test]
fn what_mappings_inherit_is_read() {
    let (defaults, problems) = read(
        "add_linkerd_headers: true\nenable_ipv4: false\nenable_ipv6: true\nresolver: endpoint\n\
         cluster_request_timeout_ms: 0\ncluster_idle_timeout_ms: 7\n\
         cluster_max_connection_lifetime_ms: 9\n\
         use_ambassador_namespace_for_service_resolution: true\n\
         retry_policy: {retry_on: 5xx}\nkeepalive: {probes: 3}\n\
         circuit_breakers: [{max_requests: 7}]\nload_balancer: {policy: least_request}\n\
         cors: {origins: \"http://a, http://b\"}\n\
         defaults: {tls_secret_namespacing: false, httpmapping: {add_request_headers: {x-a: b}, \
         remove_response_headers: [x-c]}}",
    );
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(defaults.route.linkerd_headers, Some(true));
    assert_eq!((defaults.cluster.dns.ipv4, defaults.cluster.dns.ipv6), (Some(false), Some(true)));
    assert_eq!(defaults.resolver.as_deref(), Some("endpoint"));
    assert_eq!(defaults.route.timeout, Some(Limit::Unlimited));
    assert_eq!(defaults.cluster.idle_timeout, Some(Limit::After(Duration::from_millis(7))));
    assert_eq!(defaults.cluster.max_lifetime, Some(Limit::After(Duration::from_millis(9))));
    assert!(defaults.route.retry.is_some() && defaults.cluster.keepalive.is_some());
    assert!(defaults.cluster.circuit_breakers.is_some());
    assert!(defaults.cluster.load_balancer.is_some());
    assert!(defaults.own_namespace_for_services);
    assert_eq!(defaults.secret_namespacing, Some(false));
    assert_eq!(defaults.request_headers.add.len(), 1);
    assert_eq!(defaults.response_headers.remove.len(), 1);
    assert_eq!(defaults.route.cors.as_ref().map(|cors| cors.origins.len()), Some(2));
}

#[test]
fn other_modules_are_told_what_to_write() {
    for (name, config, severity, expected) in [
        (
            "tls",
            "server: {secret: cert}",
            Severity::Unsupported,
            "write a Host with spec.tlsSecret.name: cert",
        ),
        ("tls", "{}", Severity::Unsupported, "write Hosts and TLSContexts"),
        ("authentication", "auth_service: a", Severity::Unsupported, "write an AuthService"),
        ("other", "{}", Severity::Error, "Module named ambassador"),
        ("ambassador", "[a]", Severity::Error, "expected a map of settings, found a list"),
    ] {
        let object = object(name, config);
        assert_eq!(object.content, Content::Rejected, "{name}");
        let found = object.problems.iter().find(|problem| problem.message.contains(expected));
        assert_eq!(found.map(|problem| problem.severity), Some(severity), "{:?}", object.problems);
    }
}
