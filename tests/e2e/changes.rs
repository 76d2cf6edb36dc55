//! Under load with nothing lost: each kind of object is changed twenty times a second for a
//! minute, all of them at once, through the API server. What is served in the end is what the
//! objects say.
//!
//! One line of the first table is one kind and the rate at which it was changed, one line of the
//! second is one kind of client meanwhile.

mod end;
mod steps;
mod writer;

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::support::backends::{app_service, echo_deployment, echo_of};
use crate::support::certificate::Certificate;
use crate::support::gateway;
use crate::support::load::Hold;
use crate::support::release::Release;
use crate::support::traffic::Traffic;
use crate::support::{Namespace, scenario};
use steps::Cast;

#[test]
fn each_kind_changes_twenty_times_a_second() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster can't be reached by their addresses");
        return;
    }
    scenario("changes", |namespace| {
        // It is about what the gateway follows: without the webhooks more changes can be made.
        namespace.leave_admission();
        let port = json!({"name": "tcp", "port": 9000, "targetPort": 9000});
        let release = Release::install_alone(namespace, &json!({"service": {"portsRaw": [port]}}));
        // curl takes no wildcard so short, for which the neighbours are.
        let names = ["loaded.example", "context.example", "*.example"];
        let certificates: Vec<Certificate> = (0..steps::CERTIFICATES)
            .map(|index| Certificate::new(&format!("changes-{index}"), &names))
            .collect();
        prepare(namespace, &release, &certificates[0]);
        let cast = Cast::new(namespace, &release, &certificates);
        namespace.apply(&cast.neighbours());
        end::wait_all_ready(namespace);

        let traffic = start(release.address());
        writer::drive(&namespace.name, &cast.kinds());
        let tallies = traffic.stop("every kind changed");
        for (client, (name, tally)) in CLIENTS.iter().zip(&tallies) {
            if client.kept > 0 {
                assert_eq!(tally.connections, client.kept, "{name}: connections outlive changes");
            }
        }
        end::assert_served(namespace, &release, &certificates);
        let log = release.log();
        let bad = log.lines().find(|line| line.contains("panicked") || line.contains("forbidden"));
        assert_eq!(bad, None);
    });
}

/// What is under load, and what all Hosts serve.
fn prepare(namespace: &Namespace, release: &Release<'_>, certificate: &Certificate) {
    namespace.apply(&[
        echo_deployment(2, &[]),
        echo_of("v1", "v1", 1, &[]),
        echo_of("v2", "v2", 1, &[]),
        app_service("echo"),
        app_service("v1"),
        app_service("v2"),
    ]);
    for deployment in ["deployment/echo", "deployment/v1", "deployment/v2"] {
        namespace.kubectl(&["rollout", "status", deployment, "--timeout=120s"]);
    }
    let service = |name: &str| format!("{name}.{}", namespace.name);
    let listener = |port: u16, protocol: &str| {
        let spec = json!({
            "port": port, "protocol": protocol, "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "SELF"}},
        });
        release.object("Listener", &format!("port-{port}"), spec)
    };
    let host = |name: &str, field: &str, value: Value| {
        let spec = json!({
            "hostname": format!("{name}.example"), "tlsSecret": {"name": "loaded"},
            "requestPolicy": {"insecure": {"action": "Route"}}, field: value,
        });
        release.object("Host", name, spec)
    };
    let route = |name: &str, to: &str| {
        let spec = json!({
            "hostname": "*", "prefix": format!("/{name}/"), "service": service(to),
            "resolver": "endpoint", "timeout_ms": 60_000,
        });
        release.object("Mapping", name, spec)
    };
    namespace.apply(&[
        // Its endpoints are written by hand.
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "direct"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
        steps::slice(&steps::backend_pods(namespace), 0),
        certificate.secret("loaded"),
        listener(8080, "HTTP"),
        listener(8443, "HTTPS"),
        listener(9000, "TCP"),
        host("loaded", "tls", json!({"min_tls_version": "v1.2"})),
        host("context", "tlsContext", json!({"name": "context"})),
        release.object("TLSContext", "context", json!({"min_tls_version": "v1.2"})),
        route("loaded", "v1"),
        route("direct", "direct"),
        route("pods", "echo"),
        release.object("TCPMapping", "tcp", json!({"port": 9000, "service": service("v1")})),
    ]);
}

fn start(address: IpAddr) -> Traffic {
    let client = |client: &Client| {
        let url = client.url.replace("GATEWAY", &address.to_string());
        // It is about what is lost, not about how fast a busy machine is.
        let arguments = client.arguments.split(' ').chain(["-timeout", "60s"]);
        Hold::with(client.name, &url, &arguments.collect::<Vec<_>>())
    };
    Traffic::of(CLIENTS.iter().map(client).collect())
}

/// One kind of client.
struct Client {
    name: &'static str,
    /// The connections that it keeps from the beginning to the end.
    kept: u64,
    url: &'static str,
    arguments: &'static str,
}

const CLIENTS: [Client; 11] = [
    Client {
        name: "HTTP/1.1",
        kept: 4,
        url: "http://GATEWAY/loaded/",
        arguments: "-host loaded.example -connections 4 -rate 100",
    },
    Client {
        name: "HTTP/1.1, a new connection each",
        kept: 0,
        url: "http://GATEWAY/loaded/",
        arguments: "-host loaded.example -each -connections 2 -rate 40",
    },
    Client {
        name: "h2c",
        kept: 2,
        url: "http://GATEWAY/loaded/",
        arguments: "-host loaded.example -protocol h2c -connections 2 -streams 2 -rate 60",
    },
    Client {
        name: "HTTP/1.1 over TLS",
        kept: 2,
        url: "https://GATEWAY/loaded/",
        arguments: "-host loaded.example -connections 2 -rate 40",
    },
    Client {
        name: "TLS, a new connection each",
        kept: 0,
        url: "https://GATEWAY/loaded/",
        arguments: "-host loaded.example -each -connections 2 -rate 20",
    },
    Client {
        name: "h2 over TLS",
        kept: 2,
        url: "https://GATEWAY/loaded/",
        arguments: "-host context.example -protocol h2 -connections 2 -streams 2 -rate 40",
    },
    Client {
        name: "TLS by a TLSContext, a new connection each",
        kept: 0,
        url: "https://GATEWAY/loaded/",
        arguments: "-host context.example -each -connections 2 -rate 20",
    },
    Client {
        name: "TCP",
        kept: 2,
        url: "http://GATEWAY:9000/",
        arguments: "-connections 2 -rate 40",
    },
    Client {
        name: "TCP, a new connection each",
        kept: 0,
        url: "http://GATEWAY:9000/",
        arguments: "-each -connections 2 -rate 20",
    },
    Client {
        name: "to endpoints that change",
        kept: 2,
        url: "http://GATEWAY/direct/",
        arguments: "-host loaded.example -connections 2 -rate 60",
    },
    Client {
        name: "to pods that come and go",
        kept: 2,
        url: "http://GATEWAY/pods/",
        arguments: "-host loaded.example -connections 2 -rate 60",
    },
];
