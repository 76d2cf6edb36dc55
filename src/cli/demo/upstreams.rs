//! The two upstreams of the demonstration: an echo that answers as httpbin does, and a stand-in
//! for TensorFlow Serving with its well-known test model, `half_plus_two`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

/// Where the upstreams listen. They end with the process.
#[derive(Debug)]
pub(super) struct Upstreams {
    /// Plays httpbin.org.
    pub(super) echo: SocketAddr,
    /// Plays test.kubeflow.
    pub(super) model: SocketAddr,
}

impl Upstreams {
    /// Opens two free ports on localhost and serves them from a thread of their own, so that
    /// what they cost is not the gateway's.
    pub(super) fn start() -> io::Result<Self> {
        let (echo, echo_address) = listen()?;
        let (model, model_address) = listen()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("upstreams".to_owned()).spawn(move || {
            runtime.block_on(async {
                let outcome =
                    tokio::try_join!(serve(echo, build_echo()), serve(model, build_model()));
                if let Err(error) = outcome {
                    tracing::error!(%error, "the upstreams of the demonstration have ended");
                }
            });
        })?;
        Ok(Self { echo: echo_address, model: model_address })
    }
}

fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
}

/// httpbin's `/headers`; for every other path all there is to know of the request.
fn build_echo() -> Router {
    Router::new().fallback(echo)
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let shown = show_headers(&headers);
    if uri.path() == "/headers" {
        return Json(json!({ "headers": shown }));
    }
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    Json(json!({
        "method": method.as_str(),
        "url": format!("http://{host}{uri}"),
        "headers": shown,
        "data": String::from_utf8_lossy(&body),
    }))
}

/// As httpbin shows them: names with capitals, several values joined by a comma.
fn show_headers(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        shown.insert(capitalised(name.as_str()), values.join(",").into());
    }
    Value::Object(shown)
}

fn capitalised(name: &str) -> String {
    let word = |word: &str| {
        let mut characters = word.chars();
        characters.next().map_or(String::new(), |first| {
            first.to_ascii_uppercase().to_string() + characters.as_str()
        })
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn build_model() -> Router {
    // Axum reads `:predict` as text: its parameters stand in braces.
    Router::new()
        .without_v07_checks()
        .route("/model/test/:predict", post(predict).fallback(not_found))
        .fallback(not_found)
}

async fn not_found() -> (StatusCode, Json<Value>) {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "Malformed request" })))
}

/// `{"instances": [x, …]}` → `{"predictions": [x / 2 + 2, …]}`.
async fn predict(body: Bytes) -> Response {
    let wrong = |error: String| (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    if body.is_empty() {
        return Json(json!({ "predictions": [] })).into_response();
    }
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return wrong(format!("JSON Parse error: {error}")).into_response(),
    };
    let instances = request["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    let predictions: Option<Vec<f64>> =
        instances.iter().map(|x| x.as_f64().map(|x| x / 2.0 + 2.0)).collect();
    match predictions {
        Some(predictions) => Json(json!({ "predictions": predictions })).into_response(),
        None => wrong("instances must be numbers".to_owned()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(router: Router, method: &str, path: &str, body: &'static str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "httpbin.org");
        let request = request.header("x-a", "1").header("x-a", "2").body(Body::from(body)).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn the_echo_is_httpbins() {
        let (status, answer) = ask(build_echo(), "GET", "/headers", "").await;
        let headers = json!({ "Host": "httpbin.org", "X-A": "1,2" });
        assert_eq!((status, answer), (200, json!({ "headers": headers })));
        let (_, answer) = ask(build_echo(), "PUT", "/a?b=c", "text").await;
        assert_eq!(answer["method"], "PUT");
        assert_eq!(answer["url"], "http://httpbin.org/a?b=c");
        assert_eq!(answer["data"], "text");
    }

    #[tokio::test]
    async fn the_model_predicts_where_it_is_asked_rightly() {
        let path = "/model/test/:predict";
        let table = [
            ("POST", path, r#"{"instances": [1, 2.0, 5]}"#, 200, json!([2.5, 3.0, 4.5])),
            ("POST", path, "", 200, json!([])),
            ("POST", path, "{", 400, Value::Null),
            ("POST", path, r#"{"instances": ["a"]}"#, 400, Value::Null),
            ("POST", "/model/test/x", "", 404, Value::Null),
            ("POST", "/models/test/", "", 404, Value::Null),
            ("GET", path, "", 404, Value::Null),
        ];
        for (method, path, body, status, predictions) in table {
            let (answered, answer) = ask(build_model(), method, path, body).await;
            assert_eq!(answered, status, "{method} {path} {body}");
            assert_eq!(answer["predictions"], predictions, "{method} {path} {body}");
        }
    }
}
