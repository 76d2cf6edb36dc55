//! An API server that plays a script, for tests.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock;

/// The API server's side of a client.
pub(crate) struct Server {
    handle: mock::Handle<Request<Body>, Response<Body>>,
}

/// A request that waits for its answer.
pub(crate) struct Call {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    respond: mock::SendResponse<Response<Body>>,
}

/// A client, and the server that it talks to.
pub(crate) fn server() -> (Client, Server) {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    handle.allow(1_000_000);
    (Client::new(service, "default"), Server { handle })
}

impl Server {
    /// The next request; waits for it, for ever once the client is gone.
    pub(crate) async fn next(&mut self) -> Call {
        let Some((request, respond)) = self.handle.next_request().await else {
            std::future::pending::<()>().await;
            unreachable!()
        };
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await.expect("a body in memory");
        Call {
            method: parts.method.to_string(),
            path: parts.uri.to_string(),
            content_type: parts
                .headers
                .get(http::header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            respond,
        }
    }

    /// Whether no request comes for `seconds` of (paused) time.
    pub(crate) async fn is_idle_for(&mut self, seconds: u64) -> bool {
        tokio::time::timeout(std::time::Duration::from_secs(seconds), self.handle.next_request())
            .await
            .is_err()
    }
}

impl Call {
    /// Answers with an object.
    pub(crate) fn ok(self, body: &Value) {
        self.answer(200, body);
    }

    /// Answers with lines of JSON, as a watch does, and ends.
    pub(crate) fn lines(self, lines: impl Iterator<Item = Value>) {
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        self.send(200, text.into_bytes());
    }

    /// Answers with a text.
    pub(crate) fn text(self, code: u16, body: String) {
        self.send(code, body.into_bytes());
    }

    /// Answers with an error.
    pub(crate) fn refuse(self, code: u16, reason: &str, message: &str) {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        self.answer(code, &body);
    }

    fn answer(self, code: u16, body: &Value) {
        self.send(code, body.to_string().into_bytes());
    }

    fn send(self, code: u16, body: Vec<u8>) {
        let response =
            Response::builder().status(code).body(Body::from(body)).expect("a valid response");
        self.respond.send_response(response);
    }
}
