//! The API server's other question: the same objects in another version. The answer is
//! [`convert`](crate::convert), over HTTP and within bounds.
//!
//! Where the admission webhook turns away what is too much, this one lets it wait: an object that
//! isn't converted can't be read, and with it the list that it is in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request as HttpRequest, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::convert::{ConvertError, Version, convert, of_kind};
use crate::crd::CONVERSION_PATH;

/// The API server takes objects of up to 3 MiB, and asks for each that it reads; of a list it may
/// ask for several at once.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// KiB of bodies that are held at a time; what comes beyond waits.
const HELD: u32 = 32 * 1024;
/// The API server sends a body at once. Who takes longer keeps room from others.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// The API server gives up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(25);
/// The kind of review that is answered.
const REVIEW: (&str, &str) = ("apiextensions.k8s.io/v1", "ConversionReview");

/// What every request shares.
struct Bounds {
    /// One permit a KiB.
    held: Semaphore,
    /// Builds and status share the threads: one at a time.
    turn: Semaphore,
}

/// What the API server asks.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(rename = "apiVersion", borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(rename = "desiredAPIVersion", borrow)]
    desired: Cow<'a, str>,
    /// Read one by one: as text a list takes a tenth of the memory.
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

/// What it is told.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    response: Reply<'a>,
}

#[derive(Serialize)]
struct Reply<'a> {
    uid: Cow<'a, str>,
    result: Outcome,
    #[serde(rename = "convertedObjects")]
    objects: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(tag = "status")]
enum Outcome {
    Success,
    Failure { message: String, reason: &'static str },
}

/// The route of the conversion webhook.
pub(super) fn router() -> Router {
    let held = Semaphore::new(HELD as usize);
    let bounds = Arc::new(Bounds { held, turn: Semaphore::new(1) });
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
    let _permit = bounds.held.acquire_many(room_for(request.headers())).await;
    next.run(request).await
}

/// How many KiB a request may need: what it says, and without that as much as is allowed. What
/// says more than that is refused without being read.
fn room_for(headers: &HeaderMap) -> u32 {
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = said.unwrap_or(BODY_LIMIT).min(BODY_LIMIT);
    u32::try_from(bytes / 1024 + 1).unwrap_or(HELD)
}

async fn answer(State(bounds): State<Arc<Bounds>>, request: HttpRequest) -> Response {
    let body = match timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
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

fn read(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    let review: Question<'_> = serde_json::from_slice(body)?;
    if (&*review.api_version, &*review.kind) != REVIEW {
        return Err(Unreadable::OtherKind);
    }
    review.request.ok_or(Unreadable::NoRequest)
}

/// All objects in the order of the question, or none and the name of the one to blame.
fn review(request: Request<'_>) -> Answer<'_> {
    let (result, objects) = match convert_all(&request.objects, &request.desired) {
        Ok(objects) => (Outcome::Success, objects),
        Err(message) => {
            tracing::warn!(error = message, "objects can't be converted");
            (Outcome::Failure { message, reason: "Invalid" }, Vec::new())
        }
    };
    let response = Reply { uid: request.uid, result, objects };
    Answer { api_version: REVIEW.0, kind: REVIEW.1, response }
}

fn convert_all(objects: &[&RawValue], desired: &str) -> Result<Vec<Box<RawValue>>, String> {
    let to = Version::parse(desired).map_err(|error| error.to_string())?;
    objects.iter().map(|object| convert_one(object, to)).collect()
}

fn convert_one(object: &RawValue, to: Version) -> Result<Box<RawValue>, String> {
    // It was found to be JSON, so that only its nesting can be too much.
    let Ok(object) = serde_json::from_str::<Value>(object.get()) else {
        return relabel(object, to).map_err(|error| error.to_string());
    };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let named = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join(" ");
    let converted = convert(object, to).map_err(|error| format!("{named}: {error}"))?;
    to_raw_value(&converted).map_err(|error| format!("{named}: {error}"))
}

/// An object that is nested so deeply that nobody reads it: it keeps all that it says as it is,
/// and is told so by the gateway. It must not hide the others of its list.
fn relabel(object: &RawValue, to: Version) -> Result<Box<RawValue>, ConvertError> {
    let mut fields: BTreeMap<&str, Cow<'_, RawValue>> =
        serde_json::from_str(object.get()).map_err(|_| ConvertError::NoObject)?;
    let text = |name: &str| {
        let field = fields.get(name).and_then(|value| serde_json::from_str(value.get()).ok());
        field.ok_or(ConvertError::NoObject)
    };
    let (version, kind): (String, String) = (text("apiVersion")?, text("kind")?);
    Version::parse(&version)?;
    of_kind(&kind).ok_or(ConvertError::UnknownKind(kind))?;
    let version = to_raw_value(&to.api_version()).map_err(|_| ConvertError::NoObject)?;
    fields.insert("apiVersion", Cow::Owned(version));
    to_raw_value(&fields).map_err(|_| ConvertError::NoObject)
}

#[cfg(test)]
#[path = "conversion_tests.rs"]
mod tests;
