//! Active health checks.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{ClusterPolicy, HealthCheck, HealthProbe, StatusRange};

use crate::support::{Backend, Gateway, read_head, route_with, service, status, wait_for};

fn check(probe: HealthProbe) -> ClusterPolicy {
    let check = HealthCheck {
        timeout: Duration::from_secs(1),
        interval: Duration::from_millis(20),
        unhealthy_threshold: 2,
        healthy_threshold: 1,
        probe,
    };
    ClusterPolicy { health_checks: Some([check].into()), ..ClusterPolicy::default() }
}

fn healthy(gateway: &Gateway) -> String {
    let metrics = gateway.proxy.metrics().render();
    let line = metrics.lines().find(|one| one.starts_with("envoy_cluster_membership_healthy{"));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[test]
fn the_ill_get_nothing_until_they_are_well() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    let backend = |well: Arc<AtomicBool>, asked: Arc<AtomicUsize>| {
        Backend::start(move |mut stream, _| {
            while let Some(head) = read_head(&mut stream) {
                let code = if head.starts_with("GET /healthz ") {
                    assert!(head.contains("host: shop.example"), "{head}");
                    if well.load(Ordering::SeqCst) { "204" } else { "500" }
                } else {
                    asked.fetch_add(1, Ordering::SeqCst);
                    "200"
                };
                let answer = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
                let answer = answer.replace("204 X\r\ncontent-length: 0", "204 X");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    let flipping = backend(Arc::clone(&well), Arc::clone(&asked));
    let steady = backend(Arc::new(AtomicBool::new(true)), Arc::default());
    let policy = check(HealthProbe::Http {
        path: "/healthz".into(),
        hostname: Some("shop.example".into()),
        add_headers: Vec::new(),
        remove_headers: Vec::new(),
        expected: vec![StatusRange { min: 204, max: 204 }],
    });
    let reference = service("checked", 80);
    let upstream = Upstream::Service(reference.clone());
    let gateway = Gateway::start(vec![route_with("/", upstream, policy)]);
    gateway.publish_endpoints(&reference, &[flipping.address, steady.address]);
    for _ in 0..4 {
        assert_eq!(status(&gateway.get("/")), "200");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "both take their turn");
    for _ in 0..2 {
        well.store(false, Ordering::SeqCst);
        wait_for("one to be ill", || healthy(&gateway) == "1");
        let before = asked.load(Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(status(&gateway.get("/")), "200");
        }
        assert_eq!(asked.load(Ordering::SeqCst), before);
        well.store(true, Ordering::SeqCst);
        wait_for("both to be well", || healthy(&gateway) == "2");
        for _ in 0..4 {
            gateway.get("/");
        }
        assert!(asked.load(Ordering::SeqCst) > before);
    }
}

#[test]
fn a_grpc_service_says_whether_it_serves() {
    // 1 is SERVING, 2 is NOT_SERVING.
    for (answer, expected) in [(1, "2"), (2, "0")] {
        let backend = || {
            crate::http2_upstreams::H2::start(100, move |request, mut respond, _| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.uri().authority().map(|a| a.as_str()), Some("quote"));
                let mut body = request.into_body();
                let mut message = Vec::new();
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                    message.extend_from_slice(&data);
                }
                assert_eq!(message, [0, 0, 0, 0, 5, 0x0a, 3, b's', b'v', b'c']);
                let head = http::Response::new(());
                let mut stream = respond.send_response(head, false).expect("sends");
                stream.send_data(vec![0, 0, 0, 0, 2, 8, answer].into(), false).expect("sends");
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                stream.send_trailers(trailers).expect("sends");
            })
        };
        let (a, b) = (backend(), backend());
        let grpc = HealthProbe::Grpc { service: "svc".into(), authority: Some("quote".into()) };
        let reference = service("grpc", 80);
        let upstream = Upstream::Service(reference.clone());
        let gateway = Gateway::start(vec![route_with("/", upstream, check(grpc))]);
        gateway.publish_endpoints(&reference, &[a.address, b.address]);
        gateway.get("/");
        wait_for("the checks", || healthy(&gateway) == expected && a.streams() > 4);
    }
}
