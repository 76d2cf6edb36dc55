//! Clients of several habits at the same time, none of which may lose a request.

use std::net::SocketAddr;

use super::release::Version;
use crate::support::load::{Hold, Tally};

/// The requests of one experiment are at least so many, however soon it is over; fewer with
/// NUNCIO_E2E_REQUESTS, where a machine has other work. Seven of them make more than 200,000.
fn at_least() -> u64 {
    std::env::var("NUNCIO_E2E_REQUESTS").map_or(34_000, |text| text.parse().expect("a number"))
}

/// Running clients.
#[derive(Debug)]
pub(super) struct Traffic {
    clients: Vec<Hold>,
}

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
        Self { clients }
    }

    /// Ends them; not one request may have failed. The table says how many there were in all,
    /// and how many while the change was made.
    #[track_caller]
    pub(super) fn stop(self, during: &str) {
        self.clients.iter().for_each(Hold::interrupt);
        let mut complaints = Vec::new();
        let (mut requests, mut meanwhile, mut failed) = (0, 0, 0);
        for client in self.clients {
            let name = client.name().to_owned();
            let tally = client.wait();
            row(during, &name, [tally.requests, tally.asked, tally.failed]);
            requests += tally.requests;
            meanwhile += tally.asked;
            failed += tally.failed;
            if tally.failed > 0 || tally.requests == 0 {
                complaints.push(describe(&name, &tally));
            }
        }
        row(during, "**all**", [requests, meanwhile, failed]);
        assert!(complaints.is_empty(), "{during}: {}", complaints.join("\n"));
        assert!(requests >= at_least(), "{during}: only {requests} requests");
    }
}

/// A line of the table: requests, those of them during the change, failed.
fn row(during: &str, client: &str, [requests, meanwhile, failed]: [u64; 3]) {
    println!("| {during} | {client} | {requests} | {meanwhile} | {failed} |");
}

fn describe(name: &str, tally: &Tally) -> String {
    let each: Vec<String> = tally
        .failures
        .iter()
        .map(|failure| format!("  {} after {} ms: {}", failure.at, failure.took_ms, failure.kind))
        .collect();
    format!(
        "{name}: {} of {} failed, {:?} {:?}, {} connections, {} closed idle\n{}",
        tally.failed,
        tally.requests,
        tally.status,
        tally.errors,
        tally.connections,
        tally.closed_idle,
        each.join("\n")
    )
}
