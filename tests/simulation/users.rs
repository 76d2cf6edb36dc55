//! What people write: few names and many forms, so that objects meet, conflict and come back.

use std::sync::OnceLock;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::replica::HOME;
use crate::storage::{Key, Storage};

const NAMESPACES: [&str; 2] = ["a", "b"];
/// Names of Secrets in each.
const SECRETS: u32 = 2;

/// One change of one object: written anew, in one of its forms, or deleted.
pub(crate) fn change(random: &mut Rng, storage: &mut Storage) {
    let namespace = NAMESPACES[random.usize(..NAMESPACES.len())];
    let (key, object) = match random.u32(0..100) {
        0..40 => named(random, "mappings", namespace, 8, mapping),
        40..55 => named(random, "services", namespace, 4, service),
        55..65 => named(random, "endpointslices", namespace, 3, slice),
        65..75 => named(random, "hosts", namespace, 3, host),
        75..83 => named(random, "secrets", namespace, SECRETS, secret),
        83..89 => named(random, "tlscontexts", namespace, 2, tls_context),
        89..94 => named(random, "listeners", namespace, 2, listener),
        94..97 => named(random, "tcpmappings", namespace, 2, tcp_mapping),
        _ => named(random, "modules", HOME, 1, module),
    };
    if random.u32(0..100) < 20 {
        storage.delete(&key);
    } else {
        storage.put(&key, object);
    }
}

/// Puts every Secret right. What a gateway goes on with where one is broken depends on what it has
/// seen of it, so that no two need say the same of it before.
pub(crate) fn put_secrets_right(storage: &mut Storage) {
    for namespace in NAMESPACES {
        for number in 0..SECRETS {
            let key = Key::new("secrets", namespace, &format!("x{number}"));
            storage.put(&key, secret_of(&pairs()[0]));
        }
    }
}

fn named(
    random: &mut Rng,
    plural: &str,
    namespace: &str,
    names: u32,
    make: fn(&mut Rng, &str) -> Value,
) -> (Key, Value) {
    let name = format!("x{}", random.u32(..names));
    let object = make(random, &name);
    (Key::new(plural, namespace, &name), object)
}

fn resource(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": {}, "spec": spec})
}

fn any<'a>(random: &mut Rng, choice: &[&'a str]) -> &'a str {
    choice[random.usize(..choice.len())]
}

/// Some are wrong, some in conflict with others.
fn mapping(random: &mut Rng, _: &str) -> Value {
    let mut spec = json!({
        "hostname": any(random, &["*", "a.example", "b.example"]),
        "prefix": any(random, &["/", "/a/", "/b/", "/c/"]),
        "service": any(random, &["x0", "x1.b:8080", "https://x2", "a b c"]),
    });
    match random.u32(0..8) {
        0 => spec["weight"] = json!(random.u32(0..120)),
        1 => (spec["prefix"], spec["prefix_regex"]) = (json!("/(["), json!(true)),
        2 => spec["host_redirect"] = json!(true),
        3 => spec["tls"] = json!("x0"),
        4 => spec["timeout_ms"] = json!("soon"),
        5 => spec["resolver"] = json!(any(random, &["kubernetes-endpoint", "none"])),
        6 => spec["ambassador_id"] = json!(["another"]),
        _ => {}
    }
    resource("Mapping", &spec)
}

fn service(random: &mut Rng, name: &str) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}], "clusterIP": "10.0.0.1"},
    });
    let documents: Vec<String> = (0..random.u32(0..4))
        .map(|index| match random.u32(0..10) {
            0 => "kind: [".to_owned(),
            1 => "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: wrong\n".to_owned(),
            _ => format!(
                "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: {name}-{index}\n\
                 hostname: '*'\nprefix: /{}/\nservice: {name}\n",
                any(random, &["a", "b", "d"])
            ),
        })
        .collect();
    if !documents.is_empty() {
        service["metadata"]["annotations"] =
            json!({"getambassador.io/config": documents.join("---\n")});
    }
    service
}

fn slice(random: &mut Rng, name: &str) -> Value {
    let endpoints: Vec<Value> = (0..random.u32(0..4))
        .map(|n| json!({"addresses": [format!("10.1.0.{n}")], "conditions": {"ready": random.bool()}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}],
    })
}

fn host(random: &mut Rng, _: &str) -> Value {
    let mut spec = json!({"hostname": any(random, &["*", "a.example", "*.example"])});
    match random.u32(0..4) {
        0 => spec["tlsSecret"] = json!({"name": any(random, &["x0", "x1", "none"])}),
        1 => spec["tlsContext"] = json!({"name": "x0"}),
        2 => {
            spec["requestPolicy"] =
                json!({"insecure": {"action": any(random, &["Route", "Reject", "Allow"])}})
        }
        _ => {}
    }
    resource("Host", &spec)
}

fn tls_context(random: &mut Rng, _: &str) -> Value {
    let spec = json!({
        "secret": any(random, &["x0", "x1"]),
        "min_tls_version": any(random, &["v1.2", "v1.3", "v9"]),
    });
    resource("TLSContext", &spec)
}

fn listener(random: &mut Rng, _: &str) -> Value {
    let spec = json!({
        "port": 8080 + random.u32(0..3),
        "protocol": any(random, &["HTTP", "HTTPS", "TCP"]),
        "securityModel": any(random, &["XFP", "SECURE", "INSECURE"]),
        "hostBinding": {"namespace": {"from": any(random, &["ALL", "SELF"])}},
    });
    resource("Listener", &spec)
}

fn tcp_mapping(random: &mut Rng, _: &str) -> Value {
    let spec = json!({"port": 8080 + random.u32(0..3), "service": any(random, &["x0:80", "x1"])});
    resource("TCPMapping", &spec)
}

fn module(random: &mut Rng, _: &str) -> Value {
    let mut module = resource(
        "Module",
        &json!({"config": {
            "enable_http10": random.bool(),
            "diagnostics": {"enabled": random.bool()},
        }}),
    );
    module["metadata"]["name"] = json!("ambassador");
    module
}

/// A certificate, another, or neither.
fn secret(random: &mut Rng, _: &str) -> Value {
    let pairs = pairs();
    let data = match random.u32(0..5) {
        0 => json!({"tls.crt": "bm90aGluZw==", "tls.key": "bm90aGluZw=="}),
        1 => json!({}),
        _ => pairs[random.usize(..pairs.len())].clone(),
    };
    secret_of(&data)
}

fn pairs() -> &'static [Value; 2] {
    static PAIRS: OnceLock<[Value; 2]> = OnceLock::new();
    PAIRS.get_or_init(|| [pair(), pair()])
}

fn secret_of(data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": "kubernetes.io/tls",
        "data": data,
    })
}

fn pair() -> Value {
    use base64::Engine as _;
    let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let names = ["a.example".to_owned(), "b.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    json!({"tls.crt": base64(made.cert.pem()), "tls.key": base64(made.signing_key.serialize_pem())})
}
