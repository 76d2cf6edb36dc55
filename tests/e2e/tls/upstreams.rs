//! TLS towards upstreams: a pod that ends it itself.

use serde_json::{Value, json};

use super::Bench;
use crate::support::backends::{app_service, echo_deployment};
use crate::support::certificates::{Authority, opaque_secret};
use crate::support::{PATIENCE, wait_until};

pub(super) fn origination(bench: &Bench<'_>) {
    let (servers, others) = (Authority::new("servers"), Authority::new("others"));
    let service = format!("echo.{}", bench.namespace.name);
    let mut server = servers.issue(&[&service]).secret("server");
    let clients = Authority::new("clients");
    server["stringData"]["ca.crt"] = json!(clients.pem());
    bench.apply(&[
        server,
        clients.issue(&["gateway.client"]).secret("shown"),
        opaque_secret("servers", "tls.crt", &servers.pem()),
        opaque_secret("others", "tls.crt", &others.pem()),
        secure_echo(),
        secure_service(),
    ]);
    bench.serve("upstreams.example", json!({}));
    let context = |name: &str, spec: Value| bench.gateway.object("TLSContext", name, spec);
    let verified = json!({"ca_secret": "servers", "secret": "shown", "sni": service});
    let mapping = |name: &str, service: &str, tls: Value| {
        let mut spec = json!({"hostname": "upstreams.example", "service": service});
        spec["prefix"] = json!(format!("/{name}/"));
        if !tls.is_null() {
            spec["tls"] = tls;
        }
        bench.gateway.object("Mapping", name, spec)
    };
    bench.apply(&[
        context("verified", verified),
        context("by-service", json!({"ca_secret": "servers"})),
        context("wrong-ca", json!({"ca_secret": "others"})),
        context("wrong-name", json!({"ca_secret": "servers", "sni": "other.example"})),
        mapping("unverified", &format!("https://{service}"), Value::Null),
        mapping("cleartext", &format!("{service}:443"), Value::Null),
    ]);
    let names = ["verified", "by-service", "wrong-ca", "wrong-name"];
    bench.apply(&names.map(|name| mapping(name, &service, json!(name))));
    bench.namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]);
    for name in ["unverified", "verified", "by-service", "wrong-ca", "wrong-name", "cleartext"] {
        bench.namespace.wait_ready(&format!("mapping/{name}"));
    }
    let get = |name: &str| {
        bench.curl.get(&format!("https://upstreams.example/{name}/"), &[]).expect("an answer")
    };
    // A Service's first endpoints come a moment after its pod is ready.
    wait_until("the upstream answers", PATIENCE, || match get("verified") {
        reply if reply.status == 200 => Ok(()),
        reply => Err(format!("{reply:?}")),
    });
    for (name, asked, shown) in [
        ("unverified", "", None),
        ("verified", &*service, Some("gateway.client")),
        ("by-service", &*service, None),
    ] {
        let reply = get(name);
        let session = &reply.echo()["tls"];
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!(session["client"].as_str(), shown, "{name}: {session}");
        if name == "verified" {
            assert_eq!(session["server_name"], asked, "{name}: {session}");
        }
    }
    for (name, reason) in
        [("wrong-ca", "UnknownIssuer"), ("wrong-name", "not_valid_for_name_\"other.example\"")]
    {
        let reply = get(name);
        assert_eq!(reply.status, 503, "{name}: {reply:?}");
        assert!(reply.body.contains("TLS error"), "{name}: {reply:?}");
        // Why is nothing for clients: it stands in the access log, which has no blanks there.
        let path = format!("/{name}/");
        let told = wait_until(&format!("{name} in the access log"), PATIENCE, || {
            bench.gateway.access(&path).pop().ok_or("no such line".to_owned())
        });
        assert_eq!(told["response_flags"], "UF", "{told}");
        let told = told["upstream_transport_failure_reason"].to_string().replace('\\', "");
        println!("{name}: {told}");
        assert!(told.contains(reason), "{told}");
    }
    assert_ne!(get("cleartext").status, 200, "it speaks TLS and nothing else");
}

/// An echo backend that ends TLS, and asks for a client's certificate.
fn secure_echo() -> Value {
    let mut deployment = echo_deployment(1, &["-tls", "/tls"]);
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["volumes"] = json!([{"name": "tls", "secret": {"secretName": "server"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls"}]);
    deployment
}

fn secure_service() -> Value {
    let mut service = app_service("echo");
    service["spec"]["ports"][0]["port"] = json!(443);
    service
}
