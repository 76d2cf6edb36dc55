//! The API server's other question: the same objects in another version. The answer is
//! [`convert`](crate::convert), over HTTP and within bounds.
//!
//! Where the admission webhook turns away what is too much, this one lets it wait: an object that
//! isn't converted can't be read, and with it the list that it is in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use kube::core::Status;
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use serde_json::Value;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::convert::{ConvertError, Version, convert};
use crate::crd::CONVERSION_PATH;

/// The API server takes objects of up to 3 MiB, and asks for each that it reads; of a list it may
/// ask for several at once.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Requests whose bodies are held at a time; the others wait.
const IN_FLIGHT: usize = 16;
/// The API server gives up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(25);
/// The kind of review that is answered.
const REVIEW: (&str, &str) = ("apiextensions.k8s.io/v1", "ConversionReview");

/// What every request shares.
struct Bounds {
    in_flight: Semaphore,
    /// Builds and status share the threads: one at a time.
    turn: Semaphore,
}

/// The route of the conversion webhook.
pub(super) fn router() -> Router {
    let bounds = Arc::new(Bounds { in_flight: Semaphore::new(IN_FLIGHT), turn: Semaphore::new(1) });
    Router::new()
        .route(CONVERSION_PATH, post(answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&bounds), wait))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .with_state(bounds)
}

async fn wait(State(bounds): State<Arc<Bounds>>, request: HttpRequest, next: Next) -> Response {
    // It is never closed.
    let _permit = bounds.in_flight.acquire().await;
    next.run(request).await
}

async fn answer(State(bounds): State<Arc<Bounds>>, body: Bytes) -> Response {
    let _turn = bounds.turn.acquire().await;
    match read(&body) {
        Ok(request) => Json(review(request)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("this is no ConversionReview of apiextensions.k8s.io/v1: {0}")]
    Json(#[from] serde_json::Error),
    #[error("this is no ConversionReview of apiextensions.k8s.io/v1")]
    OtherKind,
    #[error("this ConversionReview has no request")]
    NoRequest,
}

fn read(body: &[u8]) -> Result<ConversionRequest, Unreadable> {
    let review: ConversionReview = serde_json::from_slice(body)?;
    if (review.types.api_version.as_str(), review.types.kind.as_str()) != REVIEW {
        return Err(Unreadable::OtherKind);
    }
    ConversionRequest::from_review(review).map_err(|_| Unreadable::NoRequest)
}

/// All objects in the order of the question, or none and the name of the one to blame.
fn review(mut request: ConversionRequest) -> ConversionReview {
    let objects = std::mem::take(&mut request.objects);
    let converted = convert_all(objects, &request.desired_api_version);
    let response = ConversionResponse::for_request(request);
    match converted {
        Ok(objects) => response.success(objects),
        Err(message) => {
            tracing::warn!(error = message, "objects can't be converted");
            response.failure(Status::failure(&message, "Invalid"))
        }
    }
    .into_review()
}

fn convert_all(objects: Vec<Value>, desired: &str) -> Result<Vec<Value>, String> {
    let to = Version::parse(desired).map_err(|error| error.to_string())?;
    objects.into_iter().map(|object| convert_one(object, to)).collect()
}

fn convert_one(object: Value, to: Version) -> Result<Value, String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let named = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join(" ");
    convert(object, to).map_err(|error: ConvertError| format!("{named}: {error}"))
}

#[cfg(test)]
#[path = "conversion_tests.rs"]
mod tests;
