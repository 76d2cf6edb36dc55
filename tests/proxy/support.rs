//! A gateway with a hand-made table, backends that are raw sockets, a client that is one.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nuncio::model::cluster::{Cluster, ClusterName, ServiceRef, Upstream};
use nuncio::model::config::{Attachment, GatewayConfig, Leg, RouteGroup, Share};
use nuncio::model::key::{Kind, ObjectKey, Origin, ServiceKey};
use nuncio::model::listener::Listener;
use nuncio::model::policy::{ClusterPolicy, HttpPolicy};
use nuncio::model::route::{
    Action, Forward, HostMatch, HostRewrite, PathMatch, PathMatchKind, PathRewrite, Route,
    RouteMatch,
};
use nuncio::model::service::Endpoints;
use nuncio::proxy::{LogSink, Proxy, ProxyOptions};
use nuncio::publish::{Publisher, channel};
use nuncio::routing::RouteTable;
use parking_lot::Mutex;

pub(crate) struct Gateway {
    pub(crate) proxy: Proxy,
    pub(crate) tables: Publisher<RouteTable>,
    pub(crate) endpoints: Publisher<Endpoints>,
    pub(crate) log: Arc<Mutex<Vec<u8>>>,
}

/// Options for tests: one worker on a free port, the log in memory.
pub(crate) fn options() -> ProxyOptions {
    ProxyOptions { listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST), ..ProxyOptions::default() }
}

impl Gateway {
    pub(crate) fn start(routes: Vec<Route>) -> Self {
        Self::with(options(), routes)
    }

    pub(crate) fn with(options: ProxyOptions, routes: Vec<Route>) -> Self {
        Self::with_table(options, table(routes))
    }

    /// One that serves by this policy.
    pub(crate) fn with_http(http: HttpPolicy, routes: Vec<Route>) -> Self {
        Self::with_table(options(), table_with(http, vec![listener(0)], routes))
    }

    /// One that serves this table.
    pub(crate) fn with_table(mut options: ProxyOptions, first: RouteTable) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        options.access_log_sink = LogSink::Memory(Arc::clone(&log));
        let (tables, table_reader) = channel(first);
        let (endpoints, endpoint_reader) = channel(Endpoints::default());
        let proxy = Proxy::start(options, table_reader, endpoint_reader, Arc::new(|| true))
            .expect("starts");
        Self { proxy, tables, endpoints, log }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.local_addr().expect("a port is open")
    }

    /// Sends one request on a connection of its own and returns all of the answer.
    pub(crate) fn ask(&self, request: &str) -> String {
        ask(self.address(), request.as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
    }

    /// Says which endpoints a Service has.
    pub(crate) fn publish_endpoints(&self, service: &ServiceRef, addresses: &[SocketAddr]) {
        let mut endpoints = Endpoints::default();
        endpoints.by_service.insert(service.clone(), addresses.into());
        self.endpoints.publish(Arc::new(endpoints));
    }

    /// The access log, once it holds `lines` lines.
    pub(crate) fn log_lines(&self, lines: usize) -> Vec<String> {
        let read = || String::from_utf8_lossy(&self.log.lock()).into_owned();
        wait_for("log lines", || read().lines().count() >= lines);
        read().lines().map(str::to_owned).collect()
    }
}

/// Waits until something holds, and fails if it never does.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends bytes and reads until the gateway closes, 10 s at most.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).expect("writes");
    read_all(&mut stream)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("settable");
    stream.set_nodelay(true).expect("settable");
    stream
}

pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // A reset after the answer is an end, too.
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until `end` has been seen.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let mut byte = [0; 1];
    while !answer.ends_with(end.as_bytes()) {
        match stream.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            other => {
                let so_far = String::from_utf8_lossy(&answer).into_owned();
                panic!("ended with {other:?} before {end:?}: {so_far:?}");
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("")
}

/// A backend: what it does with each connection is a function of its socket and number.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        Self::on(listener, serve)
    }

    pub(crate) fn on(
        listener: TcpListener,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("settable");
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(stream, number));
            }
        });
        Self { address, connections }
    }

    /// One that answers each request with the head that it got.
    pub(crate) fn echo() -> Self {
        Self::start(|stream, _| serve_echo(stream))
    }

    pub(crate) fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a head, or nothing where the connection ends.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

pub(crate) fn serve_echo(mut stream: TcpStream) {
    while let Some(head) = read_head(&mut stream) {
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap_or(0));
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let body = format!("{head}{}", String::from_utf8_lossy(&body));
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The value of a header in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(crate) fn cluster(upstream: Upstream) -> Arc<Cluster> {
    let authority = upstream.authority();
    let name: String =
        authority.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Arc::new(Cluster {
        name: ClusterName(format!("cluster_{name}").into()),
        service: authority.into(),
        upstream,
        policy: Arc::default(),
        tls: None,
    })
}

pub(crate) fn service(name: &str, port: u16) -> ServiceRef {
    let service = ServiceKey { namespace: "ns".into(), name: name.into() };
    ServiceRef { service, port }
}

/// The same with a policy for the cluster.
pub(crate) fn route_with(prefix: &str, upstream: Upstream, policy: ClusterPolicy) -> Route {
    let mut route = route(prefix, upstream);
    if let Action::Forward(forward) = &mut route.action {
        Arc::make_mut(&mut forward.cluster).policy = Arc::new(policy);
    }
    route
}

/// A route of all that begins with `prefix`, forwarded as it is.
pub(crate) fn route(prefix: &str, upstream: Upstream) -> Route {
    route_to(
        prefix,
        Action::Forward(Forward {
            cluster: cluster(upstream),
            path: PathRewrite::Keep,
            host: HostRewrite::Keep,
        }),
    )
}

pub(crate) fn route_to(prefix: &str, action: Action) -> Route {
    Route {
        matches: Arc::new(RouteMatch {
            host: Some(HostMatch::Any),
            path: PathMatch { kind: PathMatchKind::Prefix(prefix.into()), case_sensitive: true },
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }),
        precedence: 0,
        weight: None,
        action,
        request_headers: Arc::default(),
        response_headers: Arc::default(),
        policy: Arc::default(),
    }
}

pub(crate) fn table(routes: Vec<Route>) -> RouteTable {
    table_of(vec![listener(0)], routes)
}

/// The table of these listeners and routes.
pub(crate) fn table_of(listeners: Vec<Listener>, routes: Vec<Route>) -> RouteTable {
    table_with(HttpPolicy::default(), listeners, routes)
}

/// The table of these listeners and routes, served by this policy.
pub(crate) fn table_with(
    http: HttpPolicy,
    listeners: Vec<Listener>,
    routes: Vec<Route>,
) -> RouteTable {
    let groups = routes
        .into_iter()
        .enumerate()
        .map(|(index, route)| {
            let key = Arc::new(ObjectKey {
                kind: Kind::Mapping,
                namespace: "ns".into(),
                name: format!("route-{index}").into(),
                origin: Origin::Resource,
            });
            let leg = Arc::new(Leg {
                key,
                created: None,
                share: Share::ALL,
                route: Arc::new(route),
                written: None,
                mirror: None,
            });
            Arc::new(RouteGroup {
                precedence: 0,
                attachment: Arc::new(Attachment::BY_HOST),
                legs: vec![leg],
            })
        })
        .collect();
    let listeners = listeners.into_iter().map(Arc::new).collect();
    let config = GatewayConfig { groups, listeners, http: Arc::new(http) };
    RouteTable::compile(&Arc::new(config), &RouteTable::default())
}

/// A listener for HTTP in cleartext; 0 takes any free port.
pub(crate) fn listener(port: u16) -> Listener {
    Listener::plain(port)
}

/// A current-thread runtime for what is easier to say in async.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("builds")
        .block_on(future)
}

/// A client's HTTP/2 connection, with prior knowledge.
pub(crate) type Http2 = http2::Connection<TokioIo<tokio::net::TcpStream>, Body, TokioExecutor>;
type Body = Full<bytes::Bytes>;

/// Connects as a client that speaks HTTP/2; the connection has yet to be driven.
pub(crate) async fn connect_h2(address: SocketAddr) -> (http2::SendRequest<Body>, Http2) {
    let stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    handshake.await.expect("speaks HTTP/2")
}
