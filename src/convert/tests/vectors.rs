//! Each rule by hand: what v2 writes, and what v3alpha1 makes of it.

use super::*;

/// A kind, a v2 spec, and the same as v3alpha1.
type Vector = (&'static str, Value, Value);

/// Both specs get what every object has, so that a vector shows its rule alone.
fn check(vectors: Vec<Vector>) {
    for (kind, legacy, current) in vectors {
        let legacy = object(kind, Version::V2, legacy);
        let up = converted(&legacy, Version::V3Alpha1);
        assert_eq!(up["spec"], current, "{kind} up from {}", legacy["spec"]);
        assert_eq!(converted(&up, Version::V2), legacy, "{kind} and back");
        // Without any crumb it says the same.
        let plain = object(kind, Version::V3Alpha1, current);
        let down = converted(&plain, Version::V2);
        let mut bare = down.clone();
        bare["metadata"].as_object_mut().unwrap().remove("annotations");
        let again = converted(&bare, Version::V3Alpha1);
        let differs = |name: &&String| again["spec"][name.as_str()] != plain["spec"][name.as_str()];
        let all = again["spec"].as_object().unwrap().keys();
        let differing: Vec<_> =
            all.filter(differs).filter(|name| *name != "ambassador_id").collect();
        assert!(differing.is_empty(), "{kind}: {differing:?} of {plain} by way of {bare}");
    }
}

#[test]
fn ids() {
    check(vec![
        ("Module", json!({"config": {}}), json!({"config": {}})),
        (
            "Module",
            json!({"ambassador_id": "a", "config": {}}),
            json!({"ambassador_id": ["a"], "config": {}}),
        ),
        (
            "Module",
            json!({"ambassador_id": ["a", "b"], "config": {}}),
            json!({"ambassador_id": ["a", "b"], "config": {}}),
        ),
        ("Module", json!({"ambassador_id": ""}), json!({})),
        (
            "Module",
            json!({"ambassador_id": ["--apiVersion-v3alpha1-only--a", "b"]}),
            json!({"ambassador_id": ["a", "b"]}),
        ),
        ("Host", json!({"ambassadorId": "a"}), json!({"ambassador_id": ["a"]})),
        (
            "Host",
            json!({"ambassadorId": ["a", "b"], "ambassador_id": "c"}),
            json!({"ambassador_id": ["c", "a", "b"]}),
        ),
    ]);
}

/// What v3alpha1 wrote must not be taken by an Ambassador that knows v2 only.
#[test]
fn what_v3alpha1_wrote_is_guarded() {
    for (ids, expected) in [
        (None, json!(["--apiVersion-v3alpha1-only--default"])),
        (Some(json!([])), json!(["--apiVersion-v3alpha1-only--default"])),
        (
            Some(json!(["a", "b"])),
            json!(["--apiVersion-v3alpha1-only--a", "--apiVersion-v3alpha1-only--b"]),
        ),
    ] {
        let mut spec = json!({"config": {}});
        if let Some(ids) = &ids {
            spec["ambassador_id"] = ids.clone();
        }
        let current = object("Module", Version::V3Alpha1, spec);
        let legacy = converted(&current, Version::V2);
        assert_eq!(legacy["spec"]["ambassador_id"], expected);
        assert_eq!(converted(&legacy, Version::V3Alpha1), current);
    }
}

fn mapping(extra: &Value) -> Value {
    let mut spec = json!({"prefix": "/"});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    spec
}

fn check_mappings(vectors: Vec<(Value, Value)>) {
    let whole =
        |(legacy, current): (Value, Value)| ("Mapping", mapping(&legacy), mapping(&current));
    check(vectors.into_iter().map(whole).collect());
}

#[test]
fn hosts() {
    check_mappings(vec![
        (json!({}), json!({"hostname": "*"})),
        (json!({"host": ""}), json!({"hostname": "*"})),
        (json!({"host": "*"}), json!({"hostname": "*"})),
        (json!({"host": "a.io"}), json!({"hostname": "a.io"})),
        (
            json!({"host": "*.a.io", "host_regex": false}),
            json!({"hostname": "*.a.io", "host_regex": false}),
        ),
        (json!({"host": "a.*", "host_regex": true}), json!({"host": "a.*", "host_regex": true})),
        (json!({"host": "_skip_mapping_with_empty_host_"}), json!({})),
        (json!({"hostname": "a.io"}), json!({"hostname": "a.io"})),
    ]);
}

#[test]
fn hosts_of_v3alpha1() {
    for (current, expected) in [
        (json!({}), json!({"host": "_skip_mapping_with_empty_host_"})),
        (json!({"hostname": ""}), json!({"host": "_skip_mapping_with_empty_host_"})),
        (json!({"hostname": "*"}), json!({})),
        (json!({"hostname": "a.io", "host": "b.io"}), json!({"host": "a.io"})),
        (
            json!({"hostname": "a.io", "host": "b.*", "host_regex": true}),
            json!({"host": "a.io", "host_regex": false}),
        ),
        (json!({"host": "b.io"}), json!({"host": "b.io"})),
        (json!({"host": "*"}), json!({})),
    ] {
        let current = object("Mapping", Version::V3Alpha1, mapping(&current));
        let legacy = converted(&current, Version::V2);
        let mut spec = legacy["spec"].clone();
        spec.as_object_mut().unwrap().remove("ambassador_id");
        assert_eq!(spec, mapping(&expected), "{}", current["spec"]);
        assert_eq!(converted(&legacy, Version::V3Alpha1), current);
    }
}

#[test]
fn tls() {
    let any = |extra: Value| {
        let mut fields = extra;
        fields["hostname"] = json!("*");
        fields
    };
    let explicit = |tls: &str, scheme: &str| json!({"tls": tls, "serviceScheme": scheme});
    check_mappings(vec![
        (json!({"service": "a"}), any(json!({"service": "a"}))),
        (json!({"service": "https://a"}), any(json!({"service": "https://a"}))),
        (
            json!({"service": "a", "tls": true}),
            any(json!({"service": "https://a", "v2ExplicitTLS": explicit("bool:true", "")})),
        ),
        (
            json!({"service": "HTTP://a", "tls": true}),
            any(json!({"service": "https://a", "v2ExplicitTLS": explicit("bool:true", "HTTP://")})),
        ),
        (
            json!({"service": "HTTPS://a", "tls": true}),
            any(json!({"service": "HTTPS://a", "v2ExplicitTLS": {"tls": "bool:true"}})),
        ),
        (
            json!({"service": "a", "tls": false}),
            any(json!({"service": "a", "v2ExplicitTLS": {"tls": "bool:false"}})),
        ),
        (
            json!({"service": "https://a", "tls": ""}),
            any(json!({"service": "https://a", "v2ExplicitTLS": {"tls": "string"}})),
        ),
        (
            json!({"service": "a", "tls": null}),
            any(json!({"service": "a", "v2ExplicitTLS": {"tls": "null"}})),
        ),
        (json!({"service": "a", "tls": "context"}), any(json!({"service": "a", "tls": "context"}))),
    ]);
    check(vec![
        (
            "AuthService",
            json!({"auth_service": "a", "tls": true, "v3StatsName": "s", "v3CircuitBreakers": []}),
            json!({
                "auth_service": "https://a", "stats_name": "s", "circuit_breakers": [],
                "v2ExplicitTLS": explicit("bool:true", ""),
            }),
        ),
        (
            "RateLimitService",
            json!({"service": "a", "tls": true, "v3GRPC": {"use_resource_exhausted_code": true}}),
            json!({
                "service": "https://a", "grpc": {"use_resource_exhausted_code": true},
                "v2ExplicitTLS": explicit("bool:true", ""),
            }),
        ),
    ]);
}

/// v2 doesn't read the scheme of a TCPMapping; v3alpha1 does.
#[test]
fn schemes_of_tcp() {
    check(vec![
        ("TCPMapping", json!({"service": "a:1"}), json!({"service": "a:1"})),
        ("TCPMapping", json!({"service": "https://a:1"}), json!({"service": "a:1"})),
        (
            "TCPMapping",
            json!({"service": "a:1", "tls": true, "v3StatsName": "s"}),
            json!({"service": "https://a:1", "v2ExplicitTLS": {"tls": "bool:true"}, "stats_name": "s"}),
        ),
        (
            "TCPMapping",
            json!({"service": "a:1", "tls": "context"}),
            json!({"service": "a:1", "tls": "context"}),
        ),
    ]);
    let current = object("TCPMapping", Version::V3Alpha1, json!({"service": "https://a:1"}));
    let legacy = converted(&current, Version::V2);
    assert_eq!(legacy["spec"]["service"], "a:1");
    assert_eq!(legacy["spec"]["tls"], true);
    assert_eq!(converted(&legacy, Version::V3Alpha1), current);
}

#[test]
fn conditions_and_headers() {
    let with = |mut extra: Value| {
        extra["hostname"] = json!("*");
        extra
    };
    check_mappings(vec![
        (
            json!({"headers": {"a": true, "b": "x", "c": false}}),
            with(
                json!({"headers": {"b": "x"}, "regex_headers": {"a": ".*"}, "v2BoolHeaders": ["a"]}),
            ),
        ),
        (
            json!({"headers": {"a": true}, "regex_headers": {"a": "x+", "d": "y"}}),
            with(json!({"regex_headers": {"a": "x+", "d": "y"}, "v2BoolHeaders": ["a"]})),
        ),
        (
            json!({"query_parameters": {"a": true}}),
            with(json!({"regex_query_parameters": {"a": ".*"}, "v2BoolQueryParameters": ["a"]})),
        ),
        (json!({"headers": {"a": false}}), with(json!({}))),
        (
            json!({"add_request_headers": {"a": "x", "b": {"value": "y", "append": false}, "c": null}}),
            with(json!({"add_request_headers": {
                "a": {"value": "x", "v2Representation": "string"},
                "b": {"value": "y", "append": false},
                "c": {"v2Representation": "null"},
            }})),
        ),
        (
            json!({"remove_response_headers": "x", "remove_request_headers": ["y"]}),
            with(json!({"remove_response_headers": ["x"], "remove_request_headers": ["y"]})),
        ),
        (
            json!({"cors": {"origins": "a, b", "methods": "GET", "headers": ["x"]}}),
            with(json!({"cors": {
                "origins": ["a", "b"], "v2CommaSeparatedOrigins": true, "methods": ["GET"],
                "headers": ["x"],
            }})),
        ),
        (json!({"cors": {"origins": ["a"]}}), with(json!({"cors": {"origins": ["a"]}}))),
        (
            json!({"v3StatsName": "s", "v3health_checks": [{"timeout": "1s"}], "unknown": [{}]}),
            with(json!({"stats_name": "s", "health_checks": [{"timeout": "1s"}], "unknown": [{}]})),
        ),
    ]);
}

#[test]
fn labels() {
    let of = |label: Value| json!({"labels": {"ambassador": [{"group": [label]}]}});
    let pairs = [
        (json!("source_cluster"), json!({"source_cluster": {"key": "source_cluster"}})),
        (
            json!("destination_cluster"),
            json!({"destination_cluster": {"key": "destination_cluster"}}),
        ),
        (json!("remote_address"), json!({"remote_address": {"key": "remote_address"}})),
        (json!("words"), json!({"generic_key": {"value": "words", "v2Shorthand": true}})),
        (json!({"generic_key": "words"}), json!({"generic_key": {"value": "words"}})),
        (
            json!({"generic_key": "words", "v3Key": "k"}),
            json!({"generic_key": {"value": "words", "key": "k"}}),
        ),
        (
            json!({"generic_key": "remote_address"}),
            json!({"generic_key": {"value": "remote_address"}}),
        ),
        (
            json!({"user": {"header": "x-user", "omit_if_not_present": true}}),
            json!({"request_headers": {
                "key": "user", "header_name": "x-user", "omit_if_not_present": true,
            }}),
        ),
        (
            json!({"user": {"header": "x-user"}}),
            json!({"request_headers": {"key": "user", "header_name": "x-user"}}),
        ),
        // What nobody understands.
        (json!({"user": 7}), json!({"user": 7})),
        (json!(null), json!(null)),
    ];
    check_mappings(
        pairs
            .into_iter()
            .map(|(legacy, current)| {
                let mut current = of(current);
                current["hostname"] = json!("*");
                (of(legacy), current)
            })
            .collect(),
    );
    // A word of v2's, written as a generic key in v3alpha1, stays one.
    let label = json!({"generic_key": {"value": "remote_address", "v2Shorthand": true}});
    let current = object("Mapping", Version::V3Alpha1, mapping(&of(label)));
    let legacy = converted(&current, Version::V2);
    let found = &legacy["spec"]["labels"]["ambassador"][0]["group"][0];
    assert_eq!(found, &json!({"generic_key": "remote_address"}));
}

#[test]
fn other_kinds() {
    check(vec![
        (
            "Host",
            json!({"hostname": "a", "selector": {"matchLabels": {"a": "b"}}, "tls": {"v3CRLSecret": "c"}}),
            json!({"hostname": "a", "mappingSelector": {"matchLabels": {"a": "b"}}, "tls": {"crl_secret": "c"}}),
        ),
        (
            "TLSContext",
            json!({"hosts": ["a"], "v3CRLSecret": "c", "alpn_protocols": "h2,http/1.1"}),
            json!({"hosts": ["a"], "crl_secret": "c", "alpn_protocols": "h2,http/1.1"}),
        ),
        (
            "LogService",
            json!({"service": "a", "v3ProtocolVersion": "v3", "v3StatsName": "s"}),
            json!({"service": "a", "protocol_version": "v3", "stats_name": "s"}),
        ),
        (
            "TracingService",
            json!({"driver": "zipkin", "tag_headers": ["x"], "config": {"v3PropagationModes": ["B3"]}}),
            json!({
                "driver": "zipkin", "custom_tags": [{"tag": "x", "request_header": {"name": "x"}}],
                "config": {"propagation_modes": ["B3"]},
            }),
        ),
        (
            "TracingService",
            json!({"tag_headers": ["x"], "v3CustomTags": [{"tag": "y", "literal": {"value": "1"}}]}),
            json!({"custom_tags": [{"tag": "y", "literal": {"value": "1"}}]}),
        ),
        (
            "ConsulResolver",
            json!({"address": "a", "datacenter": "b"}),
            json!({"address": "a", "datacenter": "b"}),
        ),
        ("KubernetesServiceResolver", json!({}), json!({})),
        (
            "KubernetesEndpointResolver",
            json!({"ambassador_id": "a"}),
            json!({"ambassador_id": ["a"]}),
        ),
        ("DevPortal", json!({"default": true}), json!({"default": true})),
        (
            "Module",
            json!({"config": {"use_remote_address": true, "ambassador_id": "x"}}),
            json!({"config": {"use_remote_address": true, "ambassador_id": "x"}}),
        ),
    ]);
    // Of two selectors in v3alpha1 the new one counts, and both are there afterwards.
    let spec = json!({"mappingSelector": {"matchLabels": {"a": "1"}}, "selector": {}});
    let current = object("Host", Version::V3Alpha1, spec);
    let legacy = converted(&current, Version::V2);
    assert_eq!(legacy["spec"]["selector"], json!({"matchLabels": {"a": "1"}}));
    assert_eq!(converted(&legacy, Version::V3Alpha1), current);
}
