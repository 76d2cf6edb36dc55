//! The webhook's HTTP side: one path, bounded in size, number and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::review::{Request, ReviewSettings, review};

/// Where the API server posts its questions.
pub(super) const PATH: &str = "/validate";
/// The API server takes objects of up to 3 MiB, and an update comes with the object before.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Requests at a time, those that are still sending included. What is beyond is turned away, which
/// by the default `failurePolicy` lets the object pass.
const IN_FLIGHT: usize = 8;
/// Longer than the API server waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What every request shares.
struct Endpoint {
    settings: ReviewSettings,
    in_flight: Semaphore,
    /// Parsing is work for a processor, and builds and status share its threads: one at a time.
    turn: Semaphore,
}

/// The routes of the webhook.
pub(super) fn router(settings: ReviewSettings) -> Router {
    let endpoint = Arc::new(Endpoint {
        settings,
        in_flight: Semaphore::new(IN_FLIGHT),
        turn: Semaphore::new(1),
    });
    Router::new()
        .route(PATH, post(validate))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&endpoint), limit))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .with_state(endpoint)
}

async fn limit(
    State(endpoint): State<Arc<Endpoint>>,
    request: HttpRequest,
    next: Next,
) -> Response {
    match endpoint.in_flight.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests at a time\n").into_response(),
    }
}

async fn validate(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response {
    // It is never closed.
    let _turn = endpoint.turn.acquire().await;
    match answer(&body, &endpoint.settings) {
        Ok(review) => Json(review).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("this is no AdmissionReview of admission.k8s.io/v1: {0}")]
    Json(#[from] serde_json::Error),
    #[error("this AdmissionReview has no request")]
    NoRequest,
}

fn answer(
    body: &[u8],
    settings: &ReviewSettings,
) -> Result<AdmissionReview<DynamicObject>, Unreadable> {
    let question: AdmissionReview<DynamicObject> = serde_json::from_slice(body)?;
    let request: Request = question.try_into().map_err(|_| Unreadable::NoRequest)?;
    Ok(review(&request, settings).into_review())
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
