//! Connections as bytes, through the gateway's Service: of a whole port, and by the server name of
//! TLS, which the gateway ends or passes on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::backends::{app_service, echo_of};
use crate::support::certificate::Certificate;
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::load::Hold;
use crate::support::release::Release;
use crate::support::traffic::Traffic;
use crate::support::{Namespace, PATIENCE, scenario, wait_until};

/// A port with a Listener for bytes, one with a Listener for TLS, and one that no Listener names.
const PLAIN: u16 = 9000;
const TLS: u16 = 9001;
const BRIEF: u16 = 9002;

/// Whose TLS the gateway ends, and whose it passes on.
const ENDED: &str = "ended.example";
const PASSED: &str = "passed.example";

/// Streams of each kind.
const CONNECTIONS: u64 = 2;

/// How often everything beside the streams changes under them.
const ROUNDS: usize = 5;

#[test]
fn streams_are_served_by_port_and_by_name() {
    if gateway::own_cluster().is_none() {
        println!("not run: Services of a foreign cluster can't be reached by their addresses");
        return;
    }
    scenario("tcp", |namespace| {
        let release = install(namespace);
        let [ended, renewed, passed] = certificates();
        prepare(namespace, &release, [&ended, &passed]);
        let at = |port| SocketAddr::new(release.address(), port);
        assert_served(at, [&ended, &passed]);

        let streams = start(at);
        for round in 0..ROUNDS {
            let certificate = if round.is_multiple_of(2) { &renewed } else { &ended };
            change_others(namespace, &release, round, certificate);
        }
        for (name, tally) in streams.stop("all beside them changed") {
            assert_eq!(tally.connections, CONNECTIONS, "{name}: a stream ended");
        }
        assert_served(at, [&renewed, &passed]);
        assert_closes(namespace, &release, at(BRIEF));
    });
}

fn certificates() -> [Certificate; 3] {
    let certificate = |label, name: &str| Certificate::new(label, &[name]);
    [
        certificate("tcp-ended", ENDED),
        certificate("tcp-renewed", ENDED),
        certificate("tcp-passed", PASSED),
    ]
}

fn install(namespace: &Namespace) -> Release<'_> {
    let port = |port: u16| json!({"name": format!("tcp-{port}"), "port": port, "targetPort": port});
    Release::install_alone(
        namespace,
        &json!({"service": {"portsRaw": [port(PLAIN), port(TLS), port(BRIEF)]}}),
    )
}

/// The routes, and a backend that speaks TLS itself.
fn prepare(namespace: &Namespace, release: &Release<'_>, [ended, passed]: [&Certificate; 2]) {
    let listener = |port: u16, protocol: &str| {
        let spec = json!({
            "port": port, "protocol": protocol, "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "SELF"}},
        });
        release.object("Listener", &format!("port-{port}"), spec)
    };
    let own = |name: &str| format!("{name}.{}", namespace.name);
    let route = |name: &str, spec: Value| release.object("TCPMapping", name, spec);
    namespace.apply(&[
        ended.secret("ended"),
        passed.secret("passed"),
        secure_deployment(),
        app_service("secure"),
        listener(PLAIN, "TCP"),
        listener(TLS, "TLS"),
        release.object("TLSContext", "ended", json!({"hosts": [ENDED], "secret": "ended"})),
        route("plain", json!({"port": PLAIN, "service": "echo-v1.backends"})),
        route("ended", json!({"port": TLS, "host": ENDED, "service": "echo-v1.backends"})),
        route(
            "passed",
            json!({
                "port": TLS, "host": PASSED, "service": own("secure"), "tls_passthrough": true,
                // kube-proxy may learn of a new Service a moment after this is Ready.
                "resolver": "kubernetes-endpoint",
            }),
        ),
    ]);
    namespace.kubectl(&["rollout", "status", "deployment/secure", "--timeout=120s"]);
    let limit = format!("--timeout={}s", PATIENCE.as_secs());
    let all = ["wait", "--for=condition=Ready", "listener,tlscontext,tcpmapping", "--all", &limit];
    namespace.kubectl(&all);
}

/// Echo with the Secret `passed`.
fn secure_deployment() -> Value {
    let mut deployment = echo_of("secure", "v2", 1, &["-tls", "/tls"]);
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["volumes"] = json!([{"name": "tls", "secret": {"secretName": "passed"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls"}]);
    deployment
}

/// Each way of routing, by new connections.
#[track_caller]
fn assert_served(at: impl Fn(u16) -> SocketAddr, [ended, passed]: [&Certificate; 2]) {
    let mut client = Client::to(at(PLAIN));
    let peers = [(); 3].map(|()| client.get("/").json()["peer"].clone());
    assert!(peers[0].is_string() && peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");

    let answer = ended.get(ENDED, at(TLS), "/").expect("TLS is ended");
    assert_eq!((&answer["version"], &answer["proto"]), (&json!("v1"), &json!("HTTP/1.1")));
    // By the backend's own certificate, and with what client and backend have agreed on.
    let answer = passed.get(PASSED, at(TLS), "/").expect("TLS is passed on");
    assert_eq!((&answer["version"], &answer["proto"]), (&json!("v2"), &json!("HTTP/2.0")));

    for (certificate, name) in [(ended, PASSED), (passed, ENDED), (ended, "other.example")] {
        let answer = certificate.get(name, at(TLS), "/");
        assert!(answer.is_err(), "{name} by a wrong certificate: {answer:?}");
    }
}

/// Streams of every kind, that stay open.
fn start(at: impl Fn(u16) -> SocketAddr) -> Traffic {
    let (plain, tls) = (at(PLAIN), at(TLS));
    let busy = ["-connections", "2", "-rate", "40", "-timeout", "60s"];
    let stream = |name: &str, url: String, more: &[&str]| {
        Hold::with(name, &url, &[&busy[..], more].concat())
    };
    let (ended, passed) = (["-host", ENDED], ["-host", PASSED]);
    Traffic::of(vec![
        stream("TCP", format!("http://{plain}/"), &[]),
        stream("TLS that the gateway ends", format!("https://{tls}/"), &ended),
        stream("TLS that it passes on", format!("https://{tls}/"), &passed),
    ])
}

/// Routes, a Listener, a certificate and another TCPMapping come and go. After the last round they
/// are there.
fn change_others(
    namespace: &Namespace,
    release: &Release<'_>,
    round: usize,
    certificate: &Certificate,
) {
    let at = SocketAddr::new(release.address(), BRIEF);
    namespace.apply(&[certificate.secret("ended")]);
    if round.is_multiple_of(2) {
        let route = json!({"hostname": "*", "prefix": "/a/", "service": "echo-v1.backends"});
        let listener = json!({
            "port": 9100, "protocol": "HTTP", "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "SELF"}},
        });
        let brief = json!({"port": BRIEF, "service": "echo-v2.backends"});
        namespace.apply(&[
            release.object("Mapping", "other", route),
            release.object("Listener", "other", listener),
            release.object("TCPMapping", "brief", brief),
        ]);
        wait_until("the new port is served", PATIENCE, || {
            Client::to(at).try_get("/")?.expect_of("v2")
        });
    } else {
        namespace.kubectl(&["delete", "mapping/other", "listener/other", "tcpmapping/brief"]);
        wait_closed(at);
    }
}

fn wait_closed(at: SocketAddr) {
    wait_until("the port is closed", PATIENCE, || match TcpStream::connect(at) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Where the last TCPMapping of a port goes, the port is closed and the log tells it. A stream
/// that was there goes on.
fn assert_closes(namespace: &Namespace, release: &Release<'_>, at: SocketAddr) {
    let mut client = Client::to(at);
    let peer = client.get("/").json()["peer"].clone();
    namespace.kubectl(&["delete", "tcpmapping/brief"]);
    wait_closed(at);
    assert_eq!(client.get("/").json()["peer"], peer, "the stream of before");
    let log = release.log();
    let told = log.lines().filter(|line| line.contains("no longer listening"));
    let told = told.filter(|line| line.contains(&at.port().to_string())).count();
    assert_eq!(told, ROUNDS / 2 + 1, "{log}");
}
