//! Clients of several habits at the same time, none of which may lose a request.

use super::load::{Hold, Tally};

/// Running clients.
#[derive(Debug)]
pub(crate) struct Traffic {
    clients: Vec<Hold>,
}

impl Traffic {
    /// Clients that have been started.
    pub(crate) fn of(clients: Vec<Hold>) -> Self {
        Self { clients }
    }

    /// Ends them; not one request may have failed. The table says how many there were of each and
    /// in all, and how many while the change was made. Gives what became of them, by name.
    #[track_caller]
    pub(crate) fn stop(self, during: &str) -> Vec<(String, Tally)> {
        self.clients.iter().for_each(Hold::interrupt);
        println!();
        let mut tallies = Vec::new();
        let (mut requests, mut meanwhile, mut failed, mut slowest) = (0, 0, 0, 0);
        for client in self.clients {
            let name = client.name().to_owned();
            let tally = client.wait();
            row(during, &name, [tally.requests, tally.asked, tally.failed, tally.slowest_ms]);
            requests += tally.requests;
            meanwhile += tally.asked;
            failed += tally.failed;
            slowest = slowest.max(tally.slowest_ms);
            tallies.push((name, tally));
        }
        row(during, "**all**", [requests, meanwhile, failed, slowest]);
        let bad = tallies.iter().filter(|(_, tally)| tally.failed > 0 || tally.requests == 0);
        let complaints: Vec<String> = bad.map(|(name, tally)| describe(name, tally)).collect();
        assert!(complaints.is_empty(), "{during}: {}", complaints.join("\n"));
        tallies
    }
}

/// A line of the table: requests, those of them during the change, failed, and the slowest in ms.
fn row(during: &str, client: &str, [requests, meanwhile, failed, slowest]: [u64; 4]) {
    println!("| {during} | {client} | {requests} | {meanwhile} | {failed} | {slowest} ms |");
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
