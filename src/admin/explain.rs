//! Which route answers a request, which ones it beat and why, and what is sent upstream: one
//! answer for `nuncio explain` and for `/ambassador/v0/diag/explain`.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};

use super::describe;
use crate::model::config::Leg;
use crate::model::route::{Action, Probe};
use crate::routing::{
    CanonicalPath, Considered, Outcome, RequestHead, RouteTable, redirect_location, rewrite_path,
};

/// The host that is asked for where the URL names none.
const NO_HOST: &str = "localhost";

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Question {
    method: Method,
    scheme: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// Why a question can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Not a method.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
    /// Not a URL.
    #[error("{0:?} is neither a URL (http://host/path) nor a path (/path)")]
    Url(String),
    /// Not a header.
    #[error("{0:?} is not a header; write 'Name: value'")]
    Header(String),
    /// A path that the gateway refuses.
    #[error("the gateway refuses this path: {0}")]
    Path(#[from] crate::routing::PathError),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The request as the matchers see it: `METHOD host canonical-path?query`.
    pub request: String,
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

impl Question {
    /// A request from texts as people write them. A URL without a host asks for `localhost`,
    /// unless there is a Host header.
    pub fn parse(method: &str, url: &str, headers: &[String]) -> Result<Self, QuestionError> {
        let uri: Uri = url.parse().map_err(|_| QuestionError::Url(url.to_owned()))?;
        // A path, or a whole URL: `example.com/x` is neither.
        if !url.starts_with('/') && (uri.scheme().is_none() || uri.authority().is_none()) {
            return Err(QuestionError::Url(url.to_owned()));
        }
        let mut question = Self {
            method: method
                .to_ascii_uppercase()
                .parse()
                .map_err(|_| QuestionError::Method(method.to_owned()))?,
            scheme: uri.scheme_str().unwrap_or("http").to_owned(),
            host: String::new(),
            path: CanonicalPath::parse(uri.path())?.as_str().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: HeaderMap::new(),
        };
        for header in headers {
            let (name, value) = parse_header(header)?;
            question.headers.append(name, value);
        }
        let host = question.headers.remove(http::header::HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(http::uri::Authority::as_str);
        question.host = host.or(authority).unwrap_or(NO_HOST).to_owned();
        Ok(question)
    }

    fn head(&self, draw: u8) -> RequestHead<'_> {
        RequestHead {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
            draw,
        }
    }

    fn with_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), QuestionError> {
    let wrong = || QuestionError::Header(text.to_owned());
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}

/// Asks the table.
pub fn explain(table: &RouteTable, question: &Question) -> Explanation {
    let considered = table.explain(&question.head(0));
    Explanation {
        request: format!(
            "{} {} {}",
            question.method,
            question.host,
            question.with_query(&question.path)
        ),
        answers: answers(table, question, &considered),
        considered: considered.iter().map(candidate).collect(),
    }
}

/// Asks the table once for every range of draws that its weights tell apart.
fn answers(table: &RouteTable, question: &Question, considered: &[Considered]) -> Vec<Answer> {
    let mut borders = BTreeSet::from([0, 100]);
    for leg in considered.iter().flat_map(|considered| &considered.group.legs) {
        borders.extend([leg.share.from.min(100), leg.share.to.min(100)]);
    }
    let borders: Vec<u8> = borders.into_iter().collect();
    let mut answers: Vec<(&Leg, u8)> = Vec::new();
    for range in borders.windows(2) {
        let Some(leg) = table.find_any(&question.head(range[0])) else { continue };
        let percent = range[1] - range[0];
        match answers.iter_mut().find(|(known, _)| known.key == leg.key) {
            Some((_, known)) => *known += percent,
            None => answers.push((leg, percent)),
        }
    }
    answers
        .into_iter()
        .map(|(leg, percent)| Answer {
            percent,
            object: describe::object(&leg.key),
            origin: describe::origin(&leg.key.origin),
            action: effect(leg, question),
        })
        .collect()
}

fn effect(leg: &Leg, question: &Question) -> Effect {
    let route = &leg.route;
    match &route.action {
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
        Action::Probe(Probe::Alive) => Effect::Probe { of: "alive".to_owned() },
        Action::Probe(Probe::Ready) => Effect::Probe { of: "ready".to_owned() },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_people_write_them() {
        let none: &[String] = &[];
        let question = Question::parse("get", "http://a.example:8080/x/../y?z=1", none).unwrap();
        assert_eq!((question.host.as_str(), question.path.as_str()), ("a.example:8080", "/y"));
        assert_eq!(question.query.as_deref(), Some("z=1"));
        assert_eq!(Question::parse("GET", "/x", none).unwrap().host, NO_HOST);
        let headers = ["Host: b.example".to_owned(), "x-user:ada".to_owned()];
        let question = Question::parse("PATCH", "http://a.example/", &headers).unwrap();
        assert_eq!(question.host, "b.example");
        assert_eq!(question.headers.len(), 1);
        assert_eq!(question.headers["x-user"], "ada");
    }

    #[test]
    fn mistakes_are_told() {
        let ask = |method: &str, url: &str, header: &str| {
            Question::parse(method, url, &[header.to_owned()]).map(|_| ()).unwrap_err()
        };
        assert_eq!(ask("G T", "/", "a: b"), QuestionError::Method("G T".into()));
        assert_eq!(ask("GET", "example.com/x", "a: b"), QuestionError::Url("example.com/x".into()));
        assert_eq!(ask("GET", "", "a: b"), QuestionError::Url("".into()));
        assert_eq!(ask("GET", "/", "nope"), QuestionError::Header("nope".into()));
        assert!(matches!(ask("GET", "/%00", "a: b"), QuestionError::Path(_)));
    }
}
