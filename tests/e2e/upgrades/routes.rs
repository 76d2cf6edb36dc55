//! What the load asks for: backends of its own, and routes to them.

use serde_json::{Value, json};

use super::release::Release;
use crate::support::backends::{app_service, echo_deployment};
use crate::support::{Namespace, mapping_of};

/// What a response that no drain waits for has, one byte every 0.2 s.
pub(super) const ENDLESS_BYTES: usize = 600;

/// A backend of several pods, one of which may be away, one for long responses, and routes.
pub(super) fn prepare(namespace: &Namespace, release: &Release<'_>, replicas: u32) {
    let backend = format!("echo.{}", namespace.name);
    namespace.apply(&[
        echo_deployment(replicas, &["-drain", "8s"]),
        app_service("echo"),
        httpbin_deployment(),
        app_service("httpbin"),
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "echo"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "echo"}}},
        }),
        route(namespace, "short", &json!({
            "prefix": "/short/", "service": backend, "resolver": "endpoint", "timeout_ms": 60_000,
        })),
        route(namespace, "download", &json!({
            "prefix": "/download/", "service": format!("httpbin.{}", namespace.name),
            "timeout_ms": 60_000,
            "rewrite": "/drip?duration=8&numbytes=40&code=200&delay=0",
        })),
        route(namespace, "brief", &json!({
            "prefix": "/brief/", "service": format!("httpbin.{}", namespace.name),
            "rewrite": "/status/200",
        })),
        route(namespace, "endless", &json!({
            "prefix": "/endless/", "service": format!("httpbin.{}", namespace.name),
            "timeout_ms": 300_000,
            "rewrite": format!("/drip?duration=120&numbytes={ENDLESS_BYTES}&code=200&delay=0"),
        })),
        flip(namespace, "v1"),
    ]);
    namespace.kubectl(&["rollout", "status", "deployment/echo", "--timeout=120s"]);
    namespace.kubectl(&["rollout", "status", "deployment/httpbin", "--timeout=120s"]);
    namespace.kubectl(&["wait", "--for=condition=Ready", "mapping", "--all", "--timeout=60s"]);
    release.serves(&["/short/", "/flip/", "/brief/"]);
}

fn route(namespace: &Namespace, name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["hostname"] = "*".into();
    spec["ambassador_id"] = json!([namespace.name]);
    mapping_of(name, &spec)
}

/// The route that changes, to one of the two backends.
pub(super) fn flip(namespace: &Namespace, version: &str) -> Value {
    route(
        namespace,
        "flip",
        &json!({"prefix": "/flip/", "service": format!("echo-{version}.backends")}),
    )
}

/// It gives long responses. It can't drain, and so must not be moved.
fn httpbin_deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "httpbin"},
        "spec": {
            "selector": {"matchLabels": {"app": "httpbin"}},
            "template": {
                "metadata": {"labels": {"app": "httpbin"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": "node-1"},
                    "containers": [{
                        "name": "httpbin", "image": "localhost/go-httpbin:1",
                        "imagePullPolicy": "Never", "args": ["-port", "8080", "-max-duration", "300s"],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe":
                            {"httpGet": {"path": "/status/200", "port": "http"}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}
