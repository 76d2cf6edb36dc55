//! The admin port as its clients see it.

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::controller::lead::Leadership;
use crate::controller::replicas::Replicas;
use crate::source::Collection;
use crate::source::versions::Versions;

const LOCAL: &str = "127.0.0.1:40000";
const REMOTE: &str = "10.1.2.3:40000";

struct Port {
    router: Router,
    built: watch::Sender<Arc<Built>>,
    served: watch::Sender<Versions>,
    stop: CancellationToken,
    admin: Arc<Admin>,
}

fn port(allow_non_local: bool) -> Port {
    let (built, receiver) = watch::channel(Arc::new(Built::default()));
    let (served_sender, served) = watch::channel(Versions::default());
    let (_, leader) = watch::channel(Leadership::default());
    let (_, replicas) = watch::channel(Arc::new(Replicas::default()));
    let stop = CancellationToken::new();
    let proxy: Rendered = Arc::new(|| "envoy_server_live 1".to_owned());
    let state =
        SourceState { name: "services".into(), state: "watching".into(), concern: Concern::Fine };
    let sources: SourceStates = Arc::new(move || vec![state.clone()]);
    let admin = Arc::new(Admin {
        health: Arc::new(Health::new(receiver.clone(), Arc::clone(&sources))),
        built: receiver,
        proxy_metrics: OnceLock::from(proxy),
        overload: Arc::default(),
        sources,
        timings: Arc::default(),
        log_level: LogLevel::detached(Level::Info),
        identity: Identity { version: "1.2.3".into(), ..Identity::default() },
        replication: Replication::new("pod_1".to_owned(), served, leader, replicas, stop.clone()),
        process: values::Process::default(),
        allow_non_local,
    });
    Port { served: served_sender, stop, router: router(Arc::clone(&admin)), built, admin }
}

async fn ask(port: &Port, peer: &str, method: &str, uri: &str) -> (StatusCode, String) {
    ask_with(port, peer, Request::builder().method(method).uri(uri)).await
}

async fn ask_with(
    port: &Port,
    peer: &str,
    request: axum::http::request::Builder,
) -> (StatusCode, String) {
    let peer: SocketAddr = peer.parse().unwrap();
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = port.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn health_has_emissarys_words() {
    let port = port(false);
    let (status, body) = ask(&port, REMOTE, "GET", "/ambassador/v0/check_alive").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "Ambassador is alive and well\n"));
    let (status, body) = ask(&port, REMOTE, "GET", "/ambassador/v0/check_ready").await;
    assert_eq!(
        (status.as_u16(), body.as_str()),
        (503, "Ambassador is not ready\nthe sources are being listed\n")
    );
    port.built.send_replace(Arc::new(Built { generation: 1, ..Built::default() }));
    port.admin.health.set_listening();
    let (status, body) = ask(&port, REMOTE, "GET", "/ambassador/v0/check_ready").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "Ambassador is ready and waiting\n"));
}

#[tokio::test]
async fn diagnostics_are_for_localhost_unless_allowed() {
    let uri = "/ambassador/v0/diag/?json=true";
    for (allow, peer, expected) in [
        (false, LOCAL, 200),
        (false, "[::ffff:127.0.0.1]:1", 200),
        (false, REMOTE, 404),
        (true, REMOTE, 200),
    ] {
        let (status, body) = ask(&port(allow), peer, "GET", uri).await;
        assert_eq!(status.as_u16(), expected, "{allow} {peer} {body}");
    }
    let forwarded = Request::builder().uri(uri).header("x-forwarded-for", "10.0.0.1");
    let (status, body) = ask_with(&port(false), LOCAL, forwarded).await;
    assert_eq!((status.as_u16(), body.as_str()), (404, "Not found\n"));
}

#[tokio::test]
async fn the_page_has_emissarys_keys() {
    let (_, body) = ask(&port(false), LOCAL, "GET", "/ambassador/v0/diag/?json=true").await;
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(page["system"]["version"], "1.2.3");
    assert_eq!(page["errors"], serde_json::json!([]));
    assert_eq!(page["sources"][0]["state"], "watching");
    for key in ["envoy_status", "loginfo", "notices", "route_info", "cluster_info", "objects"] {
        assert!(!page[key].is_null(), "{key}");
    }
    for key in ["listeners", "hosts", "tls_contexts", "tcp", "secrets"] {
        assert_eq!(page[key], serde_json::json!([]), "{key}");
    }
    assert_eq!(page["left_out"], serde_json::json!({}));
    let values = page["module"]["values"].as_array().unwrap();
    let timeout = serde_json::json!({
        "name": "cluster_request_timeout_ms", "value": 3000, "from": {"source": "default"},
    });
    assert!(values.contains(&timeout), "{values:?}");
    let (status, html) = ask(&port(false), LOCAL, "GET", "/ambassador/v0/diag/").await;
    assert!(status.is_success() && html.starts_with("<!doctype html>"), "{html}");
}

#[tokio::test]
async fn the_log_level_changes_from_localhost_only() {
    let port = port(true);
    let table = [
        ("POST", REMOTE, "/ambassador/v0/loglevel?level=debug", 404, Level::Info),
        ("GET", LOCAL, "/ambassador/v0/loglevel?level=debug", 405, Level::Info),
        ("POST", LOCAL, "/ambassador/v0/loglevel?level=loud", 400, Level::Info),
        ("POST", LOCAL, "/ambassador/v0/loglevel", 400, Level::Info),
        ("POST", LOCAL, "/ambassador/v0/loglevel?level=debug", 200, Level::Debug),
        ("GET", REMOTE, "/ambassador/v0/diag/?loglevel=trace", 403, Level::Debug),
        ("GET", LOCAL, "/ambassador/v0/diag/?loglevel=trace", 200, Level::Trace),
    ];
    for (method, peer, uri, expected, level) in table {
        let (status, _) = ask(&port, peer, method, uri).await;
        assert_eq!(status.as_u16(), expected, "{method} {peer} {uri}");
        assert_eq!(port.admin.log_level.get(), level, "{method} {peer} {uri}");
    }
}

#[tokio::test]
async fn metrics_join_both_halves() {
    let (status, text) = ask(&port(false), REMOTE, "GET", "/metrics").await;
    assert!(status.is_success());
    for line in [
        "envoy_server_live 1",
        "ambassador_diagnostics_errors 0",
        "ambassador_log_level{level=\"info\"} 1",
        "nuncio_config_generation 0",
        "nuncio_config_change_seconds_count 0",
        "nuncio_ready 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn the_rest_is_not_there() {
    let port = port(false);
    for uri in ["/", "/ambassador/v0/", "/ambassador/v0/diag/x", "/debug"] {
        let (status, body) = ask(&port, LOCAL, "GET", uri).await;
        assert_eq!((status.as_u16(), body.as_str()), (404, "Not found\n"), "{uri}");
    }
    let uri = "/ambassador/v0/diag/explain?url=nope";
    assert_eq!(ask(&port, LOCAL, "GET", uri).await.0.as_u16(), 400);
    let uri = "/ambassador/v0/diag/explain?url=http://a/b&header=x:%20y";
    let (status, body) = ask(&port, LOCAL, "GET", uri).await;
    assert!(status.is_success() && body.contains("\"answers\":[]"), "{status} {body}");
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_told_at_once_at_changes_and_now_and_then() {
    let port = port(false);
    let peer: SocketAddr = REMOTE.parse().unwrap();
    let open = async || {
        let mut request = Request::get(PATH).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        port.router.clone().oneshot(request).await.unwrap()
    };
    let response = open().await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let mut body = response.into_body();
    let mut line = async || {
        let frame = body.frame().await?.unwrap().into_data().unwrap();
        Some(serde_json::from_slice::<serde_json::Value>(&frame).unwrap())
    };
    let first = serde_json::json!({
        "instance": "pod_1", "version": "1.2.3", "ready": false, "served": {},
    });
    assert_eq!(line().await, Some(first));

    let begun = tokio::time::Instant::now();
    port.served.send_replace([(Collection::Mappings, Some(7))].into_iter().collect());
    let newest = [(Collection::Mappings, Some(9)), (Collection::Services, None)];
    port.served.send_replace(newest.into_iter().collect());
    let served = serde_json::json!({"mappings": "9", "services": null});
    assert_eq!(line().await.unwrap()["served"], served, "the newest alone");
    port.built.send_replace(Arc::new(Built { generation: 1, ..Built::default() }));
    port.admin.health.set_listening();
    assert_eq!(line().await.unwrap()["ready"], true);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(line().await.unwrap()["served"], served);
    assert_eq!(begun.elapsed(), Duration::from_secs(2), "silence would tell that we are gone");
    port.admin.health.set_draining();
    assert_eq!(line().await.unwrap()["ready"], false);

    let mut others = Vec::new();
    for _ in 0..15 {
        let response = open().await;
        assert_eq!(response.status(), StatusCode::OK);
        others.push(response);
    }
    assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    others.pop();
    assert_eq!(open().await.status(), StatusCode::OK);

    port.stop.cancel();
    assert_eq!(line().await, None, "the gateway ends");
}
