//! Where requests go. The requests are written by hand; their answers are generated.

use std::collections::BTreeMap;
use std::fs;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use nuncio::admin::explain::{self, Effect, Question};
use nuncio::model::cluster::Upstream;
use nuncio::model::config::Leg;
use nuncio::model::route::{Action, Forward, HostRewrite};
use nuncio::routing::{CanonicalPath, Found, RequestHead, redirect_location, rewrite_path};
use serde::{Deserialize, Serialize};

use crate::case::Case;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Why the request is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// `METHOD host/path?query`.
    request: String,
    /// Header by name; several values are separated by ` | ` and sent as several headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// The random number, 0 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draw: Option<u8>,
    /// The port that it comes to; the first listener's where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// It came by TLS, or a trusted proxy says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    secure: bool,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Default, Serialize, Deserialize)]
struct Answer {
    /// The object that answers, or `none`.
    #[serde(default)]
    route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
}

/// The text of `requests.yaml` with answers as they are now.
pub(crate) fn answer(case: &Case) -> String {
    let path = case.folder.join("requests.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}", path.display());
    });
    let mut entries: Vec<Entry> =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for entry in &mut entries {
        entry.answer = ask(case, entry);
    }
    serde_saphyr::to_string(&entries).unwrap()
}

fn ask(case: &Case, entry: &Entry) -> Answer {
    let (method, target) = entry.request.split_once(' ').expect("METHOD host/path");
    let (host, rest) = target.split_at(target.find('/').expect("a path"));
    let (raw, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let path = match CanonicalPath::parse(raw) {
        Ok(path) => path,
        Err(error) => return Answer { route: format!("refused: {error}"), ..Answer::default() },
    };
    let head = RequestHead {
        host,
        path: path.as_str(),
        query,
        method: &method.parse::<Method>().unwrap(),
        headers: &headers(&entry.headers),
        draw: entry.draw.unwrap_or(0),
    };
    let table = &case.table;
    let listener = match entry.port {
        Some(port) => table.listener(None, port).expect("a port that is listened on"),
        None => table.listeners().first().expect("a listener"),
    };
    let nothing = |text: &str| Answer { route: text.to_owned(), ..Answer::default() };
    let host = listener.host_by_authority(head.host);
    let found = host.map(|host| table.find(listener, host, entry.secure, &head));
    let explained = explained(case, listener.spec().port, entry, target);
    match found.unwrap_or(Found::NoRoute) {
        Found::Route(leg) => {
            let is_told = |answer: &explain::Answer| answer.object.ends_with(&*leg.key.name);
            assert!(explained.iter().any(is_told), "{}: {explained:?}", entry.request);
            describe(leg, &head)
        }
        Found::RedirectToHttps => {
            let action = explained.first().map(|answer| &answer.action);
            let is_told = matches!(action, Some(Effect::Redirect { status: 301, location }) if location.starts_with("https://"));
            assert!(is_told, "{}: {explained:?}", entry.request);
            nothing("to https")
        }
        Found::NoRoute => {
            // Another draw may be answered where weights are missing; and people write methods in
            // any case.
            let is_told = explained.iter().all(|answer| answer.percent < 100);
            assert!(is_told || method != method.to_uppercase(), "{}: {explained:?}", entry.request);
            nothing("none")
        }
    }
}

/// What `nuncio explain` says of the same request.
fn explained(case: &Case, port: u16, entry: &Entry, target: &str) -> Vec<explain::Answer> {
    let (host, path) = target.split_at(target.find('/').expect("a path"));
    let method = entry.request.split_once(' ').expect("METHOD host/path").0;
    let scheme = if entry.secure { "https" } else { "http" };
    let each = |(name, values): (&String, &String)| {
        values.split(" | ").map(|value| format!("{name}: {value}")).collect::<Vec<_>>()
    };
    let mut headers: Vec<String> = entry.headers.iter().flat_map(each).collect();
    headers.push(format!("host: {host}"));
    let url = format!("{scheme}://any:{port}{path}");
    let question = Question::parse(method, &url, &headers).expect("a question");
    explain::explain(&case.served(), &question).answers
}

fn headers(texts: &BTreeMap<String, String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in texts {
        for value in values.split(" | ") {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }
    headers
}

fn describe(leg: &Leg, head: &RequestHead<'_>) -> Answer {
    let matched = &leg.route.matches.path;
    let mut answer =
        Answer { route: format!("{}/{}", leg.key.namespace, leg.key.name), ..Answer::default() };
    match &leg.route.action {
        Action::Forward(forward) => {
            let path = rewrite_path(forward, matched, head.path);
            let query = head.query.map_or(String::new(), |query| format!("?{query}"));
            let path = path.as_deref().unwrap_or(head.path);
            answer.cluster = Some(forward.cluster.name.to_string());
            answer.upstream =
                Some(format!("{} {}{path}{query}", head.method, upstream_host(forward, head)));
        }
        Action::Redirect(redirect) => {
            let location = redirect_location(redirect, matched, "http", head.path, head.query);
            answer.redirect = Some(format!("{} {location}", redirect.status.as_u16()));
        }
        Action::Mirror(_) => unreachable!("a mirror answers nobody"),
        Action::Probe(probe) => answer.upstream = Some(format!("{probe:?}")),
    }
    answer
}

fn upstream_host(forward: &Forward, head: &RequestHead<'_>) -> String {
    match &forward.host {
        HostRewrite::Keep => head.host.to_owned(),
        HostRewrite::Literal(host) => host.to_string(),
        HostRewrite::Upstream => match &forward.cluster.upstream {
            Upstream::Name { host, .. } => host.to_string(),
            other => other.authority(),
        },
    }
}
