//! Which route answers a request, which ones it beat and why, and what is sent upstream: one
//! answer for `nuncio explain` and for `/ambassador/v0/diag/explain`.

mod answers;
mod connection;
mod question;

use serde::{Deserialize, Serialize};

pub use self::connection::TlsAnswer;
pub use self::question::{Question, QuestionError};
use super::describe;
use super::values::{self, Effective, Origins, Process};
use crate::model::Build;
use crate::model::listener::{InsecureAction, VirtualHost};
use crate::routing::{Considered, ListenerTable, Outcome, RouteTable};

/// What is served, and what has to be known to say where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The table.
    pub table: &'a RouteTable,
    /// What it was compiled from.
    pub build: &'a Build,
    /// What the process was told.
    pub process: Process,
    /// The time in seconds since 1970; 0 is not known.
    pub now: i64,
}

impl Served<'_> {
    fn origins(&self) -> Origins<'_> {
        Origins { build: self.build, process: self.process }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The request as the matchers see it: `METHOD host canonical-path?query`.
    pub request: String,
    /// The port that it is taken to come by.
    #[serde(default)]
    pub listener: Option<Part>,
    /// Who ends its TLS; `None` of a request in cleartext.
    #[serde(default)]
    pub tls: Option<TlsAnswer>,
    /// The Hosts of its name there, each with what it makes of the request. Empty is 404.
    #[serde(default)]
    pub hosts: Vec<Part>,
    /// What answers it: one, or several by weight. Empty is 404, or the end of a connection.
    pub answers: Vec<Answer>,
    /// Every route whose host and path hold, best first.
    pub considered: Vec<Candidate>,
    /// Why it is refused before it meets any route.
    #[serde(default)]
    pub refused: Option<String>,
    /// What holds for all requests.
    #[serde(default)]
    pub gateway: Vec<Effective>,
}

/// Something on a request's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, and what it makes of the request, in words.
    pub told: String,
    /// Its effective values.
    pub values: Vec<Effective>,
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
    /// Who gets copies.
    #[serde(default)]
    pub copies: Option<Copies>,
    /// Every effective value.
    #[serde(default)]
    pub values: Vec<Effective>,
}

/// Who gets copies of requests that others answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Percent of the requests.
    pub percent: u8,
    /// The object that asked for them.
    pub object: String,
    /// Where it was written.
    pub origin: String,
    /// The service as the author wrote it.
    pub service: String,
    /// The cluster's name.
    pub cluster: String,
    /// Where its addresses come from.
    pub upstream: String,
    /// What is asked of it.
    pub values: Vec<Effective>,
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
    /// The bytes of the connection are passed on.
    Connect {
        /// The service as the author wrote it.
        service: String,
        /// The cluster's name.
        cluster: String,
        /// Where its addresses come from.
        upstream: String,
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

/// Asks what is served.
pub fn explain(served: &Served<'_>, question: &Question) -> Explanation {
    let listener = listener_of(served.table, question);
    let origins = served.origins();
    let mut explanation = Explanation {
        request: question.to_string(),
        listener: listener.map(|listener| Part {
            told: describe_listener(listener),
            values: values::of_listener(listener.spec(), &origins),
        }),
        tls: None,
        hosts: Vec::new(),
        answers: Vec::new(),
        considered: Vec::new(),
        refused: None,
        gateway: Vec::new(),
    };
    let Some(listener) = listener else { return explanation };
    if question.is_secure() {
        explanation.tls = Some(connection::tls_answer(served, listener, question));
    }
    if question.is_connection() {
        explanation.answers = connection::answers(served, listener, question);
        return explanation;
    }
    explanation.gateway = values::of_http(&origins);
    let http = &served.build.config.http;
    let question = &match question.admitted(http, listener.spec().port) {
        Ok(question) => question,
        Err(why) => return Explanation { refused: Some(why.to_owned()), ..explanation },
    };
    explanation.request = question.to_string();
    let Some(host) = listener.host_by_authority(&question.host) else { return explanation };
    let considered = served.table.explain_at(host, &question.head(0));
    explanation.hosts = host
        .hosts()
        .map(|host| Part { told: describe_host(host), values: values::of_host(host, &origins) })
        .collect();
    explanation.answers = answers::answers(served, (listener, host), question, &considered);
    explanation.considered = considered.iter().map(candidate).collect();
    explanation
}

/// The port that a request comes by: the one that it names, else the first that speaks its scheme.
fn listener_of<'t>(table: &'t RouteTable, question: &Question) -> Option<&'t ListenerTable> {
    let is_named = |one: &&ListenerTable| Some(one.spec().port) == question.port;
    if question.is_connection() {
        return table.listeners().iter().find(is_named);
    }
    let speaks_http = || table.listeners().iter().filter(|one| one.spec().stack.http);
    let by_port = speaks_http().find(is_named);
    let by_scheme = || speaks_http().find(|one| one.spec().stack.tls == question.is_secure());
    by_port.or_else(by_scheme).or_else(|| speaks_http().next())
}

fn describe_listener(listener: &ListenerTable) -> String {
    let spec = listener.spec();
    match &spec.key {
        Some(key) => format!("{}, port {}", describe::object(key), spec.port),
        None if spec.stack.http => {
            format!("port {}, which is open while there is no Listener", spec.port)
        }
        None => format!("port {}, which TCPMappings have opened", spec.port),
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
