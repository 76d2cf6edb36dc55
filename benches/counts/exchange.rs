//! Whole exchanges: a client's bytes through the real gateway to an upstream, and back.
//!
//! Client and upstream are this thread, with blocking sockets and bytes made beforehand. What is
//! counted is the gateway's worker, a thread of its own: the whole stack with its real sockets, and
//! nothing of who asks and answers. One exchange at a time, so that each takes the same way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use nuncio::model::config::GatewayConfig;
use nuncio::model::listener::Listener;
use nuncio::model::service::Endpoints;
use nuncio::model::snapshot::Snapshot;
use nuncio::model::{Build, build};
use nuncio::proxy::{AccessLogFormat, LogSink, Proxy, ProxyOptions, StaticName};
use nuncio::publish::{Publisher, channel};
use nuncio::routing::RouteTable;
use serde_json::{Value, json};

use crate::objects::object;
use crate::wire::{Http1, Http2, Wire};

/// How the gateway is asked, and what it does beside that.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exchange {
    /// HTTP/1.1 on both sides.
    Http1,
    /// HTTP/1.1 with a line of the access log.
    Logged,
    /// HTTP/1.1 with what a Mapping may ask for of headers and path.
    Edited,
    /// HTTP/2 on both sides.
    Http2,
}

impl Exchange {
    fn fields(self) -> Value {
        match self {
            Self::Http1 | Self::Logged => json!({}),
            Self::Http2 => json!({"grpc": true}),
            Self::Edited => json!({
                "rewrite": "/shop/v1/",
                "host_rewrite": "shop.internal",
                "add_request_headers": {
                    "x-tenant": {"value": "team-7", "append": false},
                    "x-agent": {"value": "%REQ(user-agent)%"},
                },
                "remove_request_headers": ["accept"],
                "add_response_headers": {"x-served-by": {"value": "nuncio over %PROTOCOL%"}},
                "remove_response_headers": ["server"],
            }),
        }
    }

    fn log(self) -> AccessLogFormat {
        match self {
            Self::Logged => AccessLogFormat::Text,
            Self::Http1 | Self::Edited | Self::Http2 => AccessLogFormat::Off,
        }
    }
}

/// As many exchanges of this kind.
pub(crate) fn exchange(repeats: u64, kind: Exchange) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let upstream = listener.local_addr().expect("it is bound");
    let gateway = Gateway::start(kind, upstream);
    let client = connect(gateway.address());
    let mut wire: Box<dyn Wire> = match kind {
        Exchange::Http2 => Box::new(Http2::start(client, &listener)),
        Exchange::Http1 | Exchange::Logged | Exchange::Edited => {
            Box::new(Http1::start(client, listener))
        }
    };
    for _ in 0..repeats {
        wire.exchange();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("a socket takes options");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes options");
    stream
}

/// A gateway with one route, on a free port.
struct Gateway {
    proxy: Proxy,
    _tables: Publisher<RouteTable>,
    _endpoints: Publisher<Endpoints>,
}

impl Gateway {
    fn start(kind: Exchange, upstream: SocketAddr) -> Self {
        let object = object(0, &kind.fields());
        let objects = [object].into_iter().collect();
        let snapshot = Snapshot { objects, ..Snapshot::default() };
        let built = build(&snapshot, &Build::default());
        let config = GatewayConfig {
            listeners: vec![Arc::new(Listener::plain(0))],
            ..GatewayConfig::clone(&built.config)
        };
        let options = ProxyOptions {
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            static_names: vec![StaticName {
                host: "web-0.team".into(),
                port: 80,
                address: upstream,
            }],
            access_log: kind.log(),
            access_log_sink: LogSink::Memory(Arc::default()),
            ..ProxyOptions::default()
        };
        let table = RouteTable::compile(&Arc::new(config), &RouteTable::default());
        let (tables, table_reader) = channel(table);
        let (endpoints, endpoint_reader) = channel(Endpoints::default());
        let proxy = Proxy::start(options, table_reader, endpoint_reader, Arc::new(|| true))
            .expect("a free port can be opened");
        Self { proxy, _tables: tables, _endpoints: endpoints }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.local_addr().expect("its port is open")
    }
}
