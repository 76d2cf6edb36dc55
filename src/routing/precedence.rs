//! Which of two routes that both match a request wins.
//!
//! The derived order of [`Precedence`] is the specification; the greatest wins. It is Emissary's
//! (IR/irhttpmapping `_route_weight`), with two additions: an exact path beats a prefix of the
//! same text, and full ties keep the oldest route, then the first by key.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::model::config::RouteGroup;
use crate::model::key::ObjectKey;
use crate::model::route::{HostMatch, PathMatchKind, RouteMatch, ValueMatch};

/// The rank of a route group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    /// The author's `precedence`.
    author: i64,
    /// The length of the path's text, a regular expression's included.
    path: u32,
    /// The lengths of all header constraints; host and method count as headers.
    headers: u32,
    /// The lengths of all query constraints.
    query: u32,
    /// Exact beats prefix of the same text.
    exact: bool,
    /// What is left where the numbers tie.
    rest: Rest,
}

/// The comparisons by text, made only where the numbers tie.
#[derive(Debug, Clone)]
struct Rest(Arc<RouteGroup>);

/// The rule by which one route beats another, for people to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecedenceRule {
    /// A larger `precedence`.
    Author,
    /// A longer path.
    PathLength,
    /// More or longer header constraints, host and method included.
    Headers,
    /// More or longer query constraints.
    Query,
    /// An exact path beats a prefix of the same text.
    ExactPath,
    /// The later text by alphabet.
    Text,
    /// The older object.
    Age,
    /// The first by name.
    Key,
}

impl Precedence {
    /// The rank of a group.
    pub fn of(group: &Arc<RouteGroup>) -> Self {
        let matches = group.matches();
        Self {
            author: group.precedence,
            path: rank(matches.path.text().len()),
            headers: rank(header_length(matches)),
            query: rank(matches.query.iter().map(|q| constraint_length(&q.name, &q.value)).sum()),
            exact: matches!(matches.path.kind, PathMatchKind::Exact(_)),
            rest: Rest(Arc::clone(group)),
        }
    }

    /// The group that it ranks.
    pub fn group(&self) -> &Arc<RouteGroup> {
        &self.rest.0
    }

    /// Why the greater of two ranks is the greater.
    pub fn rule_over(&self, other: &Self) -> PrecedenceRule {
        let (a, b) = (self, other);
        let rules = [
            (a.author != b.author, PrecedenceRule::Author),
            (a.path != b.path, PrecedenceRule::PathLength),
            (a.headers != b.headers, PrecedenceRule::Headers),
            (a.query != b.query, PrecedenceRule::Query),
            (a.exact != b.exact, PrecedenceRule::ExactPath),
            (a.rest.texts_cmp(&b.rest).is_ne(), PrecedenceRule::Text),
            (a.rest.age() != b.rest.age(), PrecedenceRule::Age),
        ];
        rules
            .into_iter()
            .find_map(|(decides, rule)| decides.then_some(rule))
            .unwrap_or(PrecedenceRule::Key)
    }
}

impl PrecedenceRule {
    /// The rule in words, as the end of a sentence about the winner.
    pub fn text(self) -> &'static str {
        match self {
            Self::Author => "it has the larger precedence",
            Self::PathLength => "its path is longer",
            Self::Headers => "its constraints on host, method and headers are longer",
            Self::Query => "its constraints on query parameters are longer",
            Self::ExactPath => "an exact path comes before a prefix of the same text",
            Self::Text => "its path, method or header text comes later in the alphabet",
            Self::Age => "it is older",
            Self::Key => "it comes first by kind, namespace and name",
        }
    }
}

impl Rest {
    fn texts_cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.matches(), other.0.matches());
        a.path
            .text()
            .cmp(b.path.text())
            .then_with(|| a.method.cmp(&b.method))
            .then_with(|| a.host.cmp(&b.host))
            .then_with(|| a.headers.cmp(&b.headers))
            .then_with(|| a.query.cmp(&b.query))
            // Reached by paths that differ only in how they are compared.
            .then_with(|| a.path.cmp(&b.path))
    }

    /// Older is greater.
    fn age(&self) -> Reverse<i64> {
        Reverse(self.0.first().created.unwrap_or(i64::MAX))
    }

    fn key(&self) -> Reverse<&ObjectKey> {
        Reverse(&self.0.first().key)
    }
}

impl Ord for Rest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.texts_cmp(other)
            .then_with(|| self.age().cmp(&other.age()))
            .then_with(|| self.key().cmp(&other.key()))
    }
}

impl PartialOrd for Rest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rest {}

/// No object is as long as would not fit.
fn rank(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn header_length(matches: &RouteMatch) -> usize {
    let host = matches.host.as_ref().map_or(0, |host| ":authority".len() + host_length(host));
    let method = matches.method.as_ref().map_or(0, |method| constraint_length(":method", method));
    let headers: usize =
        matches.headers.iter().map(|header| constraint_length(&header.name, &header.value)).sum();
    host + method + headers
}

fn host_length(host: &HostMatch) -> usize {
    match host {
        HostMatch::Any => 1,
        HostMatch::Exact(name) => name.len(),
        HostMatch::Suffix(part) | HostMatch::Prefix(part) => part.len() + 1,
        HostMatch::Regex(regex) => regex.as_str().len() + 1,
    }
}

/// Emissary's measure of a constraint: name and value, one more for a regular expression.
fn constraint_length(name: &str, value: &ValueMatch) -> usize {
    name.len()
        + match value {
            // Emissary has no such condition: it is the regular expression `.*` there.
            ValueMatch::Present => ".*".len() + 1,
            ValueMatch::Exact(text) => text.len(),
            ValueMatch::Regex(regex) => regex.as_str().len() + 1,
        }
}
