//! An HTTP/1.1 client that never sends a request twice: what it gets is what the gateway said.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::gateway;

/// The most that one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection, kept open, and renewed only where the other side has said that it ends.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    wire: Wire,
    patience: Duration,
}

#[derive(Debug)]
struct Wire {
    address: SocketAddr,
    /// Where it connects from; `None` leaves that to the system.
    source: Option<Ipv4Addr>,
    sender: Option<SendRequest<Full<Bytes>>>,
    driver: JoinSet<()>,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// To the gateway, by way of its Service.
    pub(crate) fn new() -> Self {
        Self::to(gateway::address())
    }

    /// To any address.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let wire = Wire { address, source: None, sender: None, driver: JoinSet::new() };
        Self { runtime, wire, patience: TIMEOUT }
    }

    /// From an address of this machine.
    pub(crate) fn from(mut self, source: Ipv4Addr) -> Self {
        self.wire.source = Some(source);
        self
    }

    /// With less time for each request, to see the moment in which a server begins to answer: a
    /// connection that was asked for before would be tried again only after a second.
    pub(crate) fn impatient(self) -> Self {
        Self { patience: Duration::from_millis(100), ..self }
    }

    /// A GET that must be answered, with whatever status.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// A GET, or why it has no answer.
    pub(crate) fn try_get(&mut self, path: &str) -> Result<Answer, String> {
        self.send(Request::get(path), "")
    }

    /// A POST that must be answered.
    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send(Request::builder().method(Method::POST).uri(path), body)
            .unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }

    /// Any request.
    pub(crate) fn send(
        &mut self,
        request: http::request::Builder,
        body: &str,
    ) -> Result<Answer, String> {
        let mut request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|e| e.to_string())?;
        let host = self.wire.address.to_string();
        let host = host.parse().expect("an address is a header value");
        request.headers_mut().entry(header::HOST).or_insert(host);
        let Self { runtime, wire, patience } = self;
        let answer = runtime.block_on(async {
            tokio::time::timeout(*patience, wire.exchange(request))
                .await
                .unwrap_or_else(|_| Err(format!("no answer in {} ms", patience.as_millis())))
        });
        if answer.is_err() {
            self.wire.sender = None;
        }
        answer
    }
}

impl Wire {
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(|e| format!("{e:?}"))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| format!("body: {e:?}"))?.to_bytes();
        if head.headers.get(header::CONNECTION).is_none_or(|value| value != "close") {
            self.sender = Some(sender);
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = self.dial().await.map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        self.driver.spawn(async {
            let _ = connection.await; // what is wrong with it shows in the request
        });
        Ok(sender)
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let Some(source) = self.source else { return TcpStream::connect(self.address).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.connect(self.address).await
    }
}

impl Answer {
    /// The body as JSON; null where it isn't.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `version` that an echo backend answers with.
    pub(crate) fn version(&self) -> Option<String> {
        Some(self.json()["version"].as_str()?.to_owned())
    }

    /// The pod that an echo backend runs in.
    pub(crate) fn pod(&self) -> Option<String> {
        Some(self.json()["pod"].as_str()?.to_owned())
    }

    /// Status and body in short, for messages.
    pub(crate) fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}", self.status, body.chars().take(200).collect::<String>())
    }

    /// Whether an echo backend of this version has answered.
    pub(crate) fn is_of(&self, version: &str) -> bool {
        self.status == 200 && self.version().as_deref() == Some(version)
    }

    /// The same as a result, for waiting.
    pub(crate) fn expect_of(&self, version: &str) -> Result<(), String> {
        if self.is_of(version) { Ok(()) } else { Err(self.shown()) }
    }
}
