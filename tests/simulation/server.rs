//! The API server: the requests that a gateway makes, answered as the real one does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::faults::{Fate, Faults, WatchFate};
use crate::storage::{Key, Storage};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Reply = UnsyncBoxBody<Bytes, Failure>;
type Answer = Result<Response<Reply>, Failure>;

/// Sees what a replica is about to tell of an object.
type Witness = Box<dyn Fn(usize, &Key, &Value, &Storage) + Send>;

/// How long a client that can't reach the server waits before it knows.
const UNREACHABLE: Duration = Duration::from_secs(3);

/// A write that was done.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) at: Instant,
    pub(crate) replica: usize,
    pub(crate) key: Key,
}

/// The server; clones are the same one.
#[derive(Clone)]
pub(crate) struct ApiServer(Arc<Shared>);

struct Shared {
    storage: Mutex<Storage>,
    faults: Mutex<Faults>,
    writes: Mutex<Vec<Write>>,
    /// Is shown each status that a replica sends.
    witness: Mutex<Option<Witness>>,
    changed: watch::Sender<u64>,
}

/// What a request asks for.
#[derive(Debug)]
struct Asked {
    method: Method,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    is_status: bool,
    query: Vec<(String, String)>,
    body: Value,
}

impl ApiServer {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Shared {
            storage: Mutex::default(),
            faults: Mutex::new(Faults::new(seed)),
            writes: Mutex::default(),
            witness: Mutex::default(),
            changed: watch::channel(0).0,
        }))
    }

    /// A client for a replica.
    pub(crate) fn client(&self, replica: usize) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(replica, request).await }
        });
        Client::new(service, "default")
    }

    /// Changes objects past all faults, as somebody else's client does.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Storage) -> T) -> T {
        let mut storage = self.0.storage.lock();
        let result = change(&mut storage);
        self.0.changed.send_replace(storage.version());
        result
    }

    /// Shows `witness` each status that is sent from now on, at the moment in which it is.
    pub(crate) fn show_statuses_to(
        &self,
        witness: impl Fn(usize, &Key, &Value, &Storage) + Send + 'static,
    ) {
        *self.0.witness.lock() = Some(Box::new(witness));
    }

    /// Changes what goes wrong; watches that wait look whether they are cut.
    pub(crate) fn disturb(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.faults.lock());
        self.0.changed.send_modify(|_| {});
    }

    fn faults<T>(&self, ask: impl FnOnce(&mut Faults) -> T) -> T {
        ask(&mut self.0.faults.lock())
    }

    /// What gateways have written so far.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.0.writes.lock().clone()
    }

    async fn answer(&self, replica: usize, request: Request<Body>) -> Answer {
        let asked = Asked::read(request).await?;
        if let Some(witness) = self.0.witness.lock().as_ref().filter(|_| asked.is_status) {
            let key = asked.key(asked.name.as_deref().unwrap_or_default());
            witness(replica, &key, &asked.body, &self.0.storage.lock());
        }
        let (delay, fate) = self.faults(Faults::request);
        tokio::time::sleep(delay).await;
        let (reaches, down) = self.faults(|faults| (faults.reaches(replica), faults.is_down()));
        if down {
            return Err("connection refused".into());
        }
        if !reaches {
            tokio::time::sleep(UNREACHABLE).await;
            return Err("no route to host".into());
        }
        match fate {
            Fate::Refused(code) => Ok(refusal(code, "by chance")),
            Fate::Lost => Err("connection reset".into()),
            Fate::Answered => Ok(self.serve(replica, &asked)),
            Fate::AnswerLost => {
                drop(self.serve(replica, &asked));
                Err("connection reset".into())
            }
        }
    }

    fn serve(&self, replica: usize, asked: &Asked) -> Response<Reply> {
        match (&asked.method, &asked.name) {
            (&Method::GET, None) if asked.asks("watch") == Some("true") => {
                self.watch(replica, asked)
            }
            (&Method::GET, None) => self.list(asked),
            (&Method::GET, Some(name)) => {
                let storage = self.0.storage.lock();
                storage.get(&asked.key(name)).map_or_else(|| refusal(404, "not found"), found)
            }
            _ => self.write(replica, asked),
        }
    }

    fn list(&self, asked: &Asked) -> Response<Reply> {
        let limit = asked.asks("limit").and_then(|limit| limit.parse().ok()).unwrap_or(500);
        let limit = self.faults(|faults| faults.page(limit));
        let storage = self.0.storage.lock();
        // Good for as long as nothing changes; the real one serves old snapshots for a while.
        let (version, from) = match asked.asks("continue").and_then(|text| text.split_once('/')) {
            None => (storage.version(), ""),
            Some((version, from)) => (version.parse().unwrap_or_default(), from),
        };
        if version != storage.version() {
            return refusal(410, "the continue parameter is too old");
        }
        let name = |key: &Key| format!("{}:{}", key.namespace, key.name);
        let mut rest = storage.list(&asked.plural, asked.namespace.as_deref());
        rest.retain(|(key, _)| asked.selects(key) && *name(key) > *from);
        let more = rest.len() > limit;
        rest.truncate(limit);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let Some((last, _)) = rest.last().filter(|_| more) {
            metadata["continue"] = json!(format!("{version}/{}", name(last)));
        }
        let items: Vec<&Value> = rest.into_iter().map(|(_, object)| object).collect();
        found(&json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }

    fn write(&self, replica: usize, asked: &Asked) -> Response<Reply> {
        let named = asked.name.as_deref().or_else(|| asked.body["metadata"]["name"].as_str());
        let key = asked.key(named.unwrap_or_default());
        let at = Instant::now();
        let response = self.change(|storage| write(storage, asked, &key));
        if response.status().is_success() {
            self.0.writes.lock().push(Write { at, replica, key });
        }
        response
    }

    fn watch(&self, replica: usize, asked: &Asked) -> Response<Reply> {
        let number = |name| asked.asks(name).and_then(|text| text.parse().ok());
        let watch = Watch {
            server: self.clone(),
            replica,
            plural: asked.plural.clone(),
            namespace: asked.namespace.clone(),
            name: asked.field_name().map(str::to_owned),
            version: number("resourceVersion").unwrap_or_default(),
            changed: self.0.changed.subscribe(),
            ends: Instant::now() + Duration::from_secs(number("timeoutSeconds").unwrap_or(290)),
            again: None,
        };
        if watch.next().is_err() {
            return refusal(410, "too old resource version");
        }
        let lines = stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.line().await {
                Line::Event(line) => Some((Ok(frame(&line)), Some(watch))),
                Line::Last(line) => Some((Ok(frame(&line)), None)),
                Line::Broken => Some((Err(Failure::from("connection reset")), None)),
                Line::End => None,
            }
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }
}

/// Server-side apply is a replacement here: all fields that gateways apply are theirs alone.
fn write(storage: &mut Storage, asked: &Asked, key: &Key) -> Response<Reply> {
    let body = asked.body.clone();
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    match asked.method {
        Method::PATCH if asked.is_status => storage
            .put_status(key, &body["status"])
            .map_or_else(|| refusal(404, "not found"), |object| found(&object)),
        Method::PATCH => found(&storage.put(key, body)),
        Method::POST if storage.get(key).is_some() => refusal(409, "exists"),
        Method::POST => found(&storage.put(key, body)),
        Method::PUT => match storage.get(key) {
            None => refusal(404, "not found"),
            Some(before) if version(before) != version(&body) => refusal(409, "changed"),
            Some(_) => found(&storage.put(key, body)),
        },
        Method::DELETE => {
            let uid = &asked.body["preconditions"]["uid"];
            let other = |object: &Value| !uid.is_null() && object["metadata"]["uid"] != *uid;
            match storage.get(key) {
                None => refusal(404, "not found"),
                Some(object) if other(object) => refusal(409, "another uid"),
                Some(_) => found(&storage.delete(key).unwrap_or_default()),
            }
        }
        _ => refusal(405, "not here"),
    }
}

impl Asked {
    /// Reads `/api/v1/…` or `/apis/GROUP/VERSION/…`.
    async fn read(request: Request<Body>) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let path: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
        let mut rest = path.get(if path[0] == "api" { 2.. } else { 3.. }).unwrap_or_default();
        let mut namespace = None;
        if let ["namespaces", name, kind @ ..] = rest
            && !kind.is_empty()
        {
            (namespace, rest) = (Some((*name).to_owned()), kind);
        }
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self {
            method: parts.method,
            plural: rest.first().copied().unwrap_or_default().to_owned(),
            namespace,
            name: rest.get(1).map(|name| (*name).to_owned()),
            is_status: rest.get(2) == Some(&"status"),
            query: query.into_owned().collect(),
            body: serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default(),
        })
    }

    fn asks(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The name of a field selector, the only field that gateways select by.
    fn field_name(&self) -> Option<&str> {
        self.asks("fieldSelector")?.strip_prefix("metadata.name=")
    }

    fn selects(&self, key: &Key) -> bool {
        self.field_name().is_none_or(|name| key.name == name)
    }

    fn key(&self, name: &str) -> Key {
        Key::new(&self.plural, self.namespace.as_deref().unwrap_or_default(), name)
    }
}

/// A watch that somebody follows.
struct Watch {
    server: ApiServer,
    replica: usize,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    /// The last change that was told.
    version: u64,
    changed: watch::Receiver<u64>,
    ends: Instant,
    /// An event to be told once more.
    again: Option<Value>,
}

/// What comes next in a watch.
enum Line {
    Event(Value),
    /// The last one.
    Last(Value),
    End,
    Broken,
}

impl Watch {
    /// The next event that isn't told yet, with its version.
    fn next(&self) -> Result<Option<(u64, Value)>, Value> {
        let concerns = |key: &Key| {
            key.plural == self.plural
                && self.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace)
                && self.name.as_ref().is_none_or(|name| key.name == *name)
        };
        let storage = self.server.0.storage.lock();
        let next = storage.next_after(self.version, concerns);
        let event = next.map_err(|_| json!({"type": "ERROR", "object": status(410, "expired")}))?;
        Ok(event
            .map(|change| (change.version, json!({"type": change.kind, "object": change.object}))))
    }

    async fn line(&mut self) -> Line {
        if let Some(again) = self.again.take() {
            return Line::Event(again);
        }
        loop {
            self.changed.mark_unchanged();
            let (reaches, down) =
                self.server.faults(|faults| (faults.reaches(self.replica), faults.is_down()));
            match self.next() {
                _ if down => return Line::Broken,
                // Half open: nothing arrives, and nobody says so.
                _ if !reaches => self.silence().await,
                Err(expired) => return Line::Last(expired),
                Ok(Some((version, event))) => return self.tell(version, event).await,
                Ok(None) => {
                    tokio::select! {
                        biased;
                        _ = self.changed.changed() => {}
                        () = tokio::time::sleep_until(self.ends) => return Line::End,
                    }
                }
            }
        }
    }

    async fn tell(&mut self, version: u64, event: Value) -> Line {
        let (delay, fate) = self.server.faults(Faults::event);
        tokio::time::sleep(delay).await;
        if fate != WatchFate::Expired {
            self.version = version;
        }
        match fate {
            WatchFate::Told => Line::Event(event),
            WatchFate::Twice => {
                self.again = Some(event.clone());
                Line::Event(event)
            }
            WatchFate::Ended => Line::End,
            WatchFate::Broken => Line::Broken,
            WatchFate::Expired => {
                Line::Last(json!({"type": "ERROR", "object": status(410, "expired")}))
            }
        }
    }

    /// A connection that was cut says nothing more, also when others work again.
    async fn silence(&self) {
        std::future::pending().await
    }
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn refusal(code: u16, message: &str) -> Response<Reply> {
    let body = whole(&status(code, message));
    Response::builder().status(code).body(body).expect("a valid response")
}

fn found(object: &Value) -> Response<Reply> {
    Response::new(whole(object))
}

fn whole(object: &Value) -> Reply {
    Full::from(object.to_string()).map_err(|never| match never {}).boxed_unsync()
}

fn frame(line: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{line}\n")))
}
