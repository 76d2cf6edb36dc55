//! Active health checks: in a thread of their own, once for all workers.
//!
//! An endpoint is taken to be well until a check says otherwise; the first checks begin with the
//! first request of its cluster. Endpoints of a cluster that nobody uses aren't asked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dial::dial;
use super::members::Endpoint;
use super::state::ClusterState;
use crate::model::policy::{HealthCheck, HealthProbe, StatusRange};
use crate::proxy::connection::LocalExecutor;

/// Envoy's name for itself when it asks.
const USER_AGENT: HeaderValue = HeaderValue::from_static("Envoy/HC");

/// Of an answer's body nothing matters that is longer.
const MAX_BODY: usize = 64 * 1024;

/// `grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING`, as field 1.
const SERVING: &[u8] = &[0x08, 0x01];

type Body = Full<Bytes>;

/// A handle to the thread; it ends with the last one.
#[derive(Debug)]
pub(super) struct HealthChecker {
    clusters: mpsc::UnboundedSender<Weak<ClusterState>>,
}

impl HealthChecker {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (clusters, mut asked) = mpsc::unbounded_channel::<Weak<ClusterState>>();
        std::thread::Builder::new().name("health".into()).spawn(move || {
            let mut builder = Builder::new_current_thread();
            let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(%error, "no health checks: their runtime can't be built");
                    return;
                }
            };
            runtime.block_on(async move {
                let mut tasks = JoinSet::new();
                while let Some(state) = asked.recv().await {
                    while tasks.try_join_next().is_some() {}
                    let checks = state.upgrade().and_then(|one| checks_of(&one));
                    for (number, check) in (0..).zip(checks.iter().flat_map(|all| all.iter())) {
                        tasks.spawn_local(follow(Weak::clone(&state), check.clone(), number));
                    }
                }
            });
        })?;
        Ok(Self { clusters })
    }

    /// Checks a cluster's endpoints for as long as somebody holds its state.
    pub(super) fn follow(&self, state: &Arc<ClusterState>) {
        if checks_of(state).is_some() && self.clusters.send(Arc::downgrade(state)).is_err() {
            tracing::error!("no health checks: their thread has ended");
        }
    }
}

fn checks_of(state: &ClusterState) -> Option<Arc<[HealthCheck]>> {
    state.cluster.policy.health_checks.clone()
}

/// How an endpoint has done in one check.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Record {
    successes: u32,
    failures: u32,
}

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It says that it is well.
    Well,
    /// It says that it isn't.
    Ill,
    /// It says nothing of use, or nothing in time.
    Silent,
}

impl Record {
    /// Takes an outcome in; says what is known then, if it is enough to say anything. As in Envoy
    /// the threshold is for what may be the network's fault: who says that he is ill is believed.
    fn note(&mut self, outcome: Outcome, check: &HealthCheck) -> Option<bool> {
        if outcome == Outcome::Well {
            *self = Self { successes: self.successes.saturating_add(1), failures: 0 };
            return (self.successes >= check.healthy_threshold).then_some(true);
        }
        *self = Self { successes: 0, failures: self.failures.saturating_add(1) };
        let is_enough = outcome == Outcome::Ill || self.failures >= check.unhealthy_threshold;
        is_enough.then_some(false)
    }
}

async fn follow(state: Weak<ClusterState>, check: HealthCheck, number: u32) {
    let check = Arc::new(check);
    let mut records: hashbrown::HashMap<std::net::SocketAddr, Record> = hashbrown::HashMap::new();
    loop {
        let Some(state) = state.upgrade() else { return };
        let mut probes = JoinSet::new();
        let endpoints = state.endpoints();
        records.retain(|address, _| endpoints.iter().any(|one| one.address == *address));
        // The state is made before its first endpoints are known: don't wait a whole interval.
        let pause = if endpoints.is_empty() { Duration::from_millis(50) } else { check.interval };
        for endpoint in endpoints {
            let (state, check) = (Arc::clone(&state), Arc::clone(&check));
            probes.spawn_local(async move {
                let asking = ask(&state, &endpoint, &check);
                let outcome = tokio::time::timeout(check.timeout, asking).await;
                let outcome = match outcome {
                    Ok(Some(true)) => Outcome::Well,
                    Ok(Some(false)) => Outcome::Ill,
                    Ok(None) | Err(_) => Outcome::Silent,
                };
                (endpoint, outcome)
            });
        }
        while let Some(outcome) = probes.join_next().await {
            let Ok((endpoint, outcome)) = outcome else { continue };
            let record = records.entry(endpoint.address).or_default();
            if let Some(well) = record.note(outcome, &check) {
                state.set_health(&endpoint, number, well);
            }
        }
        drop(state);
        tokio::time::sleep(pause).await;
    }
}

/// Whether an endpoint says that it is well; `None` where it says nothing of use.
async fn ask(state: &ClusterState, endpoint: &Endpoint, check: &HealthCheck) -> Option<bool> {
    let (stream, _) = dial(state, endpoint.address, check.timeout).await.ok()?;
    let grpc = matches!(check.probe, HealthProbe::Grpc { .. });
    let http2 = grpc || state.cluster.policy.http2 == Some(true);
    let request = build_request(state, &check.probe, http2)?;
    let mut driver = JoinSet::new();
    let response = if http2 {
        let (mut sender, connection) =
            http2::handshake::<_, _, Body>(LocalExecutor, TokioIo::new(stream)).await.ok()?;
        driver.spawn_local(async move { drop(connection.await) });
        sender.send_request(request).await.ok()?
    } else {
        let (mut sender, connection) =
            http1::handshake::<_, Body>(TokioIo::new(stream)).await.ok()?;
        driver.spawn_local(async move { drop(connection.await) });
        sender.send_request(request).await.ok()?
    };
    match &check.probe {
        HealthProbe::Http { expected, .. } => Some(is_expected(response.status(), expected)),
        HealthProbe::Grpc { .. } => is_serving(response).await,
    }
}

fn is_expected(status: StatusCode, expected: &[StatusRange]) -> bool {
    if expected.is_empty() {
        return status == StatusCode::OK;
    }
    expected.iter().any(|range| (range.min..=range.max).contains(&status.as_u16()))
}

/// The answer is one message, `status = SERVING`, and no error in the trailers.
async fn is_serving(response: Response<Incoming>) -> Option<bool> {
    let refused = |headers: &http::HeaderMap| {
        headers.get("grpc-status").is_some_and(|status| status.as_bytes() != b"0")
    };
    if response.status() != StatusCode::OK || refused(response.headers()) {
        return Some(false);
    }
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await.ok()?;
    let ended_well = !body.trailers().is_some_and(refused);
    let bytes = body.to_bytes();
    // One byte says whether it is compressed, four how long it is.
    let message = bytes.get(5..)?;
    Some(ended_well && message == SERVING)
}

fn build_request(
    state: &ClusterState,
    probe: &HealthProbe,
    http2: bool,
) -> Option<Request<Full<Bytes>>> {
    let scheme = if state.client.is_some() { "https" } else { "http" };
    let own = state.cluster.upstream.authority();
    let (host, path, body) = match probe {
        HealthProbe::Http { path, hostname, .. } => (hostname, &**path, Bytes::new()),
        HealthProbe::Grpc { service, authority } => {
            (authority, "/grpc.health.v1.Health/Check", encode_check(service))
        }
    };
    let host = host.as_deref().unwrap_or(&own);
    let mut request = Request::new(Full::new(body));
    if http2 {
        *request.uri_mut() = format!("{scheme}://{host}{path}").parse().ok()?;
        *request.version_mut() = Version::HTTP_2;
    } else {
        *request.uri_mut() = path.parse().ok()?;
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(host).ok()?);
    }
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, USER_AGENT);
    match probe {
        HealthProbe::Http { add_headers, remove_headers, .. } => {
            for (name, value) in add_headers {
                headers.append(name, value.clone());
            }
            for name in remove_headers {
                headers.remove(name);
            }
        }
        HealthProbe::Grpc { .. } => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            *request.method_mut() = Method::POST;
        }
    }
    Some(request)
}

/// A `HealthCheckRequest` in gRPC's framing: field 1 is the service's name.
fn encode_check(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 4);
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or_default());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or_default();
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_what_comes_in_a_row() {
        let check = HealthCheck {
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            unhealthy_threshold: 2,
            healthy_threshold: 3,
            probe: HealthProbe::Grpc { service: "".into(), authority: None },
        };
        let mut record = Record::default();
        use Outcome::{Ill, Silent, Well};
        for (outcome, said) in [
            (Silent, None),
            (Well, None),
            (Silent, None),
            (Silent, Some(false)),
            (Well, None),
            (Well, None),
            (Well, Some(true)),
            (Ill, Some(false)),
            (Well, None),
            (Silent, None),
        ] {
            assert_eq!(record.note(outcome, &check), said, "{outcome:?} {record:?}");
        }
    }

    #[test]
    fn messages_are_framed() {
        assert_eq!(encode_check("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(encode_check("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = encode_check(&"x".repeat(200));
        assert_eq!(long[5..8], [0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn statuses_are_expected() {
        let range = [StatusRange { min: 200, max: 299 }];
        assert!(is_expected(StatusCode::OK, &[]) && !is_expected(StatusCode::NO_CONTENT, &[]));
        assert!(is_expected(StatusCode::NO_CONTENT, &range));
        assert!(!is_expected(StatusCode::SERVICE_UNAVAILABLE, &range));
    }
}
