//! Policies as users write them.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::admin::redact;
use crate::model::policy::BalanceMethod;
use crate::model::policy::{
    CircuitBreaker, Cors, HashSource, HealthCheck, HealthProbe, Keepalive, Limit, LoadBalancer,
    OutlierDetection, Priority, RetryOn, RetryPolicy,
};

/// Milliseconds, rounded down; no limit is 0, as it is written.
pub(super) fn milliseconds(limit: Option<Duration>) -> Json {
    let limit = limit.map_or(0, |limit| limit.as_millis());
    u64::try_from(limit).unwrap_or(u64::MAX).into()
}

/// The same of what may be open: `null`.
pub(super) fn limit(limit: Option<Limit>) -> Json {
    limit.map_or(Json::Null, |limit| milliseconds(limit.duration()))
}

/// `1.5s`.
fn span(duration: Duration) -> Json {
    format!("{}s", duration.as_secs_f64()).into()
}

fn texts<T: AsRef<str>>(list: &[T]) -> Json {
    list.iter().map(|text| text.as_ref()).collect()
}

/// `default` or `high`.
pub(super) fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Default => "default",
        Priority::High => "high",
    }
}

/// `retry_policy`.
pub(super) fn retry(retry: &RetryPolicy) -> Json {
    let on: Vec<&str> = retry.on.iter().map(|on| retry_on(*on)).collect();
    let mut shown = json!({ "retry_on": on.join(","), "num_retries": retry.attempts });
    if let Some(timeout) = retry.per_try_timeout {
        shown["per_try_timeout"] = span(timeout);
    }
    if !retry.status_codes.is_empty() {
        shown["retriable_status_codes"] = json!(retry.status_codes);
    }
    shown["retry_back_off"] = json!({
        "base_interval": span(retry.back_off.base),
        "max_interval": span(retry.back_off.max),
    });
    shown
}

fn retry_on(on: RetryOn) -> &'static str {
    match on {
        RetryOn::ServerError => "5xx",
        RetryOn::GatewayError => "gateway-error",
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::Retriable4xx => "retriable-4xx",
        RetryOn::RefusedStream => "refused-stream",
        RetryOn::RetriableStatusCodes => "retriable-status-codes",
    }
}

/// `cors`, without what is empty.
pub(super) fn cors(cors: &Cors) -> Json {
    let methods: Vec<&str> = cors.methods.iter().map(http::Method::as_str).collect();
    let exposed: Vec<&str> = cors.exposed_headers.iter().map(http::HeaderName::as_str).collect();
    let mut shown = Map::new();
    let mut add = |name: &str, value: Json| {
        if value.as_array().is_none_or(|list| !list.is_empty()) {
            shown.insert(name.to_owned(), value);
        }
    };
    add("origins", texts(&cors.origins));
    add("methods", texts(&methods));
    add("headers", texts(&cors.headers));
    add("exposed_headers", texts(&exposed));
    add("credentials", cors.credentials.into());
    if let Some(age) = &cors.max_age {
        add("max_age", (&**age).into());
    }
    shown.into()
}

/// One of `circuit_breakers`.
pub(super) fn circuit_breaker(breaker: &CircuitBreaker) -> Json {
    json!({
        "priority": priority(breaker.priority),
        "max_connections": breaker.max_connections,
        "max_pending_requests": breaker.max_pending_requests,
        "max_requests": breaker.max_requests,
        "max_retries": breaker.max_retries,
    })
}

/// `load_balancer`; endpoints take turns where there is none.
pub(super) fn load_balancer(balancer: Option<&LoadBalancer>) -> Json {
    let Some(LoadBalancer { method, affinity }) = balancer else {
        return json!({ "policy": "round_robin" });
    };
    let policy = match method {
        BalanceMethod::RoundRobin => "round_robin",
        BalanceMethod::LeastRequest => "least_request",
        BalanceMethod::RingHash => "ring_hash",
        BalanceMethod::Maglev => "maglev",
    };
    let mut shown = json!({ "policy": policy });
    match affinity.as_ref().map(|affinity| &affinity.source) {
        Some(HashSource::Cookie { name, path, ttl }) => {
            let mut cookie = json!({ "name": &**name });
            if let Some(path) = path {
                cookie["path"] = (&**path).into();
            }
            if let Some(ttl) = ttl {
                cookie["ttl"] = span(*ttl);
            }
            shown["cookie"] = cookie;
        }
        Some(HashSource::Header(name)) => shown["header"] = name.as_str().into(),
        Some(HashSource::SourceIp) => shown["source_ip"] = true.into(),
        None => {}
    }
    shown
}

/// `keepalive`, without what is the kernel's.
pub(super) fn keepalive(keepalive: &Keepalive) -> Json {
    let mut shown = Map::new();
    let seconds = |duration: Duration| Json::from(duration.as_secs());
    let values = [
        ("probes", keepalive.probes.map(Json::from)),
        ("idle_time", keepalive.idle.map(seconds)),
        ("interval", keepalive.interval.map(seconds)),
    ];
    for (name, value) in values {
        shown.extend(value.map(|value| (name.to_owned(), value)));
    }
    shown.into()
}

/// One of `health_checks`.
pub(super) fn health_check(check: &HealthCheck) -> Json {
    json!({
        "timeout": span(check.timeout),
        "interval": span(check.interval),
        "unhealthy_threshold": check.unhealthy_threshold,
        "healthy_threshold": check.healthy_threshold,
        "health_check": probe(&check.probe),
    })
}

fn probe(probe: &HealthProbe) -> Json {
    match probe {
        HealthProbe::Http { path, hostname, add_headers, remove_headers, expected } => {
            let value = |name: &http::HeaderName, value: &http::HeaderValue| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), Json::from(redact::shown(name.as_str(), text)))
            };
            let added: Map<String, Json> =
                add_headers.iter().map(|(name, text)| value(name, text)).collect();
            let removed: Vec<&str> = remove_headers.iter().map(http::HeaderName::as_str).collect();
            let ranges = expected.iter().map(|range| json!({ "min": range.min, "max": range.max }));
            json!({ "http": {
                "path": &**path,
                "hostname": hostname.as_deref(),
                "add_request_headers": added,
                "remove_request_headers": removed,
                "expected_statuses": ranges.collect::<Json>(),
            } })
        }
        HealthProbe::Grpc { service, authority } => json!({ "grpc": {
            "upstream_name": &**service,
            "authority": authority.as_deref(),
        } }),
    }
}

/// `outlier_detection`.
pub(super) fn outlier_detection(detection: &OutlierDetection) -> Json {
    json!({
        "consecutive_5xx": detection.consecutive_5xx,
        "consecutive_gateway_failure": detection.consecutive_gateway_failure,
        "interval": span(detection.interval),
        "base_ejection_time": span(detection.base_ejection_time),
        "max_ejection_time": span(detection.max_ejection_time),
        "max_ejection_percent": detection.max_ejection_percent,
    })
}
