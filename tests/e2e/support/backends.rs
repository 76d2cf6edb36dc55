//! Backends for tests that change or move them; those that all share are in manifests/.

use serde_json::{Value, json};

/// Echo of version `v1`, with more arguments.
pub(crate) fn echo_deployment(replicas: u32, arguments: &[&str]) -> Value {
    echo_of("echo", "v1", replicas, arguments)
}

/// The same by another name, and of another version.
pub(crate) fn echo_of(name: &str, version: &str, replicas: u32, arguments: &[&str]) -> Value {
    let arguments = [&["-version", version], arguments].concat();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "echo", "image": "localhost/echo:1", "imagePullPolicy": "Never",
                    "args": arguments,
                    "ports": [
                        {"name": "http", "containerPort": 8080},
                        {"name": "health", "containerPort": 8081},
                    ],
                    // A busy machine takes no pod away: what has no endpoint loses requests.
                    "readinessProbe": {
                        "httpGet": {"path": "/", "port": "health"},
                        "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 10,
                    },
                }]},
            },
        },
    })
}

/// A Service for the pods of an app, by its name.
pub(crate) fn app_service(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
        "spec": {
            "selector": {"app": app},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    })
}
