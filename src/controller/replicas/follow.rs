//! One connection to another replica: what it says of itself, line by line, for as long as
//! anybody listens.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::barrier::Said;
use super::dial::Dial;
use crate::source::Collection;
use crate::source::versions::Versions;

/// Where a replica says what it serves, on its admin port.
pub const PATH: &str = "/nuncio/v1/served";
/// How long a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A replica speaks every two seconds, changed or not: three times nothing is silence.
const SILENCE: Duration = Duration::from_secs(6);
/// The first delay before another attempt; it doubles.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay: a replica that is back should not be waited for.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// No line is nearly as long.
const MAX_LINE: usize = 16 * 1024;

/// A line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The name that the replica goes by as a candidate for the lease.
    pub instance: String,
    /// The program's version.
    pub version: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// By collection, the resource version up to which everything is served; null where none is
    /// known. They are texts, as Kubernetes' are.
    pub served: BTreeMap<String, Option<String>>,
}

/// What is heard of a replica.
#[derive(Debug)]
pub(super) enum Heard {
    /// It said this.
    Said(Said),
    /// It can't be heard, for this reason.
    Lost(String),
}

impl Line {
    /// What this replica says.
    pub fn new(instance: String, version: String, ready: bool, served: &Versions) -> Self {
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let served = served
            .iter()
            .map(|(collection, number)| (collection.as_str().to_owned(), text(number)));
        Self { instance, version, ready, served: served.collect() }
    }

    /// What another replica means. Collections that aren't known here are of no interest.
    fn read(self) -> Said {
        let served = Collection::ALL.into_iter().filter_map(|collection| {
            let number = self.served.get(collection.as_str())?;
            Some((collection, number.as_ref().and_then(|number| number.parse().ok())))
        });
        let served = served.collect();
        Said { instance: self.instance, version: self.version, ready: self.ready, served }
    }
}

/// One replica's stream, and where what it brings goes.
pub(super) struct Stream {
    /// The replica's name.
    pub(super) name: Arc<str>,
    /// Its admin port.
    pub(super) address: SocketAddr,
    /// How it is reached.
    pub(super) dial: Dial,
    /// Who takes it in.
    pub(super) words: mpsc::Sender<Word>,
}

/// What one stream has brought: of which replica, at which address.
pub(super) type Word = (Arc<str>, SocketAddr, Heard);

impl Stream {
    /// Nobody listens any more when this is about to be aborted.
    async fn tell(&self, heard: Heard) {
        let _ = self.words.send((Arc::clone(&self.name), self.address, heard)).await;
    }
}

/// Connects, again and again, and passes on what is heard.
pub(super) async fn follow(stream: Stream) {
    let mut delay = FIRST_DELAY;
    loop {
        let mut has_spoken = false;
        let reason = listen(&stream, &mut has_spoken).await;
        stream.tell(Heard::Lost(reason)).await;
        delay = if has_spoken { FIRST_DELAY } else { (2 * delay).min(LONGEST_DELAY) };
        // Half of it at least, so that connections don't come in step.
        tokio::time::sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Listens to one connection; returns why that has ended.
async fn listen(stream: &Stream, has_spoken: &mut bool) -> String {
    let socket = match timeout(CONNECT_DEADLINE, stream.dial.dial(stream.address)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return reason(&error),
        Err(_) => return "it can't be reached".to_owned(),
    };
    let (sender, connection) = match http1::handshake(TokioIo::new(socket)).await {
        Ok(both) => both,
        Err(_) => return ENDED.to_owned(),
    };
    tokio::select! {
        biased;
        reason = exchange(sender, stream, has_spoken) => reason,
        _ = connection => ENDED.to_owned(),
    }
}

const ENDED: &str = "the connection has ended";

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    stream: &Stream,
    has_spoken: &mut bool,
) -> String {
    let host = stream.address.to_string();
    let request = Request::get(PATH).header(header::HOST, host).body(Empty::new());
    let Ok(request) = request else { return ENDED.to_owned() };
    match timeout(SILENCE, sender.send_request(request)).await {
        Err(_) => "it does not answer".to_owned(),
        Ok(Err(_)) => ENDED.to_owned(),
        Ok(Ok(response)) => match response.status() {
            StatusCode::OK => read_lines(response.into_body(), stream, has_spoken).await,
            StatusCode::NOT_FOUND => "its version does not tell what it serves".to_owned(),
            status => format!("it answers with {}", status.as_u16()),
        },
    }
}

async fn read_lines(mut body: Incoming, stream: &Stream, has_spoken: &mut bool) -> String {
    let mut buffer = Vec::new();
    loop {
        let data = match timeout(SILENCE, body.frame()).await {
            Err(_) => return "it does not answer".to_owned(),
            Ok(None | Some(Err(_))) => return ENDED.to_owned(),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        buffer.extend_from_slice(&data);
        // Only the newest line counts.
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else {
            if buffer.len() > MAX_LINE {
                return "it says something else".to_owned();
            }
            continue;
        };
        let rest = buffer.split_off(end + 1);
        let line = buffer[..end].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        match serde_json::from_slice::<Line>(line) {
            Ok(line) => stream.tell(Heard::Said(line.read())).await,
            Err(_) => return "it says something else".to_owned(),
        }
        *has_spoken = true;
        buffer = rest;
    }
}

/// An error in words that stay the same from one attempt to the next.
fn reason(error: &io::Error) -> String {
    error.kind().to_string()
}
