//! Hand-made objects, and an API server that plays a script, for the tests of this module.

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock;

use crate::model::Build;
use crate::model::key::{Carrier, CarrierKind, Kind, ObjectKey, Origin};
use crate::model::object::{Content, Location, Object, Problem};
use crate::model::report::{References, Report, Verdict};

/// A rejected Mapping; reports decide by their verdict, not by its content.
pub(crate) fn mapping(namespace: &str, name: &str) -> Object {
    Object {
        key: ObjectKey {
            kind: Kind::Mapping,
            namespace: namespace.into(),
            name: name.into(),
            origin: Origin::Resource,
        },
        generation: Some(1),
        created: None,
        labels: Arc::default(),
        ambassador_id: Arc::from(["default".to_owned()]),
        location: None,
        content: Content::Rejected,
        problems: vec![Problem::error("prefix", "is required")],
        document: None,
    }
}

/// A document of the annotation of Service `carrier`.
pub(crate) fn document(carrier: &str, index: u32, name: &str) -> Object {
    let mut object = mapping("ns", name);
    object.key.origin = Origin::Annotation {
        carrier: Carrier {
            kind: CarrierKind::Service,
            namespace: "ns".into(),
            name: carrier.into(),
            uid: format!("uid-{carrier}").into(),
        },
        index,
    };
    object.location = Some(Location { line: 1 + 10 * index, column: 1 });
    object.document = Some(json!({"kind": "Mapping", "name": name}).to_string().into());
    object
}

pub(crate) fn report(object: Object, verdict: Verdict) -> Report {
    Report { object: Arc::new(object), verdict, references: References::Resolved }
}

/// A build of these reports.
pub(crate) fn build(reports: Vec<Report>) -> Arc<Build> {
    let mut reports: Vec<Arc<Report>> = reports.into_iter().map(Arc::new).collect();
    reports.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    Arc::new(Build { reports, ..Build::default() })
}

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

    /// Answers with an error.
    pub(crate) fn refuse(self, code: u16, reason: &str, message: &str) {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        self.answer(code, &body);
    }

    fn answer(self, code: u16, body: &Value) {
        let response = Response::builder()
            .status(code)
            .body(Body::from(body.to_string().into_bytes()))
            .expect("a valid response");
        self.respond.send_response(response);
    }
}
