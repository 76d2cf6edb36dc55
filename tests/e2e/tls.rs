//! TLS with real peers: openssl, curl, HAProxy, a server that ends TLS itself. One gateway of two
//! replicas, installed by the chart, is asked one thing after the other.

mod clients;
mod faults;
mod proxies;
mod rotation;
mod termination;
mod upstreams;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::peers::Curl;
use crate::support::release::Release;
use crate::support::{Namespace, gateway, scenario};

/// Where Listeners of this gateway are, in its pods: cleartext and TLS, and both behind a proxy.
const PORTS: [(&str, u16); 4] =
    [("HTTP", 8080), ("HTTPS", 8443), ("HTTPPROXY", 8081), ("HTTPSPROXY", 8444)];
/// Where requests are told of.
const ECHO: &str = "echo-v1.backends";

/// What is asked, by its name.
type Step = (&'static str, fn(&Bench<'_>));

/// The first one needs a gateway without Hosts; the others need nothing of each other.
const STEPS: [Step; 8] = [
    ("fallback certificate", termination::fallback),
    ("certificates by name", termination::by_name),
    ("versions and protocols", termination::versions_and_protocols),
    ("clients' certificates", clients::certificates),
    ("upstreams with TLS", upstreams::origination),
    ("wrong Secrets", faults::wrong_secrets),
    ("rotation under load", rotation::under_load),
    ("behind HAProxy", proxies::haproxy),
];

/// What the steps share.
struct Bench<'a> {
    namespace: &'a Namespace,
    gateway: Release<'a>,
    /// Whom curl trusts.
    authority: Authority,
    /// curl to the gateway's Service.
    curl: Curl,
}

#[test]
fn tls_with_real_peers() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster can't be reached by their addresses");
        return;
    }
    scenario("tls", |namespace| {
        let start = Instant::now();
        let bench = Bench::install(namespace);
        println!("two replicas are there after {:.1} s", start.elapsed().as_secs_f64());
        let failed: Vec<&str> = STEPS
            .into_iter()
            .filter(|(name, step)| {
                let start = Instant::now();
                let outcome = catch_unwind(AssertUnwindSafe(|| step(&bench)));
                let verdict = if outcome.is_ok() { "good" } else { "FAILED" };
                println!("{name}: {verdict} after {:.1} s", start.elapsed().as_secs_f64());
                outcome.is_err()
            })
            .map(|(name, _)| name)
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

impl<'a> Bench<'a> {
    fn install(namespace: &'a Namespace) -> Self {
        let port = |name: &str, port: u16, target: u16| json!({"name": name, "port": port, "targetPort": target});
        let ports = [
            port("http", 80, 8080),
            port("https", 443, 8443),
            port("http-proxy", 8081, 8081),
            port("https-proxy", 8444, 8444),
        ];
        let values = json!({"replicaCount": 2, "service": {"ports": ports}});
        let gateway = Release::install(namespace, &values);
        let authority = Authority::new("authority");
        let curl = Curl::new("tls-curl", &authority, gateway.address());
        let bench = Self { namespace, gateway, authority, curl };
        let listeners = PORTS.map(|(protocol, port)| {
            let spec = json!({
                "port": port, "protocol": protocol, "securityModel": "XFP",
                "hostBinding": {"namespace": {"from": "ALL"}},
            });
            bench.gateway.object("Listener", &protocol.to_lowercase(), spec)
        });
        bench.apply(&listeners);
        let age = "max-age=31536000; includeSubDomains";
        let spec = json!({
            "hostname": "*", "prefix": "/", "service": ECHO,
            "add_response_headers": {"strict-transport-security": {"value": age}},
        });
        bench.apply(&[bench.gateway.object("Mapping", "echo", spec)]);
        for (protocol, _) in PORTS {
            namespace.wait_ready(&format!("listener/{}", protocol.to_lowercase()));
        }
        bench
    }

    fn apply(&self, objects: &[Value]) {
        self.namespace.apply(objects);
    }

    /// A Host with these fields beside its name, of its own name's first label.
    fn host(&self, hostname: &str, mut fields: Value) -> Value {
        fields["hostname"] = json!(hostname);
        self.gateway.object("Host", &object_name(hostname), fields)
    }

    /// A certificate in a Secret, and a Host with it, both named by the host's first label; ready.
    fn serve(&self, hostname: &str, fields: Value) {
        let name = object_name(hostname);
        let secret = self.authority.issue(&[hostname]).secret(&name);
        let mut fields = fields;
        fields["tlsSecret"] = json!({"name": name});
        self.apply(&[secret, self.host(hostname, fields)]);
        self.namespace.wait_ready(&format!("host/{name}"));
    }

    /// Its Service, at this port.
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.gateway.address(), port)
    }

    /// The authority, for openssl.
    fn trusted(&self) -> String {
        self.curl.authority().display().to_string()
    }
}

/// How the objects of a host are called.
fn object_name(hostname: &str) -> String {
    let label = hostname.trim_start_matches("*.").split('.').next().unwrap_or_default();
    label.to_owned()
}
