//! Which route answers a request, which ones it beat and why, and what is sent upstream: one
//! answer for `nuncio explain` and for `/ambassador/v0/diag/explain`.

mod question;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::question::{Question, QuestionError};
use super::describe;
use crate::model::config::Leg;
use crate::model::listener::{InsecureAction, VirtualHost};
use crate::model::route::{Action, Probe};
use crate::routing::{
    Considered, Found, HostTable, ListenerTable, Outcome, RouteTable, https_location,
    redirect_location, rewrite_path,
};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The request as the matchers see it: `METHOD host canonical-path?query`.
    pub request: String,
    /// The port that it is taken to come by.
    #[serde(default)]
    pub listener: String,
    /// The Hosts of its name there, each with what it makes of the request. Empty is 404.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What answers it: one, or several by weight. Empty is 404.
    pub answers: Vec<Answer>,
    /// Every route whose host and path hold, best first.
    pub considered: Vec<Candidate>,
}

/// What answers some of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Percent of such requests.
    pub percent: u8,
    /// The object that asked for the route.
    pub object: String,
    /// Where it was written.
    pub origin: String,
    /// What happens.
    pub action: Effect,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It goes upstream.
    Forward {
        /// The service as the author wrote it.
        service: String,
        /// The cluster's name.
        cluster: String,
        /// Where its addresses come from.
        upstream: String,
        /// Method, path and query as they are sent.
        request_line: String,
        /// The host that is sent.
        host: String,
        /// Edits of the request's headers, in order.
        request_headers: Vec<String>,
        /// Edits of the response's headers, in order.
        response_headers: Vec<String>,
        /// Limit for the response in milliseconds; `null` is none.
        timeout_ms: Option<u64>,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// The status code.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The gateway answers.
    Probe {
        /// `alive` or `ready`.
        of: String,
    },
}

/// A route that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The objects that share the match.
    pub objects: Vec<String>,
    /// The match in words.
    pub matches: String,
    /// What became of it.
    pub verdict: CandidateVerdict,
    /// Why, in words.
    pub why: String,
}

/// What became of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateVerdict {
    /// It answers.
    Wins,
    /// It holds too, but comes later.
    Beaten,
    /// It holds, but its weights leave this request to others.
    NoShare,
    /// One of its conditions doesn't hold.
    Fails,
}

/// Asks the table.
pub fn explain(table: &RouteTable, question: &Question) -> Explanation {
    let listener = listener_of(table, question);
    let host = listener.and_then(|listener| listener.host_by_authority(&question.host));
    let considered = host.map(|host| table.explain_at(host, &question.head(0)));
    let considered = considered.unwrap_or_default();
    Explanation {
        request: format!(
            "{} {} {}",
            question.method,
            question.host,
            question.with_query(&question.path)
        ),
        listener: listener.map(describe_listener).unwrap_or_default(),
        hosts: host
            .into_iter()
            .flat_map(HostTable::hosts)
            .map(|host| describe_host(host))
            .collect(),
        answers: match (listener, host) {
            (Some(listener), Some(host)) => answers(table, (listener, host), question, &considered),
            _ => Vec::new(),
        },
        considered: considered.iter().map(candidate).collect(),
    }
}

/// The port that a request comes by: the one that it names, else the first that speaks its scheme.
fn listener_of<'t>(table: &'t RouteTable, question: &Question) -> Option<&'t ListenerTable> {
    let speaks_http = || table.listeners().iter().filter(|one| one.spec().stack.http);
    let by_port = speaks_http().find(|one| Some(one.spec().port) == question.port);
    let by_scheme = || speaks_http().find(|one| one.spec().stack.tls == question.is_secure());
    by_port.or_else(by_scheme).or_else(|| speaks_http().next())
}

fn describe_listener(listener: &ListenerTable) -> String {
    let spec = listener.spec();
    match &spec.key {
        Some(key) => format!("{}, port {}", describe::object(key), spec.port),
        None => format!("port {}, which is open while there is no Listener", spec.port),
    }
}

fn describe_host(host: &VirtualHost) -> String {
    let name = match &host.key {
        Some(key) => describe::object(key),
        None => "every host, while there is no Host".to_owned(),
    };
    let what = match (host.closed, host.insecure) {
        (true, _) => "closed: its status says why",
        (false, InsecureAction::Redirect) => "insecure requests are sent to https",
        (false, InsecureAction::Reject) => "insecure requests find nothing",
        (false, InsecureAction::Route) => "insecure requests are served",
    };
    format!("{name} ({what})")
}

/// Asks the table once for every range of draws that its weights tell apart.
fn answers(
    table: &RouteTable,
    (listener, host): (&ListenerTable, &HostTable),
    question: &Question,
    considered: &[Considered],
) -> Vec<Answer> {
    let mut borders = BTreeSet::from([0, 100]);
    for leg in considered.iter().flat_map(|considered| &considered.group.legs) {
        borders.extend([leg.share.from.min(100), leg.share.to.min(100)]);
    }
    let borders: Vec<u8> = borders.into_iter().collect();
    let mut answers: Vec<Answer> = Vec::new();
    for range in borders.windows(2) {
        let head = question.head(range[0]);
        let found = match table.find(listener, host, question.is_secure(), &head) {
            Found::Route(leg) => answer_of(leg, question),
            Found::RedirectToHttps => Some(answer_to_https(host, question)),
            Found::NoRoute => None,
        };
        let Some(found) = found else { continue };
        let percent = range[1] - range[0];
        match answers.iter_mut().find(|known| known.object == found.object) {
            Some(known) => known.percent += percent,
            None => answers.push(Answer { percent, ..found }),
        }
    }
    answers
}

fn answer_of(leg: &Leg, question: &Question) -> Option<Answer> {
    Some(Answer {
        percent: 0,
        object: describe::object(&leg.key),
        origin: describe::origin(&leg.key.origin),
        action: effect(leg, question)?,
    })
}

fn answer_to_https(host: &HostTable, question: &Question) -> Answer {
    let key = host.hosts().find_map(|host| host.key.as_ref());
    Answer {
        percent: 0,
        object: key.map(|key| describe::object(key)).unwrap_or_default(),
        origin: key.map(|key| describe::origin(&key.origin)).unwrap_or_default(),
        action: Effect::Redirect {
            status: 301,
            location: https_location(&question.host, &question.with_query(&question.path)),
        },
    }
}

/// What a route does with the request; a mirror does nothing for who asks.
fn effect(leg: &Leg, question: &Question) -> Option<Effect> {
    let route = &leg.route;
    Some(match &route.action {
        Action::Forward(forward) => {
            let path = rewrite_path(forward, &route.matches.path, &question.path);
            let path = question.with_query(path.as_deref().unwrap_or(&question.path));
            let upstream = &forward.cluster.upstream;
            Effect::Forward {
                service: forward.cluster.service.to_string(),
                cluster: forward.cluster.name.to_string(),
                upstream: describe::upstream(upstream),
                request_line: format!("{} {path}", question.method),
                host: describe::upstream_host(&forward.host, &question.host, upstream),
                request_headers: describe::header_edits(&route.request_headers),
                response_headers: describe::header_edits(&route.response_headers),
                timeout_ms: route
                    .policy
                    .timeout()
                    .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            }
        }
        Action::Redirect(redirect) => Effect::Redirect {
            status: redirect.status.as_u16(),
            location: redirect_location(
                redirect,
                &route.matches.path,
                &question.scheme,
                &question.path,
                question.query.as_deref(),
            ),
        },
        Action::Mirror(_) => return None,
        Action::Probe(Probe::Alive) => Effect::Probe { of: "alive".to_owned() },
        Action::Probe(Probe::Ready) => Effect::Probe { of: "ready".to_owned() },
    })
}

fn candidate(considered: &Considered) -> Candidate {
    let (verdict, why) = match &considered.outcome {
        Outcome::Wins(_) => (CandidateVerdict::Wins, "it answers".to_owned()),
        Outcome::Beaten(rule) => {
            (CandidateVerdict::Beaten, format!("the winner comes first: {}", rule.text()))
        }
        Outcome::NoShare => (
            CandidateVerdict::NoShare,
            "its weights add up to less than 100 and leave this request to others".to_owned(),
        ),
        Outcome::Fails(condition) => (CandidateVerdict::Fails, condition.clone()),
    };
    Candidate {
        objects: considered.group.legs.iter().map(|leg| describe::object(&leg.key)).collect(),
        matches: describe::route_match(considered.group.matches()),
        verdict,
        why,
    }
}
