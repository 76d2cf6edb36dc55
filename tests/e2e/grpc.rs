//! gRPC's own interop client, through the gateway to gRPC's own interop server in a pod: over
//! cleartext HTTP/2, and over TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::backends::app_service;
use crate::support::certificate::Certificate;
use crate::support::kubectl::run;
use crate::support::release::Release;
use crate::support::{Namespace, scenario};

/// All four kinds of calls, deadlines, cancelling, statuses, metadata, and many in a row.
const CASES: [&str; 16] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
];

/// The name that the certificate is for.
const NAME: &str = "interop.example";

#[test]
fn the_interop_client_meets_the_interop_server() {
    let Some(programs) = std::env::var_os("NUNCIO_E2E_INTEROP").map(PathBuf::from) else {
        println!("not run: a foreign cluster has no image of gRPC's interop server");
        return;
    };
    scenario("grpc", |namespace| {
        let release = Release::install_alone(namespace, &json!({"createDefaultListeners": true}));
        let certificate = Certificate::new("grpc", &[NAME]);
        prepare(namespace, &release, &certificate);
        let http = SocketAddr::new(release.address(), 80);
        let trusted = certificate.path();
        let trusted = trusted.to_str().expect("a path in UTF-8");
        let tls = ["-use_tls", "-use_test_ca", "-ca_file", trusted, "-server_host_override", NAME];

        println!();
        let client = programs.join("grpc-client");
        let mut failed = run_all(&client, "h2c", http, &[]);
        failed.extend(run_all(&client, "TLS", SocketAddr::new(http.ip(), 443), &tls));
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        // Whoever trusts another is not served, so that TLS was spoken with this certificate.
        let other = Certificate::new("grpc-other", &[NAME]);
        let other = other.path();
        let mut tls = tls;
        tls[3] = other.to_str().expect("a path in UTF-8");
        let refused = call(&client, "empty_unary", SocketAddr::new(http.ip(), 443), &tls);
        assert!(refused.is_err(), "another certificate is trusted");
    });
}

/// The server in a pod, and the route to it on both ports.
fn prepare(namespace: &Namespace, release: &Release<'_>, certificate: &Certificate) {
    let host = json!({
        "hostname": "*", "tlsSecret": {"name": "interop"},
        "requestPolicy": {"insecure": {"action": "Route"}},
    });
    let route = json!({
        "hostname": "*", "prefix": "/grpc.testing.", "rewrite": "", "grpc": true, "timeout_ms": 0,
        "service": format!("interop.{}", namespace.name),
        // kube-proxy may learn of a new Service a moment after its Mapping is Ready.
        "resolver": "kubernetes-endpoint",
    });
    namespace.apply(&[
        server(),
        app_service("interop"),
        certificate.secret("interop"),
        release.object("Host", "interop", host),
        release.object("Mapping", "interop", route),
    ]);
    namespace.kubectl(&["rollout", "status", "deployment/interop", "--timeout=120s"]);
    namespace.wait_ready("host/interop");
    namespace.wait_ready("mapping/interop");
}

fn server() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "interop"},
        "spec": {
            "selector": {"matchLabels": {"app": "interop"}},
            "template": {
                "metadata": {"labels": {"app": "interop"}},
                "spec": {"containers": [{
                    "name": "interop", "image": "localhost/grpc-server:1",
                    "imagePullPolicy": "Never", "args": ["-port", "8080", "-use_tls=false"],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

/// Runs all cases; a row says how many hold. Gives what is wrong with the others.
fn run_all(client: &Path, how: &str, at: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let start = Instant::now();
    let outcomes = CASES.map(|case| (case, call(client, case, at, arguments)));
    let complain = |(case, outcome): (&str, Result<(), String>)| {
        outcome.err().map(|said| format!("{how} {case}: {said}"))
    };
    let failed: Vec<String> = outcomes.into_iter().filter_map(complain).collect();
    let (cases, seconds) = (CASES.len(), start.elapsed().as_secs_f64());
    println!("| gRPC interop | {how} | {cases} cases | {} failed | {seconds:.1} s |", failed.len());
    failed
}

/// One case, or what the client says is wrong.
fn call(client: &Path, case: &str, at: SocketAddr, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(client);
    command
        .args(["-server_host", &at.ip().to_string(), "-server_port", &at.port().to_string()])
        .args(["-test_case", case])
        // How fast a busy machine is doesn't matter here.
        .args(["-soak_per_iteration_max_acceptable_latency_ms", "30000"])
        .args(["-soak_overall_timeout_seconds", "60"])
        .args(arguments);
    let outcome = run(&mut command, "");
    if outcome.ok { Ok(()) } else { Err(outcome.text()) }
}
