//! All kinds beside Mapping: their definitions take what Emissary's take and refuse what nobody
//! could serve, and each object is told what became of it.

use serde_json::{Value, json};

use crate::support::kubectl::with_input;
use crate::support::{Namespace, PATIENCE, carrier, scenario, wait_until};

/// An object of one of our kinds.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// One object of each kind beside Mapping, such that whoever else is served stays served.
pub(crate) fn one_of_each(name: &str, ambassador_id: &str) -> Vec<Value> {
    let binding = json!({"namespace": {"from": "ALL"}});
    let specs = [
        (
            "Listener",
            json!({
                "port": 8080, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": binding,
            }),
        ),
        ("Host", json!({"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}})),
        ("TLSContext", json!({"alpn_protocols": "h2, http/1.1"})),
        ("TCPMapping", json!({"port": 6789, "service": "echo-v1.backends"})),
        ("Module", json!({"config": {}})),
        ("KubernetesServiceResolver", json!({})),
        ("KubernetesEndpointResolver", json!({})),
    ];
    let objects = specs.into_iter().map(|(kind, mut spec)| {
        spec["ambassador_id"] = json!([ambassador_id]);
        // Resolvers of both kinds share their names.
        let is_second = kind == "KubernetesEndpointResolver";
        object(kind, &format!("{name}{}", if is_second { "-endpoint" } else { "" }), &spec)
    });
    objects.collect()
}

/// Manifests as they stand in Emissary's documentation and in people's repositories.
#[test]
fn manifests_of_all_kinds_are_accepted() {
    scenario("kinds", |namespace| {
        let mut manifests: Vec<Value> = emissary_specs()
            .into_iter()
            .map(|(kind, name, spec)| object(kind, name, &spec))
            .collect();
        // A resolver says nothing but its kind.
        manifests.push(json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "KubernetesEndpointResolver",
            "metadata": {"name": "endpoint"},
        }));
        for manifest in manifests {
            let outcome = dry_run(namespace, &manifest);
            assert!(outcome.is_ok(), "{manifest}: {outcome:?}");
        }
    });
}

/// What no gateway could do is refused at once, with the field and what it may be.
#[test]
fn refusals_of_all_kinds_say_what_is_allowed() {
    scenario("kind-refusals", |namespace| {
        // Who is told by the definition must be told so also where no webhook is.
        namespace.leave_admission();
        for (kind, spec, word) in [
            ("Listener", json!({"port": 0}), "spec.port"),
            ("Listener", json!({"protocol": "QUIC"}), "spec.protocol"),
            ("Listener", json!({"protocol": null}), "one of protocol (such as HTTPS) and"),
            ("Listener", json!({"protocolStack": ["TLS", "HTTP"]}), "has to end with TCP"),
            ("Listener", json!({"securityModel": "TLS"}), "spec.securityModel"),
            ("Listener", json!({"hostBinding": {}}), "hostBinding needs namespace"),
            (
                "Listener",
                json!({"hostBinding": {"namespace": {"from": "SELECTOR"}}}),
                "spec.hostBinding.namespace.from",
            ),
            (
                "Host",
                json!({"requestPolicy": {"insecure": {"action": "Allow"}}}),
                "insecure.action",
            ),
            ("Host", json!({"tls": {}, "tlsContext": {"name": "a"}}), "exclude each other"),
            ("TLSContext", json!({"min_tls_version": "1.2"}), "spec.min_tls_version"),
            (
                "TLSContext",
                json!({"secret": "a", "cert_chain_file": "/b", "private_key_file": "/c"}),
                "exclude each other",
            ),
            ("TLSContext", json!({"cert_chain_file": "/b"}), "needs private_key_file"),
            ("TCPMapping", json!({"port": 0}), "port must be a number from 1 to 65535"),
            ("TCPMapping", json!({"service": ""}), "service must name an upstream"),
            ("Module", json!({"config": null}), "spec.config"),
        ] {
            let mut whole = good_spec(kind);
            let fields = whole.as_object_mut().expect("an object");
            fields.extend(spec.as_object().expect("an object").clone());
            let refusal = dry_run(namespace, &object(kind, "refused", &whole))
                .expect_err("out of what is allowed");
            println!("{kind} {spec}: {refusal}");
            assert!(refusal.contains(word), "{kind} {spec}: {refusal}");
        }
    });
}

/// Every kind gets its conditions, and a broken object says what is wrong with it.
#[test]
fn every_kind_is_told_what_became_of_it() {
    scenario("kind-statuses", |namespace| {
        namespace.leave_admission();
        let objects = one_of_each("good", "default");
        namespace.apply(&objects);
        for object in &objects {
            let kind = object["kind"].as_str().expect("a kind").to_lowercase();
            let name = object["metadata"]["name"].as_str().expect("a name");
            let accepted = wait_accepted_or_not(namespace, &format!("{kind}/{name}"));
            println!("{kind}: {accepted}");
            // A Module counts by its name only.
            assert!(accepted["status"] == "True" || kind == "module", "{kind}: {accepted}");
        }
        let broken = json!({"secret": "Not_A_Name"});
        namespace.apply(&[object("TLSContext", "broken", &broken)]);
        namespace.told("tlscontext/broken", "Ready", ("False", "Invalid"));
        let status = namespace.get("tlscontext/broken").expect("it is there")["status"].to_string();
        assert!(status.contains("is no name that Kubernetes takes"), "{status}");
    });
}

/// A Host in an annotation is shown like any other object.
#[test]
fn a_host_in_an_annotation_is_shown() {
    scenario("annotated-host", |namespace| {
        let annotation = "---\napiVersion: ambassador/v2\nkind: Host\nname: annotated\n\
            hostname: '*'\nrequestPolicy: {insecure: {action: Route}}\n\
            ---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nname: broken\n\
            hostname: https://a.example\n";
        namespace.apply(&[carrier("carrier", annotation)]);
        let shown = namespace.annotated_name("carrier", 0);
        let accepted = wait_accepted_or_not(namespace, &shown);
        assert_eq!(accepted["status"], "True", "{accepted}");
        let spec = &namespace.get(&shown).expect("it is there")["spec"];
        assert_eq!((&spec["kind"], &spec["host"]), (&json!("Host"), &json!("*")), "{spec}");
        let broken = namespace.annotated_name("carrier", 1);
        namespace.told(&broken, "Ready", ("False", "Invalid"));
        namespace.told_by_event("carrier", &["Warning", "Invalid", "is an address"]);
    });
}

/// Waits for the condition Accepted, whatever it says.
fn wait_accepted_or_not(namespace: &Namespace, what: &str) -> Value {
    wait_until(&format!("{what} is judged"), PATIENCE, || {
        let object = namespace.get(what)?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let accepted = conditions.into_iter().find(|condition| condition["type"] == "Accepted");
        accepted.ok_or_else(|| object["status"].to_string())
    })
}

fn dry_run(namespace: &Namespace, object: &Value) -> Result<String, String> {
    let arguments =
        ["-n", &namespace.name, "apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    let outcome = with_input(&arguments, &object.to_string());
    if outcome.ok { Ok(outcome.stdout) } else { Err(outcome.stderr) }
}

/// What a kind needs.
fn good_spec(kind: &str) -> Value {
    let objects = one_of_each("good", "default");
    let object = objects.iter().find(|object| object["kind"] == kind).expect("one of each");
    object["spec"].clone()
}

#[expect(clippy::too_many_lines, reason = "data, a piece a kind")]
fn emissary_specs() -> Vec<(&'static str, &'static str, Value)> {
    let all = json!({"namespace": {"from": "ALL"}});
    vec![
        (
            "Listener",
            "emissary-ingress-listener-8080",
            json!({
                "port": 8080, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": all,
            }),
        ),
        (
            "Listener",
            "behind-a-load-balancer",
            json!({
                "ambassador_id": ["default"], "port": 8443,
                "protocolStack": ["TLS", "PROXY", "HTTP", "TCP"], "securityModel": "SECURE",
                "l7Depth": 1, "statsPrefix": "edge", "http2MaxConcurrentStreams": 100,
                "hostBinding": {
                    "namespace": {"from": "SELF"},
                    "selector": {"matchLabels": {"expose": "yes"}},
                },
            }),
        ),
        (
            "Host",
            "minimal-host",
            json!({
                "hostname": "host.example.com",
                "acmeProvider": {"authority": "none", "email": "julian@example.com"},
                "tlsSecret": {"name": "tls-cert"},
                "requestPolicy": {"insecure": {"action": "Redirect", "additionalPort": 8080}},
                "mappingSelector": {"matchLabels": {"examplehost": "host"}},
            }),
        ),
        ("Host", "with-context", host_with_context()),
        (
            "Host",
            "inline",
            json!({
                "hostname": "*.example.com",
                "tlsSecret": {"name": "a", "namespace": "b"},
                "selector": {"matchLabels": {"a": "b"}},
                "tls": {
                    "min_tls_version": "v1.2", "max_tls_version": "v1.3", "alpn_protocols": "h2",
                    "ca_secret": "ca", "cert_required": true, "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"],
                    "ecdh_curves": ["P-256"], "redirect_cleartext_from": 8080,
                },
            }),
        ),
        (
            "TLSContext",
            "host-context",
            json!({
                "hosts": ["host.example.com"], "secret": "cert.certs", "ca_secret": "ca",
                "crl_secret": "crl", "cert_required": false, "alpn_protocols": "h2,http/1.1",
                "min_tls_version": "v1.0", "max_tls_version": "v1.3",
                "cipher_suites": ["[ECDHE-ECDSA-AES128-GCM-SHA256|AES256-GCM-SHA384]"],
                "ecdh_curves": ["X25519", "P-256"], "secret_namespacing": true,
                "redirect_cleartext_from": 8080, "sni": "upstream.example.com",
            }),
        ),
        (
            "TCPMapping",
            "ssh",
            json!({
                "port": 2222, "service": "ssh:22", "host": "ssh.example.com",
                "address": "127.0.0.1", "weight": 10, "idle_timeout_ms": "60000",
                "tls": "upstream", "resolver": "endpoint", "enable_ipv4": true,
                "circuit_breakers": [{"max_connections": 10}], "tls_passthrough": false,
            }),
        ),
        (
            "Module",
            "ambassador",
            json!({"config": {
                "diagnostics": {"enabled": false}, "use_remote_address": true, "gzip": {},
                "defaults": {"httpmapping": {"remove_request_headers": ["a"]}},
            }}),
        ),
        ("KubernetesServiceResolver", "kubernetes-service", json!({})),
    ]
}

fn host_with_context() -> Value {
    json!({
        "hostname": "host.example.com:8443", "tlsSecret": {"name": "min-secret"},
        "tlsContext": {"name": "host-context"}, "previewUrl": {"enabled": false, "type": "Path"},
        "requestPolicy": {"insecure": {"action": "Route"}},
    })
}
