//! TLS towards upstreams: a pod that ends it itself.

use serde_json::{Value, json};

use super::Bench;
use crate::support::backends::{app_service, echo_deployment};
use crate::support::certificates::{Authority, opaque_secret};
use crate::support::peers::Reply;
use crate::support::{PATIENCE, wait_until};

const HOST: &str = "upstreams.example";

pub(super) fn origination(bench: &Bench<'_>) {
    let service = format!("echo.{}", bench.namespace.name);
    start_upstream(bench, &service);
    bench.serve(HOST, json!({}));
    route(bench, &service);
    for (name, asked, shown) in [
        // Without a context nothing is verified, and no name is asked for.
        ("unverified", "", None),
        ("verified", &*service, Some("gateway.client")),
        ("by-service", "", None),
    ] {
        let reply = get(bench, name);
        let session = &reply.echo()["tls"];
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!((&session["server_name"], session["client"].as_str()), (&json!(asked), shown));
    }
    for (name, reason) in
        [("wrong-ca", "UnknownIssuer"), ("wrong-name", "not_valid_for_name_\"other.example\"")]
    {
        let reply = get(bench, name);
        assert_eq!(reply.status, 503, "{name}: {reply:?}");
        assert!(reply.body.contains("TLS error"), "{name}: {reply:?}");
        // Why is nothing for clients: it stands in the access log, which has no blanks there.
        let path = format!("/{name}/");
        let told = wait_until(&format!("{name} in the access log"), PATIENCE, || {
            bench.gateway.access(&path).pop().ok_or("no such line".to_owned())
        });
        assert_eq!(told["response_flags"], "UF", "{told}");
        let told = told["upstream_transport_failure_reason"].as_str().unwrap_or_default();
        println!("{name}: {told}");
        assert!(told.contains(reason), "{told}");
    }
    assert_ne!(get(bench, "cleartext").status, 200, "it speaks TLS and nothing else");
}

fn get(bench: &Bench<'_>, name: &str) -> Reply {
    bench.curl.get(&format!("https://{HOST}/{name}/"), &[]).expect("an answer")
}

/// An echo backend that ends TLS, and looks at clients' certificates; and who signs for both.
fn start_upstream(bench: &Bench<'_>, service: &str) {
    let [servers, clients, others] = ["servers", "clients", "others"].map(Authority::new);
    let mut server = servers.issue(&[service]).secret("server");
    server["stringData"]["ca.crt"] = json!(clients.pem());
    let mut deployment = echo_deployment(1, &["-tls", "/tls"]);
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["volumes"] = json!([{"name": "tls", "secret": {"secretName": "server"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls"}]);
    let mut exposed = app_service("echo");
    exposed["spec"]["ports"][0]["port"] = json!(443);
    bench.apply(&[
        server,
        clients.issue(&["gateway.client"]).secret("shown"),
        opaque_secret("servers", "tls.crt", &servers.pem()),
        opaque_secret("others", "tls.crt", &others.pem()),
        deployment,
        exposed,
    ]);
}

/// A Mapping for each way to it, with the TLSContext of its name where it has one; ready.
fn route(bench: &Bench<'_>, service: &str) {
    let contexts = [
        ("verified", json!({"ca_secret": "servers", "secret": "shown", "sni": service})),
        ("by-service", json!({"ca_secret": "servers"})),
        ("wrong-ca", json!({"ca_secret": "others"})),
        ("wrong-name", json!({"ca_secret": "servers", "sni": "other.example"})),
    ];
    let mapping = |name: &str, service: &str, tls: Option<&str>| {
        let prefix = format!("/{name}/");
        let mut spec = json!({"hostname": HOST, "prefix": prefix, "service": service});
        if let Some(context) = tls {
            spec["tls"] = json!(context);
        }
        bench.gateway.object("Mapping", name, spec)
    };
    let mut objects: Vec<Value> = vec![
        mapping("unverified", &format!("https://{service}"), None),
        mapping("cleartext", &format!("{service}:443"), None),
    ];
    for (name, spec) in contexts {
        objects.push(bench.gateway.object("TLSContext", name, spec));
        objects.push(mapping(name, service, Some(name)));
    }
    bench.apply(&objects);
    bench.namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]);
    for object in objects.iter().filter(|object| object["kind"] == "Mapping") {
        let name = object["metadata"]["name"].as_str().expect("it was given one");
        bench.namespace.wait_ready(&format!("mapping/{name}"));
    }
    // A Service's first endpoints come a moment after its pod is ready.
    wait_until("the upstream answers", PATIENCE, || match get(bench, "verified") {
        reply if reply.status == 200 => Ok(()),
        reply => Err(format!("{reply:?}")),
    });
}
