//! The admin port (8877): health, metrics, diagnostics, explanations, the log level.
//!
//! Reads only; what it can change is the log level. Diagnostics are for localhost unless allowed.

pub mod certificate;
mod describe;
pub mod diagnostics;
pub mod explain;
mod health;
mod inventory;
mod metrics;
mod overload;
mod page;
mod redact;
mod replication;
#[cfg(test)]
mod tests;
pub mod values;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::controller::rebuild::Built;
use crate::controller::replicas::PATH;
use crate::proxy::overload::Overload;
use crate::telemetry::logging::{Level, LevelError, LogLevel};
use crate::telemetry::timings::Timings;

pub use health::{Health, NotReady};
pub use replication::Replication;

/// No answer here takes longer, ten thousand objects included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Nothing here reads a body.
const BODY_LIMIT: usize = 16 * 1024;
/// Emissary's answer where there is nothing, or nothing for you.
const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "Not found\n");

/// Text that is asked for at every scrape.
pub type Rendered = Arc<dyn Fn() -> String + Send + Sync>;
/// The states of the sources now.
pub type SourceStates = Arc<dyn Fn() -> Vec<SourceState> + Send + Sync>;

/// How one source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The source or collection.
    pub name: String,
    /// Its state in words.
    pub state: String,
    /// What that means for the gateway.
    pub concern: Concern,
}

/// What a source's state means for the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// It is as it should be.
    Fine,
    /// Something is missing, and the gateway serves without it.
    Degraded,
    /// What is served may be wrong: no request should come here.
    Blocking,
}

/// Who this gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The program's version.
    pub version: String,
    /// `AMBASSADOR_ID`.
    pub ambassador_id: String,
    /// `AMBASSADOR_CLUSTER_ID`.
    pub cluster_id: String,
    /// `AMBASSADOR_NAMESPACE`.
    pub namespace: String,
    /// Whether only that namespace is watched.
    pub single_namespace: bool,
    /// The pod's name.
    pub hostname: String,
}

/// Read handles on all that the admin port shows.
pub struct Admin {
    /// Liveness and readiness.
    pub health: Arc<Health>,
    /// The configuration that is served.
    pub built: watch::Receiver<Arc<Built>>,
    /// The proxy's metrics, once it runs.
    pub proxy_metrics: OnceLock<Rendered>,
    /// The memory, and what is shed for it.
    pub overload: Arc<Overload>,
    /// The sources.
    pub sources: SourceStates,
    /// What changes cost.
    pub timings: Arc<Timings>,
    /// The log level, which can be changed from here.
    pub log_level: LogLevel,
    /// Who this gateway is.
    pub identity: Identity,
    /// This replica among the others.
    pub replication: Replication,
    /// What the process was told that decides effective values.
    pub process: values::Process,
    /// Whether others than localhost see the diagnostics (Emissary:
    /// `diagnostics.allow_non_local`).
    pub allow_non_local: bool,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("identity", &self.identity).finish_non_exhaustive()
    }
}

type Shared = State<Arc<Admin>>;

/// All routes of the admin port.
pub fn router(admin: Arc<Admin>) -> Router {
    let diagnostics = Router::new()
        .route("/ambassador/v0/diag", get(diag))
        .route("/ambassador/v0/diag/", get(diag))
        .route("/ambassador/v0/diag/explain", get(explain_request))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&admin), allowed_or_local));
    let log_level = Router::new()
        .route("/ambassador/v0/loglevel", post(set_log_level))
        .route_layer(middleware::from_fn(only_local));
    Router::new()
        .route("/ambassador/v0/check_alive", get(|| async { health::check_alive() }))
        .route(
            "/ambassador/v0/check_ready",
            get(|State(admin): Shared| async move { health::check_ready(&admin.health) }),
        )
        .route("/metrics", get(render_metrics))
        .route(PATH, get(replication::stream_served))
        .merge(diagnostics)
        .merge(log_level)
        .fallback(|| async { NOT_FOUND })
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .with_state(admin)
}

/// Serves the admin port until told to stop.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> io::Result<()> {
    let service = router(admin).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Whether a request comes from this host. One that a proxy passed on doesn't, although its peer
/// is: a Mapping to `localhost:8877` is the usual way to expose the metrics.
fn is_local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().to_canonical().is_loopback()
        && !headers.contains_key("x-forwarded-for")
        && !headers.contains_key(header::FORWARDED)
}

async fn allowed_or_local(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match admin.allow_non_local || is_local(peer, request.headers()) {
        true => next.run(request).await,
        false => NOT_FOUND.into_response(),
    }
}

async fn only_local(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match is_local(peer, request.headers()) {
        true => next.run(request).await,
        false => NOT_FOUND.into_response(),
    }
}

async fn render_metrics(State(admin): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&admin))
}

/// The parameters of a query, in order.
type Parameters = Query<Vec<(String, String)>>;

fn parameter<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `/ambassador/v0/diag/`: HTML, or JSON with `?json=true`. As Emissary's it changes the log
/// level by `?loglevel=`, but for localhost only.
async fn diag(
    State(admin): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Response {
    if let Some(level) = parameter(&parameters, "loglevel") {
        if !is_local(peer, &headers) {
            return (StatusCode::FORBIDDEN, "Forbidden\n").into_response();
        }
        if let Err(error) = change_level(&admin, level) {
            return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
        }
    }
    let page = diagnostics::build_page(&admin);
    match parameter(&parameters, "json") {
        Some("true" | "1") => Json(page).into_response(),
        _ => Html(page::render(&page)).into_response(),
    }
}

/// `POST /ambassador/v0/loglevel?level=debug`.
async fn set_log_level(State(admin): Shared, parameters: Parameters) -> Response {
    match change_level(&admin, parameter(&parameters, "level").unwrap_or_default()) {
        Ok(()) => format!("{}\n", admin.log_level.get()).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

fn change_level(admin: &Admin, level: &str) -> Result<(), LevelError> {
    let level: Level = level.parse()?;
    admin.log_level.set(level);
    tracing::info!(%level, "log level changed");
    Ok(())
}

/// `/ambassador/v0/diag/explain?method=GET&url=http://host/path&header=Name:%20value`.
async fn explain_request(State(admin): Shared, parameters: Parameters) -> Response {
    let headers: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| name == "header")
        .map(|(_, value)| value.clone())
        .collect();
    let method = parameter(&parameters, "method").unwrap_or("GET");
    let url = parameter(&parameters, "url").unwrap_or_default();
    let built = Arc::clone(&admin.built.borrow());
    let served = explain::Served {
        table: &built.table,
        build: &built.build,
        process: admin.process,
        now: seconds_now(),
    };
    match explain::Question::parse(method, url, &headers) {
        Ok(question) => Json(explain::explain(&served, &question)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// The wall clock, in seconds since 1970.
pub fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
