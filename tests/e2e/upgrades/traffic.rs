//! The clients of a gateway whose pods go.

use std::net::SocketAddr;

use super::release::Version;
use crate::support::load::Hold;
use crate::support::traffic;

/// The requests of one experiment are at least so many, however soon it is over; fewer with
/// NUNCIO_E2E_REQUESTS, where a machine has other work. Seven of them make more than 200,000.
fn at_least() -> u64 {
    std::env::var("NUNCIO_E2E_REQUESTS").map_or(34_000, |text| text.parse().expect("a number"))
}

/// Running clients.
#[derive(Debug)]
pub(super) struct Traffic(traffic::Traffic);

impl Traffic {
    /// Starts them while pods of a version are to go. Requests are short or take 8 s.
    pub(super) fn start(address: SocketAddr, leaving: Version) -> Self {
        let client = |name: &str, path: &str, arguments: &str| {
            // It is about what is lost, not about how fast a busy machine is.
            let arguments: Vec<&str> = arguments.split(' ').chain(["-timeout", "60s"]).collect();
            Hold::with(name, &format!("http://{address}{path}"), &arguments)
        };
        let (http1, http2) = (at_least() * 3 / 5, at_least() * 2 / 5);
        let mut clients = vec![
            client(
                "HTTP/1.1 keep-alive",
                "/short/",
                &format!("-connections 8 -rate 420 -at-least {http1}"),
            ),
            client(
                "h2c",
                "/short/",
                &format!("-protocol h2c -connections 3 -streams 4 -rate 280 -at-least {http2}"),
            ),
            client("a new connection each", "/short/", "-each -rate 100"),
            client("long upload", "/short/", "-connections 2 -upload 8s"),
            client("long download by h2c", "/download/", "-connections 2 -protocol h2c"),
        ];
        if leaving.tells_idle_clients() {
            // A connection each asks once in two seconds.
            clients.push(client("HTTP/1.1 seldom", "/short/", "-connections 20 -rate 10"));
            clients.push(client("long download", "/download/", "-connections 2"));
        } else {
            let each = "-connections 2 -each";
            clients.push(client("long download", "/download/", each));
        }
        Self(traffic::Traffic::of(clients))
    }

    /// Ends them; not one request may have failed, and there must have been enough.
    #[track_caller]
    pub(super) fn stop(self, during: &str) {
        let tallies = self.0.stop(during);
        let requests: u64 = tallies.iter().map(|(_, tally)| tally.requests).sum();
        assert!(requests >= at_least(), "{during}: only {requests} requests");
    }
}
