//! The resource definitions: they explain themselves, and take what Emissary's take.

use serde_json::{Value, json};

use crate::support::kubectl::{kubectl, with_input};
use crate::support::{Namespace, mapping_of, scenario};

const DEFINITIONS: [&str; 9] = [
    "mappings.getambassador.io",
    "tcpmappings.getambassador.io",
    "listeners.getambassador.io",
    "hosts.getambassador.io",
    "tlscontexts.getambassador.io",
    "modules.getambassador.io",
    "kubernetesserviceresolvers.getambassador.io",
    "kubernetesendpointresolvers.getambassador.io",
    "annotatedresources.nuncio.dev",
];

#[test]
fn kubectl_explain_helps() {
    for (field, word) in [
        ("mapping.spec.prefix", "path"),
        ("mapping.spec.timeout_ms", "3000"),
        ("mapping.spec.weight", "100"),
        ("mapping.status.conditions", "Ready"),
        ("listener.spec.securityModel", "XFP"),
        ("host.spec.tlsSecret", "certificate"),
        ("tlscontext.spec.alpn_protocols", "h2"),
        ("tcpmapping.spec.tls_passthrough", "TLS"),
        ("anres.spec.carrier", "Service"),
    ] {
        let text = kubectl(&["explain", field]).succeed();
        let description = text.split("DESCRIPTION:").nth(1).expect("a description");
        assert!(description.contains(word), "{field}: no {word:?} in {text}");
    }
}

#[test]
fn every_field_is_described() {
    for name in DEFINITIONS {
        let crd = kubectl(&["get", "crd", name, "-o", "json"]).json().expect("it is installed");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            let mut missing = Vec::new();
            collect_undescribed(&schema["properties"][part], part, &mut missing);
            assert!(missing.is_empty(), "{name} doesn't describe {missing:?}");
        }
    }
}

fn collect_undescribed(schema: &Value, path: &str, missing: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(str::is_empty) {
        missing.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_undescribed(property, &format!("{path}.{name}"), missing);
    }
}

/// Manifests as they stand in Emissary's documentation and in people's repositories.
#[test]
fn manifests_for_emissary_are_accepted() {
    scenario("crds", |namespace| {
        for (name, spec) in emissary_specs() {
            let object = mapping_of(name, &spec);
            let outcome = dry_run(namespace, &object, "Strict");
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
        }
    });
}

/// What no gateway could do is refused at once, with the field and what it may be.
#[test]
fn refusals_say_what_is_allowed() {
    scenario("crd-refusals", |namespace| {
        let cases = [
            ("circuit_breakers", json!([{"priority": "low"}]), "priority"),
            ("redirect_response_code", json!(200), "redirect_response_code"),
            ("retry_policy", json!({"retry_on": "always"}), "retry_on"),
            ("load_balancer", json!({"policy": "best"}), "policy"),
            // Rules, with messages of their own.
            ("load_balancer", json!({"policy": "maglev"}), "need exactly one of cookie"),
            ("service", json!(""), "service must name an upstream"),
            ("host", json!("*.example.com"), "write hostname for a wildcard"),
        ];
        for (field, value, word) in cases {
            let mut spec = json!({"prefix": "/a/", "service": "a"});
            spec[field] = value;
            let refusal = dry_run(namespace, &mapping_of("refused", &spec), "Strict")
                .expect_err("out of what is allowed");
            println!("{field}: {refusal}");
            assert!(refusal.contains(word), "{field}: {refusal}");
        }
    });
}

fn dry_run(namespace: &Namespace, object: &Value, validation: &str) -> Result<String, String> {
    let validate = format!("--validate={}", validation.to_lowercase());
    let arguments = ["-n", &namespace.name, "apply", "--dry-run=server", &validate, "-f", "-"];
    let outcome = with_input(&arguments, &object.to_string());
    if outcome.ok { Ok(outcome.stdout) } else { Err(outcome.stderr) }
}

fn emissary_specs() -> Vec<(&'static str, Value)> {
    let forward = |more: Value| {
        let mut spec = json!({"hostname": "*", "prefix": "/a/", "service": "quote"});
        let own = spec.as_object_mut().expect("an object");
        own.extend(more.as_object().expect("an object").clone());
        spec
    };
    vec![
        ("quote-backend", forward(json!({"docs": {"path": "/.ambassador-internal/openapi-docs"}}))),
        ("matching", forward(matching())),
        ("sending", forward(sending())),
        ("balancing", forward(balancing())),
        ("extras", forward(extras())),
        (
            "redirect",
            forward(json!({
                "host_redirect": true, "path_redirect": "/new", "redirect_response_code": 308,
            })),
        ),
        (
            "regex-redirect",
            forward(json!({
                "host_redirect": true,
                "regex_redirect": {"pattern": "/a/(.*)", "substitution": "/b/\\1"},
            })),
        ),
    ]
}

fn matching() -> Value {
    json!({
        "ambassador_id": ["default", "other"],
        "host": "example.com", "host_regex": false, "prefix_exact": false, "prefix_regex": false,
        "case_sensitive": false, "method": "GET|POST", "method_regex": true,
        "headers": {"x-quote-mode": "backend", ":authority": "example.com"},
        "regex_headers": {"x-user": "^[a-z]+$"},
        "query_parameters": {"mode": "x"}, "regex_query_parameters": {"id": "^[0-9]+$"},
        "precedence": 10, "priority": "high", "weight": 20,
    })
}

fn sending() -> Value {
    json!({
        "rewrite": "", "regex_rewrite": {"pattern": "/(.*)", "substitution": "/\\1"},
        "host_rewrite": "quote.example.com", "auto_host_rewrite": false,
        "add_request_headers": {"x-a": {"value": "b", "append": false}},
        "add_response_headers": {"x-c": {"value": "%PROTOCOL%"}},
        "remove_request_headers": ["x-secret"], "remove_response_headers": ["server"],
        "timeout_ms": 4000, "idle_timeout_ms": 500_000, "connect_timeout_ms": 4000,
        "cluster_idle_timeout_ms": 30_000, "cluster_max_connection_lifetime_ms": 60_000,
        "add_linkerd_headers": true, "grpc": false, "tls": "upstream-context",
        "allow_upgrade": ["websocket"], "use_websocket": false, "shadow": false,
    })
}

fn balancing() -> Value {
    json!({
        "resolver": "endpoint",
        "load_balancer": {
            "policy": "ring_hash", "cookie": {"name": "sticky", "path": "/", "ttl": "60s"},
        },
        "retry_policy": {"retry_on": "5xx", "num_retries": 10, "per_try_timeout": "0.5s"},
        "circuit_breakers": [{
            "priority": "default", "max_connections": 2048, "max_pending_requests": 2048,
            "max_requests": 2048, "max_retries": 3,
        }],
        "keepalive": {"probes": 3, "idle_time": 60, "interval": 10},
        "health_checks": [{
            "timeout": "5s", "interval": "10s", "unhealthy_threshold": 2, "healthy_threshold": 1,
            "health_check": {"http": {
                "path": "/health", "hostname": "quote",
                "add_request_headers": {"x-probe": {"append": true, "value": "nuncio"}},
                "remove_request_headers": ["user-agent"],
                "expected_statuses": [{"min": 200, "max": 201}],
            }},
        }],
        "dns_type": "logical_dns", "respect_dns_ttl": true,
        "enable_ipv4": true, "enable_ipv6": false, "cluster_tag": "blue", "stats_name": "quote",
    })
}

fn extras() -> Value {
    json!({
        "cors": {
            "origins": ["https://example.com"], "methods": ["GET"], "headers": ["Content-Type"],
            "credentials": true, "exposed_headers": ["x-e"], "max_age": "86400",
        },
        "bypass_auth": true, "auth_context_extensions": {"tenant": "a"},
        "labels": {"ambassador": [{"request_label_group": [
            {"generic_key": {"value": "quote"}},
            {"request_headers": {"key": "host", "header_name": ":authority"}},
            {"remote_address": {"key": "remote_address"}},
        ]}]},
        "modules": [{"name": "old"}], "envoy_override": {"any": {"thing": [1]}},
        "outlier_detection": "5xx",
    })
}
