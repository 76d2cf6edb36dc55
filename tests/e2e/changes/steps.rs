//! What is changed, step by step: pure, so that the end can be told from the numbers alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Namespace;
use crate::support::certificate::Certificate;
use crate::support::release::Release;
use crate::support::writer::{Step, Verb};

/// Changes of each kind.
pub(super) const CHANGES: usize = 1200;
/// Between two changes of a kind: twenty a second.
const PERIOD: Duration = Duration::from_millis(50);
/// Certificates that take turns.
pub(super) const CERTIFICATES: usize = 8;

/// A neighbour comes, another goes, the loaded object is changed, and the new neighbour: so many
/// steps.
const ROUND: usize = 4;
/// Steps of a kind that may be under way: those of one object are at least so many apart.
const AT_A_TIME: usize = 3;
/// Neighbours that are there at any time.
const ROUTES: usize = 8;
const HOSTS: usize = 4;
const PORTS: usize = 2;

/// Pods of the scaled backend, in turns.
const REPLICAS: [u32; 5] = [4, 1, 3, 2, 4];
/// Between two of these.
const SCALED: Duration = Duration::from_secs(12);

/// A row: what is changed how often.
pub(super) struct Kind<'a> {
    pub(super) name: &'static str,
    pub(super) changes: usize,
    pub(super) period: Duration,
    /// Steps that may be under way.
    pub(super) at_a_time: usize,
    pub(super) step: Box<dyn Fn(usize) -> Step + 'a>,
}

/// What the steps need to know.
pub(super) struct Cast<'a> {
    namespace: &'a Namespace,
    release: &'a Release<'a>,
    certificates: &'a [Certificate],
    pods: Vec<IpAddr>,
}

impl<'a> Cast<'a> {
    pub(super) fn new(
        namespace: &'a Namespace,
        release: &'a Release<'a>,
        certificates: &'a [Certificate],
    ) -> Self {
        Self { namespace, release, certificates, pods: backend_pods(namespace) }
    }

    /// The Service of a version of the backend.
    fn backend(&self, name: &str) -> String {
        format!("{name}.{}", self.namespace.name)
    }

    /// All that is changed.
    pub(super) fn kinds(&self) -> Vec<Kind<'_>> {
        let often = |name, at_a_time, step| Kind {
            name,
            changes: CHANGES,
            period: PERIOD,
            at_a_time,
            step,
        };
        vec![
            often("Mapping", AT_A_TIME, Box::new(|step| self.change_route(step))),
            often("Host", AT_A_TIME, Box::new(|step| self.change_host(step))),
            often("Listener", AT_A_TIME, Box::new(|step| self.change_port(step))),
            often("Secret and TLSContext", 2, Box::new(|step| self.change_tls(step))),
            often("EndpointSlice", 1, Box::new(|step| change(slice(&self.pods, step + 1)))),
            Kind {
                name: "replicas of a Deployment",
                changes: REPLICAS.len(),
                period: SCALED,
                at_a_time: 1,
                step: Box::new(|step| change(scaled(REPLICAS[step]))),
            },
        ]
    }

    /// The neighbours that are there from the beginning.
    pub(super) fn neighbours(&self) -> Vec<Value> {
        let routes = (0..ROUTES).map(|index| self.route(index, "v2"));
        let hosts = (0..HOSTS).map(|index| self.host(index, "Route"));
        let ports = (0..PORTS).map(|index| self.port(index, 1));
        routes.chain(hosts).chain(ports).collect()
    }

    fn change_route(&self, step: usize) -> Step {
        let round = step / ROUND;
        match step % ROUND {
            0 => create(self.route(round + ROUTES, "v1")),
            1 => delete(self.route(round, "v2")),
            2 => {
                let version = if round.is_multiple_of(2) { "v2" } else { "v1" };
                let service = self.backend(version);
                change(self.release.object("Mapping", "loaded", json!({"service": service})))
            }
            _ => change(self.route(round + ROUTES, "v2")),
        }
    }

    fn change_host(&self, step: usize) -> Step {
        let round = step / ROUND;
        match step % ROUND {
            0 => create(self.host(round + HOSTS, "Reject")),
            1 => delete(self.host(round, "Route")),
            2 => change(self.release.object("Host", "loaded", json!({"tls": least(round)}))),
            _ => change(self.host(round + HOSTS, "Route")),
        }
    }

    fn change_port(&self, step: usize) -> Step {
        let round = step / ROUND;
        match step % ROUND {
            0 => create(self.port(round + PORTS, 0)),
            1 => delete(self.port(round, 1)),
            2 => {
                let streams = json!({"http2MaxConcurrentStreams": 100 + round % 2});
                change(self.release.object("Listener", "port-8080", streams))
            }
            _ => change(self.port(round + PORTS, 1)),
        }
    }

    /// The certificate of the loaded Hosts, or the TLSContext of one.
    fn change_tls(&self, step: usize) -> Step {
        let turn = step / 2;
        if step.is_multiple_of(2) {
            return change(self.certificates[turn % CERTIFICATES].secret("loaded"));
        }
        change(self.release.object("TLSContext", "context", least(turn)))
    }

    fn route(&self, index: usize, version: &str) -> Value {
        self.release.object(
            "Mapping",
            &format!("route-{index}"),
            json!({
                "hostname": "*", "prefix": route_path(index),
                "service": self.backend(version),
            }),
        )
    }

    fn host(&self, index: usize, action: &str) -> Value {
        self.release.object(
            "Host",
            &format!("host-{index}"),
            json!({
                "hostname": host_name(index), "tlsSecret": {"name": "loaded"},
                "requestPolicy": {"insecure": {"action": action}},
            }),
        )
    }

    fn port(&self, index: usize, depth: u32) -> Value {
        self.release.object(
            "Listener",
            &format!("brief-{index}"),
            json!({
                "port": port_number(index), "protocol": "HTTP", "securityModel": "XFP",
                "l7Depth": depth, "hostBinding": {"namespace": {"from": "SELF"}},
            }),
        )
    }
}

/// Whether a neighbour is there in the end, for each that ever was.
fn fate(kept: usize) -> impl Iterator<Item = (usize, bool)> {
    let rounds = CHANGES / ROUND;
    (0..rounds + kept).map(move |index| (index, index >= rounds))
}

/// The paths of all routes that ever were, and whether they are served in the end.
pub(super) fn routes() -> impl Iterator<Item = (String, bool)> {
    fate(ROUTES).map(|(index, stays)| (route_path(index), stays))
}

/// The same of Hosts, by name.
pub(super) fn hosts() -> impl Iterator<Item = (String, bool)> {
    fate(HOSTS).map(|(index, stays)| (host_name(index), stays))
}

/// The ports that take turns, and whether they are open in the end.
pub(super) fn ports() -> BTreeMap<u16, bool> {
    fate(PORTS).map(|(index, stays)| (port_number(index), stays)).collect()
}

/// The version of the backend that the loaded route has in the end.
pub(super) fn last_version() -> &'static str {
    if (CHANGES / ROUND - 1).is_multiple_of(2) { "v2" } else { "v1" }
}

/// The certificate of the loaded Hosts in the end.
pub(super) fn last_certificate(all: &[Certificate]) -> &Certificate {
    &all[(CHANGES / 2 - 1) % CERTIFICATES]
}

/// The endpoints of the Service `direct` in a step. In each one is ready that was so before, and
/// one is not ready that nobody answers at.
pub(super) fn slice(pods: &[IpAddr], step: usize) -> Value {
    let endpoint = |address: &IpAddr, ready: bool| json!({"addresses": [address.to_string()], "conditions": {"ready": ready}});
    let nobody = IpAddr::from([10, 244, 0, 254]);
    let ready = ready_pods(pods, step);
    let endpoints = ready.iter().map(|pod| endpoint(pod, true)).chain([endpoint(&nobody, false)]);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "direct", "labels": {"kubernetes.io/service-name": "direct"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints.collect::<Vec<_>>(),
    })
}

/// The first, both, the second, both.
pub(super) fn ready_pods(pods: &[IpAddr], step: usize) -> &[IpAddr] {
    match step % 4 {
        0 => &pods[..1],
        2 => &pods[1..],
        _ => pods,
    }
}

/// The addresses of the pods of both versions, once they run.
pub(super) fn backend_pods(namespace: &Namespace) -> Vec<IpAddr> {
    let list = namespace.kubectl(&["get", "pods", "-l", "app in (v1,v2)", "-o", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let pods = list["items"].as_array().expect("a list").iter();
    let ip = |pod: &Value| pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
    let pods: Vec<IpAddr> = pods.filter_map(ip).collect();
    assert_eq!(pods.len(), 2, "one pod of each version");
    pods
}

/// The least version of TLS, in turns.
fn least(turn: usize) -> Value {
    json!({"min_tls_version": if turn.is_multiple_of(2) { "v1.3" } else { "v1.2" }})
}

fn scaled(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"},
        "spec": {"replicas": replicas},
    })
}

fn route_path(index: usize) -> String {
    format!("/route/{index}/")
}

fn host_name(index: usize) -> String {
    format!("host-{index}.example")
}

fn port_number(index: usize) -> u16 {
    // One that closes isn't the next to open.
    8100 + u16::try_from(index % (2 * PORTS)).expect("a few")
}

fn create(object: Value) -> Step {
    Step { verb: Verb::Create, object }
}

fn change(object: Value) -> Step {
    Step { verb: Verb::Change, object }
}

fn delete(object: Value) -> Step {
    Step { verb: Verb::Delete, object }
}
