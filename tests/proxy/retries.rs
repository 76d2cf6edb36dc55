//! Retry policies: what is sent again, how often, and what bounds it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nuncio::model::cluster::Upstream;
use nuncio::model::policy::{
    CircuitBreaker, ClusterPolicy, Limit, Priority, RetryBackOff, RetryOn, RetryPolicy,
};
use nuncio::model::route::Route;

use crate::support::{
    Backend, Gateway, connect, options, read_all, read_head, route, route_with, service, status,
};

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
const EMPTY: &[u8] = b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n";

fn policy(on: RetryOn, attempts: u32) -> RetryPolicy {
    RetryPolicy {
        on: vec![on],
        status_codes: vec![418],
        attempts,
        per_try_timeout: None,
        back_off: RetryBackOff { base: Duration::from_millis(1), max: Duration::from_millis(2) },
    }
}

fn retrying(upstream: Upstream, retry: RetryPolicy) -> Route {
    let mut route = route("/", upstream);
    Arc::make_mut(&mut route.policy).retry = Some(Arc::new(retry));
    route
}

/// A backend that gives each request the next of the answers, and the last one for ever.
fn answering(answers: &'static [&'static [u8]]) -> (Backend, Arc<AtomicUsize>) {
    let count: Arc<AtomicUsize> = Arc::default();
    let seen = Arc::clone(&count);
    let backend = Backend::start(move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let length = crate::support::header(&head, "content-length");
            let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap_or(0))];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers[number.min(answers.len() - 1)];
            if answer.is_empty() || stream.write_all(answer).is_err() {
                return;
            }
            if answer.ends_with(b"ECHO") && stream.write_all(&body).is_err() {
                return;
            }
        }
    });
    (backend, seen)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn outcomes_that_are_named_are_tried_again() {
    const TEAPOT: &[u8] = b"HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n";
    const CONFLICT: &[u8] = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n";
    const ERROR: &[u8] = b"HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n";
    let cases: [(RetryOn, &'static [&'static [u8]], &str, usize); 10] = [
        (RetryOn::ServerError, &[ERROR, UNAVAILABLE, OK], "200", 3),
        (RetryOn::ServerError, &[b"", OK], "200", 2),
        (RetryOn::ServerError, &[ERROR], "500", 4),
        (RetryOn::GatewayError, &[EMPTY, OK], "200", 2),
        (RetryOn::GatewayError, &[ERROR, OK], "500", 1),
        (RetryOn::Retriable4xx, &[CONFLICT, OK], "200", 2),
        (RetryOn::Retriable4xx, &[TEAPOT, OK], "418", 1),
        (RetryOn::RetriableStatusCodes, &[TEAPOT, OK], "200", 2),
        (RetryOn::RetriableStatusCodes, &[ERROR, OK], "500", 1),
        (RetryOn::ConnectFailure, &[EMPTY, OK], "503", 1),
    ];
    for (on, answers, expected, count) in cases {
        let (backend, seen) = answering(answers);
        let route = retrying(Upstream::Address(backend.address), policy(on, 3));
        let gateway = Gateway::start(vec![route]);
        let answer = gateway.get("/");
        assert_eq!((status(&answer), seen.load(Ordering::SeqCst)), (expected, count), "{on:?}");
    }
}

#[test]
fn bodies_are_sent_again_as_long_as_they_are_short() {
    const ECHO: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\nx: ECHO\r\n\r\nECHO";
    for (length, expected, count) in [(1000, "200", 2), (200_000, "503", 1)] {
        let (backend, seen) = answering(&[UNAVAILABLE, ECHO]);
        let route = retrying(Upstream::Address(backend.address), policy(RetryOn::ServerError, 2));
        let gateway = Gateway::start(vec![route]);
        let body = "b".repeat(length);
        let answer = gateway.ask(&format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n\
             {body}"
        ));
        assert_eq!(status(&answer), expected, "{length}");
        assert_eq!(seen.load(Ordering::SeqCst), count, "{length}");
        assert_eq!(answer.matches('b').count() >= length, expected == "200", "{length}");
    }
}

#[test]
fn another_endpoint_is_preferred() {
    let (bad, bad_seen) = answering(&[UNAVAILABLE]);
    let (good, _) = answering(&[OK]);
    let reference = service("pair", 80);
    let upstream = Upstream::Service(reference.clone());
    let gateway = Gateway::start(vec![retrying(upstream, policy(RetryOn::ServerError, 1))]);
    gateway.publish_endpoints(&reference, &[bad.address, good.address]);
    for _ in 0..20 {
        assert_eq!(status(&gateway.get("/")), "200");
    }
    assert_eq!(bad_seen.load(Ordering::SeqCst), 10);
    let metrics = gateway.proxy.metrics().render();
    for (name, value) in [("rq_retry", 10), ("rq_retry_success", 10), ("rq_retry_overflow", 0)] {
        let line = format!("envoy_cluster_upstream_{name}{{envoy_cluster_name=");
        let line = metrics.lines().find(|one| one.starts_with(&line)).expect("a line");
        assert!(line.ends_with(&format!(" {value}")), "{line}");
    }
}

#[test]
fn a_try_that_takes_too_long_is_given_up() {
    let backend = Backend::start(|mut stream, number| {
        while read_head(&mut stream).is_some() {
            if number == 0 {
                // Never answers; ends with the gateway's patience.
                let _ = stream.read(&mut [0]);
                return;
            }
            let _ = stream.write_all(OK);
        }
    });
    let mut retry = policy(RetryOn::GatewayError, 1);
    retry.per_try_timeout = Some(Duration::from_millis(60));
    let mut route = retrying(Upstream::Address(backend.address), retry.clone());
    Arc::make_mut(&mut route.policy).timeout = Some(Limit::After(Duration::from_secs(8)));
    let gateway = Gateway::start(vec![route.clone()]);
    assert_eq!(status(&gateway.get("/")), "200");
    assert_eq!(backend.count(), 2);

    let silent = Backend::start(|mut stream, _| {
        read_head(&mut stream);
        let _ = stream.read(&mut [0]);
    });
    let mut route = retrying(Upstream::Address(silent.address), retry);
    Arc::make_mut(&mut route.policy).timeout = Some(Limit::Unlimited);
    let gateway = Gateway::start(vec![route]);
    let answer = gateway.get("/");
    assert_eq!(status(&answer), "504", "{answer}");
    assert_eq!(silent.count(), 2);
    assert!(gateway.log_lines(1)[0].contains("504 UT"));
}

#[test]
fn an_outage_is_not_multiplied() {
    // Everything fails; the upstream holds each request until all have come, so that all retries
    // are wanted at once.
    const CLIENTS: usize = 60;
    let seen: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&seen);
    let backend = Backend::start(move |mut stream, _| {
        while read_head(&mut stream).is_some() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let held = || number < CLIENTS && count.load(Ordering::SeqCst) < CLIENTS;
            while held() {
                std::thread::yield_now();
            }
            if stream.write_all(EMPTY).is_err() {
                return;
            }
        }
    });
    let most = CLIENTS + CLIENTS * 10;
    for breaker in
        [None, Some(CircuitBreaker { max_retries: 1, ..CircuitBreaker::of(Priority::Default) })]
    {
        seen.store(0, Ordering::SeqCst);
        let cluster = ClusterPolicy {
            circuit_breakers: breaker.map(|one| [one].into()),
            ..ClusterPolicy::default()
        };
        let mut route = route_with("/", Upstream::Address(backend.address), cluster);
        let mut retry = policy(RetryOn::ServerError, 10);
        retry.back_off = RetryBackOff { base: Duration::from_secs(1), max: Duration::from_secs(1) };
        Arc::make_mut(&mut route.policy).retry = Some(Arc::new(retry));
        Arc::make_mut(&mut route.policy).timeout = Some(Limit::After(Duration::from_millis(300)));
        let mut options = options();
        options.workers = 2;
        let gateway = Gateway::with(options, vec![route]);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut stream = connect(gateway.address());
                let get = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                stream.write_all(get).expect("writes");
                stream
            })
            .collect();
        for mut client in clients {
            assert!(["503", "504"].contains(&status(&read_all(&mut client))));
        }
        let metrics = gateway.proxy.metrics().render();
        let line = metrics.lines().find(|one| one.starts_with("envoy_cluster_upstream_rq_retry{"));
        let retries: usize =
            line.and_then(|line| line.rsplit(' ').next()).expect("a line").parse().expect("whole");
        let sent = seen.load(Ordering::SeqCst);
        assert!(sent < most / 4, "{sent} requests for {CLIENTS} clients");
        // A fifth of what is under way, or what the author wrote.
        let bound = if breaker.is_some() { 4 } else { CLIENTS / 5 + 8 };
        assert!(retries <= bound && retries > 0, "{retries} retries, {breaker:?}");
        assert!(metrics.contains("envoy_cluster_upstream_rq_retry_overflow{"));
    }
}
