//! Which routes a request met, and why one of them won: the naive reading of the rules, for
//! people, and the oracle that the compiled table is tested against.

use std::sync::Arc;

use super::condition::{header_holds, host_holds, method_holds, path_holds, query_holds};
use super::listeners::HostTable;
use super::precedence::{Precedence, PrecedenceRule};
use super::table::{RequestHead, RouteTable};
use crate::model::config::{Leg, RouteGroup};

/// A group that a request met, best first.
#[derive(Debug, Clone)]
pub struct Considered {
    /// The group.
    pub group: Arc<RouteGroup>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a group.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// This member of it answers.
    Wins(Arc<Leg>),
    /// Its match holds too, but the winner comes first by this rule.
    Beaten(PrecedenceRule),
    /// Its weights leave this draw to lower routes.
    NoShare,
    /// Host and path lead to it, but this condition doesn't hold.
    Fails(String),
}

impl RouteTable {
    /// Every group whose host and path hold for the request, best first, with its outcome: what
    /// [`find_any`](Self::find_any) chooses from.
    pub fn explain(&self, head: &RequestHead<'_>) -> Vec<Considered> {
        self.consider(head, |group| group.matches().host.is_some())
    }

    /// The same of what a host serves.
    pub fn explain_at(&self, host: &HostTable, head: &RequestHead<'_>) -> Vec<Considered> {
        self.consider(head, |group| host.serves(group))
    }

    fn consider(
        &self,
        head: &RequestHead<'_>,
        is_served: impl Fn(&RouteGroup) -> bool,
    ) -> Vec<Considered> {
        let holds = |group: &&Arc<RouteGroup>| {
            let matches = group.matches();
            path_holds(&matches.path, head.path)
                && matches.host.as_ref().is_none_or(|host| host_holds(host, head.host))
                && is_served(group)
        };
        let mut ranked: Vec<Precedence> =
            self.config().groups.iter().filter(holds).map(Precedence::of).collect();
        ranked.sort_by(|a, b| b.cmp(a));
        let mut winner: Option<Precedence> = None;
        let mut considered = Vec::with_capacity(ranked.len());
        for precedence in ranked {
            let group = Arc::clone(precedence.group());
            let outcome = match (failure(&group, head), &winner, group.pick(head.draw)) {
                (Some(failure), _, _) => Outcome::Fails(failure),
                (None, Some(winner), _) => Outcome::Beaten(winner.rule_over(&precedence)),
                (None, None, None) => Outcome::NoShare,
                (None, None, Some(leg)) => Outcome::Wins(Arc::clone(leg)),
            };
            if matches!(outcome, Outcome::Wins(_)) {
                winner = Some(precedence);
            }
            considered.push(Considered { group, outcome });
        }
        considered
    }
}

/// The first condition that doesn't hold, in words.
fn failure(group: &RouteGroup, head: &RequestHead<'_>) -> Option<String> {
    let matches = group.matches();
    if !method_holds(matches, head) {
        return Some(format!("its method condition doesn't hold for {}", head.method));
    }
    let header = matches.headers.iter().find(|condition| !header_holds(condition, head.headers));
    if let Some(condition) = header {
        return Some(format!("its condition on header {} doesn't hold", condition.name));
    }
    let query = matches.query.iter().find(|condition| !query_holds(condition, head.query));
    query.map(|condition| {
        format!("its condition on query parameter {} doesn't hold", condition.name)
    })
}
