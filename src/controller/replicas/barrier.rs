//! PURE: which replicas there are, how far each has come, and whether all that get requests serve
//! what one of them does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::source::versions::Versions;

/// Names in a message; more are counted.
const NAMED: usize = 3;

/// What is known of the other replicas. The default is a gateway that runs alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replicas {
    /// Whether the list is complete.
    pub membership: Membership,
    /// By their names, ourselves left out.
    pub by_name: BTreeMap<Arc<str>, Replica>,
}

/// Whether the list of replicas is complete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Membership {
    /// It is.
    #[default]
    Known,
    /// It isn't; the text says why.
    Unknown(Arc<str>),
}

/// Another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its admin port.
    pub address: SocketAddr,
    /// Whether Kubernetes sends it requests.
    pub serving: bool,
    /// The connection to it.
    pub link: Link,
    /// What it said last. A replica never goes back, so that this stays true when it falls silent.
    pub said: Option<Said>,
}

/// A connection to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// None yet.
    Connecting,
    /// It speaks.
    Connected,
    /// It doesn't; the text says why.
    Lost(Arc<str>),
}

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The name it goes by as a candidate for the lease.
    pub instance: String,
    /// The program's version.
    pub version: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// How far what it serves has come.
    pub served: Versions,
}

/// Whether all replicas that get requests serve something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// They do.
    Confirmed,
    /// They may not: which there are isn't known; the text says why.
    Unknown(Arc<str>),
    /// These haven't said so, for that reason; in order of their names.
    Waiting(Vec<(Arc<str>, Arc<str>)>),
}

impl Replica {
    /// Whether it gets requests, or is about to: Kubernetes learns of both a moment later than
    /// the replica itself.
    fn counts(&self) -> bool {
        match (&self.link, &self.said) {
            (Link::Connected, Some(said)) => said.ready,
            _ => self.serving,
        }
    }

    /// Why it hasn't confirmed `needed`; `None` if it has.
    fn lack(&self, needed: &Versions) -> Option<Arc<str>> {
        if self.said.as_ref().is_some_and(|said| said.served.covers(needed)) {
            return None;
        }
        Some(match &self.link {
            Link::Connecting => "not connected yet".into(),
            Link::Connected => "it is behind".into(),
            Link::Lost(reason) => Arc::clone(reason),
        })
    }
}

impl Replicas {
    /// Replicas that aren't known, for this reason.
    pub fn unknown(reason: &str) -> Self {
        Self { membership: Membership::Unknown(reason.into()), by_name: BTreeMap::new() }
    }

    /// Only the replica that leads follows the others.
    pub fn not_leading() -> Self {
        Self::unknown("this replica does not lead")
    }

    /// Whether all of them that get requests have taken in `needed`.
    pub fn judge(&self, needed: &Versions) -> Judgement {
        if let Membership::Unknown(reason) = &self.membership {
            return Judgement::Unknown(Arc::clone(reason));
        }
        let counting = self.by_name.iter().filter(|(_, replica)| replica.counts());
        let waiting: Vec<_> = counting
            .filter_map(|(name, replica)| Some((Arc::clone(name), replica.lack(needed)?)))
            .collect();
        if waiting.is_empty() { Judgement::Confirmed } else { Judgement::Waiting(waiting) }
    }
}

impl Judgement {
    /// The message of a condition that isn't true yet. It names nothing that changes by itself,
    /// so that it is written once.
    pub(super) fn pending_text(&self) -> String {
        match self {
            Self::Confirmed => String::new(),
            Self::Unknown(reason) => {
                format!("Not known yet whether every replica serves this generation: {reason}")
            }
            Self::Waiting(replicas) => format!(
                "Waiting until every replica serves this generation; not yet confirmed by {}",
                list(replicas, |(name, _)| name.to_string())
            ),
        }
    }

    /// What a condition adds that is true but for these, who had `grace` seconds.
    pub(super) fn except_text(&self, grace: u64) -> String {
        match self {
            Self::Confirmed => String::new(),
            Self::Unknown(reason) => {
                format!(", except that it is not known which other replicas there are: {reason}")
            }
            Self::Waiting(replicas) => {
                let verb = if replicas.len() == 1 { "has" } else { "have" };
                let names = match replicas.as_slice() {
                    [(name, reason)] => return one_text(name, verb, grace, reason),
                    more => list(more, |(name, reason)| format!("{name} ({reason})")),
                };
                format!(", except that {names} {verb} not confirmed it for more than {grace} s")
            }
        }
    }
}

fn one_text(name: &str, verb: &str, grace: u64, reason: &str) -> String {
    format!(
        ", except that replica {name} {verb} not confirmed it for more than {grace} s: {reason}"
    )
}

/// The first few, and how many more there are.
fn list<T>(all: &[T], show: impl Fn(&T) -> String) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(show).collect();
    let more = match all.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
#[path = "barrier_tests.rs"]
mod tests;
