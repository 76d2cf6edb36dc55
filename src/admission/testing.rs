//! Settings for tests, and a fake API server that keeps three objects, a Secret, a webhook
//! configuration and a definition: lists, watches, reads and writes them, with the rules about
//! resource versions that keep writers apart.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::stream;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::review::{Policy, ReviewSettings};

/// As the chart has them.
pub(super) fn settings() -> ReviewSettings {
    ReviewSettings {
        parse: Default::default(),
        ambassador_id: "default".into(),
        single_namespace: None,
        resources: Policy::Deny,
        annotations: Policy::Warn,
    }
}

/// The three objects, and everything that happened to them.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    secret: Option<Value>,
    configuration: Option<Value>,
    definition: Option<Value>,
    /// Collection, type of the event, object: the version is the position from 1.
    events: Vec<(&'static str, &'static str, Value)>,
    writes: usize,
}

type Answer = UnsyncBoxBody<Bytes, Infallible>;

const SECRETS: &str = "secrets";
const CONFIGURATIONS: &str = "validatingwebhookconfigurations";
const DEFINITIONS: &str = "customresourcedefinitions";

impl Fake {
    /// With a configuration of two webhooks and a definition that trust nobody, and no Secret.
    pub(super) fn new() -> Self {
        let fake = Self { state: Arc::default(), changed: watch::Sender::new(0) };
        let webhook = |name: &str| {
            json!({
                "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"service": {"name": "admission", "namespace": "gateways"}},
            })
        };
        let webhooks = json!([webhook("one.nuncio.dev"), webhook("two.nuncio.dev")]);
        let configuration = json!({"metadata": {"name": "nuncio"}, "webhooks": webhooks});
        fake.put(CONFIGURATIONS, "ADDED", configuration);
        fake.define("admission", "gateways");
        fake
    }

    pub(super) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "gateways")
    }

    /// A field of the Secret, decoded.
    pub(super) fn secret(&self, field: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let encoded = state.secret.as_ref()?["data"][field].clone();
        serde_json::from_value::<ByteString>(encoded).ok().map(|bytes| bytes.0)
    }

    /// Writes the Secret's data as a person would.
    pub(super) fn set_secret(&self, data: &Value) {
        self.put(SECRETS, "MODIFIED", json!({"metadata": {"name": "certificate"}, "data": data}));
    }

    pub(super) fn delete_secret(&self) {
        let secret = self.state.lock().secret.take();
        if let Some(secret) = secret {
            self.note(SECRETS, "DELETED", secret);
        }
    }

    /// Somebody writes the definition anew, with this Service to convert.
    pub(super) fn define(&self, service: &str, namespace: &str) {
        let service = json!({"name": service, "namespace": namespace});
        let conversion = json!({
            "strategy": "Webhook",
            "webhook": {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]},
        });
        let definition = json!({
            "metadata": {"name": "mappings.getambassador.io"}, "spec": {"conversion": conversion},
        });
        self.put(DEFINITIONS, "MODIFIED", definition);
    }

    /// What the definition trusts.
    pub(super) fn definition_bundle(&self) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let definition = state.definition.as_ref()?;
        let bundle = definition["spec"]["conversion"]["webhook"]["clientConfig"].get("caBundle")?;
        serde_json::from_value::<ByteString>(bundle.clone()).ok().map(|bytes| bytes.0)
    }

    /// What both webhooks and the definition trust; empty where they differ or trust nobody.
    pub(super) fn bundle(&self) -> Vec<u8> {
        let bundle = self.configuration_bundle();
        if self.definition_bundle().as_ref() == Some(&bundle) { bundle } else { Vec::new() }
    }

    /// What both webhooks trust; empty where they differ or trust nobody.
    pub(super) fn configuration_bundle(&self) -> Vec<u8> {
        let state = self.state.lock();
        let webhooks = &state.configuration.as_ref().expect("it is never deleted")["webhooks"];
        let bundle = |index: usize| webhooks[index]["clientConfig"]["caBundle"].clone();
        if bundle(0) != bundle(1) || bundle(0).is_null() {
            return Vec::new();
        }
        serde_json::from_value::<ByteString>(bundle(0)).expect("base64").0
    }

    /// Somebody overwrites what is trusted.
    pub(super) fn forget_bundle(&self) {
        let mut configuration = self.state.lock().configuration.clone().expect("it is there");
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = Value::Null;
        self.put(CONFIGURATIONS, "MODIFIED", configuration);
    }

    /// How often the gateway wrote.
    pub(super) fn writes(&self) -> usize {
        self.state.lock().writes
    }

    fn put(&self, collection: &'static str, event: &'static str, object: Value) -> Value {
        let mut object = object;
        {
            let mut state = self.state.lock();
            object["metadata"]["resourceVersion"] = json!((state.events.len() + 1).to_string());
            *state.of(collection) = Some(object.clone());
        }
        self.note(collection, event, object.clone());
        object
    }

    fn note(&self, collection: &'static str, event: &'static str, object: Value) {
        let mut state = self.state.lock();
        state.events.push((collection, event, object));
        let count = state.events.len();
        drop(state);
        self.changed.send_replace(count);
    }

    async fn answer(&self, request: Request<Body>) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let collections = [CONFIGURATIONS, DEFINITIONS];
        let collection = collections.into_iter().find(|it| path.contains(it)).unwrap_or(SECRETS);
        let bytes = body.collect_bytes().await.expect("a body in memory");
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let is_named = !path.ends_with(collection);
        if parts.method == Method::GET && query.contains("watch=true") {
            let from = query.split("resourceVersion=").nth(1).and_then(|from| from.parse().ok());
            return Response::new(self.watch(collection, from.unwrap_or_default()));
        }
        match (parts.method, is_named) {
            (Method::GET, false) => {
                let mut state = self.state.lock();
                let version = state.events.len().to_string();
                let items: Vec<Value> = state.of(collection).iter().cloned().collect();
                respond(200, &json!({"metadata": {"resourceVersion": version}, "items": items}))
            }
            (Method::GET, true) => match self.state.lock().of(collection) {
                Some(object) => respond(200, object),
                None => refuse(404, "NotFound"),
            },
            (Method::POST, _) => {
                let exists = self.state.lock().of(collection).is_some();
                if exists { refuse(409, "AlreadyExists") } else { self.write(collection, body) }
            }
            (Method::PUT, _) if !self.is_seen(collection, &body) => refuse(409, "Conflict"),
            (Method::PUT, _) => self.write(collection, body),
            (Method::PATCH, _) if !self.is_seen(collection, &body) => refuse(409, "Conflict"),
            (Method::PATCH, _) => {
                let mut object = self.state.lock().of(collection).clone().unwrap_or_default();
                if collection == DEFINITIONS {
                    let bundle = &body["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"];
                    let client = &mut object["spec"]["conversion"]["webhook"]["clientConfig"];
                    client["caBundle"] = bundle.clone();
                }
                let webhooks = body["webhooks"].as_array().cloned().unwrap_or_default();
                for (index, webhook) in webhooks.iter().enumerate() {
                    let bundle = webhook["clientConfig"]["caBundle"].clone();
                    object["webhooks"][index]["clientConfig"]["caBundle"] = bundle;
                }
                self.write(collection, object)
            }
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    /// Whether a writer has seen what it overwrites.
    fn is_seen(&self, collection: &str, body: &Value) -> bool {
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let mut state = self.state.lock();
        state.of(collection).as_ref().is_some_and(|stands| version(stands) == version(body))
    }

    fn write(&self, collection: &'static str, object: Value) -> Response<Answer> {
        self.state.lock().writes += 1;
        respond(200, &self.put(collection, "MODIFIED", object))
    }

    fn watch(&self, collection: &'static str, from: usize) -> Answer {
        let next = (self.clone(), self.changed.subscribe(), from);
        let lines = stream::unfold(next, move |(fake, mut changed, mut at)| async move {
            loop {
                let event = fake.state.lock().events.get(at).cloned();
                let Some((of, kind, object)) = event else {
                    changed.wait_for(|count| *count > at).await.ok()?;
                    continue;
                };
                at += 1;
                if of == collection {
                    let line = format!("{}\n", json!({"type": kind, "object": object}));
                    let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(line)));
                    return Some((frame, (fake, changed, at)));
                }
            }
        });
        StreamBody::new(lines).boxed_unsync()
    }
}

impl State {
    fn of(&mut self, collection: &str) -> &mut Option<Value> {
        match collection {
            SECRETS => &mut self.secret,
            DEFINITIONS => &mut self.definition,
            _ => &mut self.configuration,
        }
    }
}

fn respond(code: u16, body: &Value) -> Response<Answer> {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    Response::builder().status(code).body(body).expect("a valid response")
}

fn refuse(code: u16, reason: &str) -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    respond(code, &status)
}
