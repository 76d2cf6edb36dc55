//! `/nuncio/v1/served`: how far this replica has come, told to the one that writes status; and
//! what that one knows of the others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::health::Phase;
use super::{Admin, Shared};
use crate::controller::Leader;
use crate::controller::replicas::{Line, Link, Membership, Replica, Replicas};
use crate::source::versions::Versions;

/// How often a line comes when nothing changes, so that silence tells something.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Streams at once. One replica leads at a time; the others are for people and for changes of the
/// leader.
const MAX_STREAMS: usize = 16;

/// This replica among the others.
#[derive(Debug)]
pub struct Replication {
    /// The name that it goes by as a candidate for the lease.
    instance: String,
    /// How far what is served has come.
    served: watch::Receiver<Versions>,
    /// Whether it writes status.
    leader: Leader,
    /// What it knows of the others while it does.
    replicas: watch::Receiver<Arc<Replicas>>,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Replication {
    /// Of the replica `instance`; streams end with `stop`.
    pub fn new(
        instance: String,
        served: watch::Receiver<Versions>,
        leader: Leader,
        replicas: watch::Receiver<Arc<Replicas>>,
        stop: CancellationToken,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Self { instance, served, leader, replicas, streams, stop }
    }

    /// Whether this replica writes status.
    pub(super) fn leads(&self) -> bool {
        self.leader.borrow().is_held()
    }

    /// What is known of the other replicas.
    pub(super) fn others(&self) -> Arc<Replicas> {
        Arc::clone(&self.replicas.borrow())
    }
}

/// One reader of the stream.
struct Reader {
    admin: Arc<Admin>,
    served: watch::Receiver<Versions>,
    phase: watch::Receiver<Phase>,
    has_begun: bool,
    _permit: OwnedSemaphorePermit,
}

/// A line at once, one after each change, and one every two seconds: the newest, however many
/// changes there were.
pub(super) async fn stream_served(State(admin): Shared) -> Response {
    let Ok(permit) = Arc::clone(&admin.replication.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many streams\n").into_response();
    };
    let (served, phase) = (admin.replication.served.clone(), admin.health.phases());
    let reader = Reader { admin, served, phase, has_begun: false, _permit: permit };
    let lines = stream::unfold(reader, async |mut reader| {
        let line = reader.next().await?;
        Some((Ok::<_, Infallible>(line), reader))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

impl Reader {
    /// The next line; `None` when the gateway ends.
    async fn next(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.has_begun, true) {
            tokio::select! {
                () = self.admin.replication.stop.cancelled() => return None,
                changed = self.served.changed() => changed.ok()?,
                changed = self.phase.changed() => changed.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
        }
        let line = Line::new(
            self.admin.replication.instance.clone(),
            self.admin.identity.version.clone(),
            self.admin.health.is_ready(),
            &self.served.borrow_and_update(),
        );
        serde_json::to_string(&line).ok().map(|line| line + "\n")
    }
}

/// The replicas, for the diagnostics.
pub(super) fn describe(replication: &Replication) -> Value {
    let others = replication.others();
    let unknown = match &others.membership {
        Membership::Known => None,
        Membership::Unknown(reason) => Some(&**reason),
    };
    json!({
        "instance": replication.instance,
        "leader": replication.leads(),
        "served": numbers(&replication.served.borrow()),
        "others_unknown": unknown,
        "others": others.by_name.iter().map(|(name, other)| describe_other(name, other)).collect::<Value>(),
    })
}

fn describe_other(name: &str, other: &Replica) -> Value {
    let link = match &other.link {
        Link::Connecting => "connecting",
        Link::Connected => "connected",
        Link::Lost(reason) => reason,
    };
    json!({
        "name": name,
        "address": other.address.to_string(),
        "gets_requests": other.serving,
        "connection": link,
        "ready": other.said.as_ref().map(|said| said.ready),
        "version": other.said.as_ref().map(|said| &said.version),
        "served": other.said.as_ref().map(|said| numbers(&said.served)),
    })
}

fn numbers(versions: &Versions) -> Value {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let pairs = versions.iter().map(|(c, n)| (c.as_str().to_owned(), json!(number(n))));
    Value::Object(pairs.collect())
}
