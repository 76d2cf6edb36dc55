//! A pod with little memory, under those who want it to have too little: the kernel never has to
//! end it.

use std::net::{SocketAddr, UdpSocket};

use serde_json::json;

use crate::floods::admin::Admin;
use crate::floods::{self, endure, http1, upstream};
use crate::support::gateway;
use crate::support::release::Release;
use crate::support::scenario;

/// Half of what the chart gives a pod.
const LIMIT: u64 = 128 << 20;

#[test]
fn a_pod_with_little_memory_endures_floods() {
    if gateway::own_cluster().is_none() {
        println!("not run: pods of a foreign cluster may not reach an upstream in this process");
        return;
    }
    scenario("shed", |namespace| {
        let resources = json!({"requests": {"cpu": "20m"}, "limits": {"memory": LIMIT}});
        let release = Release::install_alone(namespace, &json!({"resources": resources}));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be had");
        let _guard = runtime.enter();
        floods::raise_file_limit();
        let (_, http) = release.pods(8080).remove(0);
        let (_, admin) = release.pods(8877).remove(0);
        let spec = json!({
            "hostname": "*", "prefix": "/", "service": upstream::start(towards(http).ip()),
            "timeout_ms": 60_000, "connect_timeout_ms": 60_000,
            "circuit_breakers": [{
                "max_connections": 20_000, "max_requests": 20_000, "max_pending_requests": 20_000,
            }],
        });
        namespace.apply(&[release.object("Mapping", "all", spec)]);
        namespace.wait_ready("mapping/all");
        runtime.block_on(endure_all(http, Admin(admin)));

        let pods = namespace.get("pods").expect("a list");
        let container = &pods["items"][0]["status"]["containerStatuses"][0];
        assert_eq!(container["restartCount"], 0, "{container}");
    });
}

async fn endure_all(http: SocketAddr, admin: Admin) {
    admin.wait_ready().await;
    assert_eq!(admin.metric("nuncio_memory_budget_bytes").await, Some(LIMIT));
    let floods = floods::slow_clients(http).into_iter().chain(floods::frames_and_heads(http));
    for (name, flood) in floods {
        endure(name, flood, http, admin, || {}).await;
        let used = admin.metric("nuncio_memory_used_bytes").await.unwrap_or_default();
        println!("{name}: {} MiB afterwards", used >> 20);
    }
    http1::refuse_oversized(http).await;
}

/// This machine's address as one there sees it.
fn towards(there: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect(there).expect("a route");
    socket.local_addr().expect("bound")
}
