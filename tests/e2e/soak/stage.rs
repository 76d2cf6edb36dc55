//! What is disturbed: a gateway of three replicas, its backends and its routes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::support::backends::{app_service, echo_deployment, echo_of};
use crate::support::certificate::Certificate;
use crate::support::client::{Answer, Client};
use crate::support::release::Release;
use crate::support::writer::{Step, Verb, Writer};
use crate::support::{Namespace, PATIENCE, wait_until};

/// Replicas of the gateway.
pub(super) const REPLICAS: usize = 3;
/// What a pod of the gateway may use at most; its chart's default, and the binary may be one for
/// debugging.
const MEMORY: &str = "256Mi";
/// The host of all routes.
pub(super) const HOST: &str = "soak.example";

/// How long it lasts.
#[derive(Debug, Clone)]
pub(super) struct Length {
    /// Disturbances are repeated until this is over; zero for the short form.
    pub(super) time: Duration,
    /// Names of disturbances, or parts of them; all where it is empty.
    only: String,
}

impl Length {
    /// `SOAK_MINUTES`; without it, the short form. `SOAK_ONLY` chooses one disturbance.
    pub(super) fn of_environment() -> Self {
        let minutes = std::env::var("SOAK_MINUTES").ok().filter(|text| !text.is_empty());
        let minutes = minutes.map_or(0, |text| text.parse().expect("SOAK_MINUTES is a number"));
        Self {
            time: Duration::from_secs(minutes * 60),
            only: std::env::var("SOAK_ONLY").unwrap_or_default(),
        }
    }

    pub(super) fn chooses(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// One of two sizes.
    pub(super) fn pick<T>(&self, short: T, long: T) -> T {
        if self.time.is_zero() { short } else { long }
    }
}

/// The gateway and what is around it.
pub(super) struct Stage<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) release: Release<'a>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) length: Length,
    pub(super) runtime: Runtime,
    pub(super) writer: Writer,
}

impl<'a> Stage<'a> {
    pub(super) fn prepare(namespace: &'a Namespace, length: Length) -> Self {
        // It is about what the gateway itself makes of bad input.
        namespace.leave_admission();
        let probe = json!({"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 10});
        let values = json!({
            "replicaCount": REPLICAS,
            "env": {"AMBASSADOR_ID": namespace.name, "NUNCIO_ACCESS_LOG": "off"},
            "resources": {
                "requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": MEMORY},
            },
            "drain": {"delaySeconds": 2}, "readinessProbe": probe, "livenessProbe": probe,
        });
        let certificates = (0..4).map(|index| Certificate::new(&format!("soak-{index}"), &[HOST]));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let writer = runtime.block_on(Writer::connect(&namespace.name));
        let stage = Self {
            release: Release::install(namespace, &values),
            certificates: certificates.collect(),
            namespace,
            length,
            runtime,
            writer,
        };
        stage.furnish();
        stage
    }

    fn furnish(&self) {
        let namespace = self.namespace;
        let listener = |port: u16, protocol: &str| self.listener(port, protocol);
        let host = json!({
            "hostname": HOST, "tlsSecret": {"name": "soak"},
            "requestPolicy": {"insecure": {"action": "Route"}},
        });
        namespace.apply(&[
            // What it drains is longer than its streams last.
            echo_deployment(2, &["-drain", "8s"]),
            echo_of("v1", "v1", 1, &[]),
            echo_of("v2", "v2", 1, &[]),
            app_service("echo"),
            app_service("v1"),
            app_service("v2"),
            self.certificates[0].secret("soak"),
            listener(8080, "HTTP"),
            listener(8443, "HTTPS"),
            self.release.object("Host", "soak", host),
            self.route("steady", "/steady/", "echo", &json!({})),
            self.route("calls", "/soak.Echo/", "echo", &json!({"grpc": true, "rewrite": ""})),
            self.route("sockets", "/socket/", "echo", &json!({"allow_upgrade": ["websocket"]})),
            self.route("changed", "/changed/", "v1", &json!({})),
            self.route("weighted-1", "/weighted/", "v1", &json!({"weight": 50})),
            self.route("weighted-2", "/weighted/", "v2", &json!({"weight": 50})),
        ]);
        for deployment in ["deployment/echo", "deployment/v1", "deployment/v2"] {
            namespace.kubectl(&["rollout", "status", deployment, "--timeout=120s"]);
        }
        namespace.kubectl(&["wait", "--for=condition=Ready", "mapping", "--all", "--timeout=60s"]);
        let mut client = self.client();
        wait_until("its Service answers", PATIENCE, || client.try_get("/steady/").map(drop));
    }

    pub(super) fn listener(&self, port: u16, protocol: &str) -> Value {
        let spec = json!({
            "port": port, "protocol": protocol, "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "SELF"}},
        });
        self.release.object("Listener", &format!("port-{port}"), spec)
    }

    /// A Mapping to one of the backends, with more of its fields.
    pub(super) fn route(&self, name: &str, prefix: &str, backend: &str, more: &Value) -> Value {
        let mut spec = json!({
            "hostname": "*", "prefix": prefix, "service": self.backend(backend),
            "resolver": "endpoint", "timeout_ms": 60_000,
        });
        let fields = spec.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        self.release.object("Mapping", name, spec)
    }

    /// The Service of a backend.
    pub(super) fn backend(&self, name: &str) -> String {
        format!("{name}.{}", self.namespace.name)
    }

    /// Where its Service takes requests by HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        SocketAddr::new(self.address(), 80)
    }

    pub(super) fn address(&self) -> IpAddr {
        self.release.address()
    }

    /// A client of its own.
    pub(super) fn client(&self) -> Client {
        Client::to(self.http())
    }

    /// Changes some of an object.
    #[track_caller]
    pub(super) fn change(&self, object: Value) {
        self.make(Verb::Change, object);
    }

    #[track_caller]
    pub(super) fn make(&self, verb: Verb, object: Value) {
        let step = Step { verb, object };
        if let Err(error) = self.runtime.block_on(self.writer.make(&step)) {
            panic!("{verb:?} {}: {error}", step.object);
        }
    }

    /// Changes where the route that changes leads, and waits until it is seen and told.
    #[track_caller]
    pub(super) fn assert_follows(&self, version: &str) {
        self.change(self.to("changed", version));
        self.wait_for(version);
        self.namespace.wait_ready("mapping/changed");
    }

    /// Waits until every pod serves the route that changes from this version.
    #[track_caller]
    pub(super) fn wait_for(&self, version: &str) {
        for (pod, address) in self.release.pods(8080) {
            let mut client = Client::to(address);
            wait_until(&format!("{pod}: {version}"), PATIENCE, || {
                self.ask(&mut client, "/changed/").expect_of(version)
            });
        }
    }

    /// A change of a Mapping's backend.
    pub(super) fn to(&self, mapping: &str, backend: &str) -> Value {
        self.release.object("Mapping", mapping, json!({"service": self.backend(backend)}))
    }

    /// A GET that is answered.
    pub(super) fn ask(&self, client: &mut Client, path: &str) -> Answer {
        let request = http::Request::get(path).header("host", HOST);
        client.send(request, "").unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }
}
