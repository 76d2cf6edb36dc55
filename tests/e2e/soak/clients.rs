//! The clients, which stay from the beginning to the end.

use std::net::IpAddr;

use crate::support::load::{Hold, Tally};

/// The client whose requests take six seconds each.
pub(super) const UPLOADS: &str = "uploads of 6 s";

/// Running clients.
#[derive(Debug)]
pub(super) struct Clients(Vec<Hold>);

/// What became of each one's requests, by its name.
pub(super) type Tallies = Vec<(String, Tally)>;

impl Clients {
    pub(super) fn start(address: IpAddr) -> Self {
        let start = |(name, url, arguments): &(&str, &str, &str)| {
            client(name, &url.replace("GATEWAY", &address.to_string()), arguments)
        };
        Self(KINDS.iter().map(start).collect())
    }

    /// What has ended since this was last asked.
    pub(super) fn so_far(&mut self) -> Tallies {
        self.0.iter_mut().map(|hold| (hold.name().to_owned(), hold.so_far())).collect()
    }

    /// Ends them all.
    pub(super) fn stop(self) -> Tallies {
        self.0.iter().for_each(Hold::interrupt);
        self.0.into_iter().map(|hold| (hold.name().to_owned(), hold.wait())).collect()
    }
}

/// One more client, for a while.
pub(super) fn client(name: &str, url: &str, arguments: &str) -> Hold {
    // It is about what is lost, not about how fast a busy machine is.
    let common = ["-host", "soak.example", "-timeout", "60s"];
    Hold::with(name, url, &arguments.split(' ').chain(common).collect::<Vec<_>>())
}

/// Name, URL, and arguments of each.
const KINDS: [(&str, &str, &str); 16] = [
    ("HTTP/1.1", "http://GATEWAY/steady/", "-connections 4 -rate 60"),
    ("HTTP/1.1, seldom", "http://GATEWAY/steady/", "-connections 20 -rate 10"),
    ("HTTP/1.1, a new connection each", "http://GATEWAY/steady/", "-each -connections 2 -rate 20"),
    ("h2c", "http://GATEWAY/steady/", "-protocol h2c -connections 2 -streams 2 -rate 40"),
    ("HTTP/1.1 over TLS", "https://GATEWAY/steady/", "-connections 2 -rate 20"),
    ("TLS, a full handshake each", "https://GATEWAY/steady/", "-each -connections 2 -rate 10"),
    ("TLS, resumed", "https://GATEWAY/steady/", "-each -resume -connections 2 -rate 10"),
    ("h2 over TLS", "https://GATEWAY/steady/", "-protocol h2 -connections 2 -streams 2 -rate 40"),
    ("gRPC calls", "http://GATEWAY/soak.Echo/Echo", "-protocol grpc -connections 2 -rate 20"),
    (
        "gRPC calls over TLS",
        "https://GATEWAY/soak.Echo/Echo",
        "-protocol grpc -connections 2 -streams 2 -rate 20",
    ),
    (
        "messages in gRPC streams",
        "https://GATEWAY/soak.Echo/Echo",
        "-protocol grpc-stream -connections 2 -streams 2 -rate 40",
    ),
    ("messages in WebSockets", "http://GATEWAY/socket/", "-protocol websocket -rate 40"),
    (
        "messages in WebSockets over TLS",
        "https://GATEWAY/socket/",
        "-protocol websocket -connections 2 -rate 20",
    ),
    ("a route that changes", "http://GATEWAY/changed/", "-connections 2 -rate 40"),
    ("routes with weights", "http://GATEWAY/weighted/", "-connections 2 -rate 30"),
    (UPLOADS, "http://GATEWAY/steady/", "-connections 2 -upload 6s"),
];
