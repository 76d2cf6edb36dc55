//! What a route asks for: a match, an action, and the edits around it.
//!
//! Neutral: every kind that routes HTTP is parsed into [`Route`].

use std::sync::Arc;

use http::{HeaderName, StatusCode};

use super::cluster::Cluster;
use super::policy::RoutePolicy;
use super::regex::Regex;
use super::template::Template;

/// One route: which requests, and what happens to them.
///
/// `U` is the upstream: a [`Cluster`] in what is served, and in what was written an
/// [`UpstreamSpec`](super::written::UpstreamSpec), of which a build makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Route<U = Arc<Cluster>> {
    /// Which requests.
    pub matches: Arc<RouteMatch>,
    /// The author's own rank, compared before everything else; larger wins. Mapping's `precedence`.
    pub precedence: i64,
    /// The share of the group's requests in percent, where the author gave one.
    pub weight: Option<u8>,
    /// What happens to a matching request.
    pub action: Action<U>,
    /// Header edits on the way to the upstream.
    pub request_headers: Arc<HeaderEdits>,
    /// Header edits on the way to the client.
    pub response_headers: Arc<HeaderEdits>,
    /// Time limits, retries and whatever else it asks for.
    pub policy: Arc<RoutePolicy>,
}

/// Which requests a route takes. Equal matches form one route group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteMatch {
    /// The host; `None` means that the author named none, so that nothing attaches the route
    /// unless something else does by its labels.
    pub host: Option<HostMatch>,
    /// The canonical path.
    pub path: PathMatch,
    /// The method; `None` is any.
    pub method: Option<ValueMatch>,
    /// Header conditions, all of which must hold, sorted by name.
    pub headers: Vec<HeaderMatch>,
    /// Query conditions, all of which must hold, sorted by name.
    pub query: Vec<QueryMatch>,
}

/// A condition on the request's host. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostMatch {
    /// `*`.
    Any,
    /// This very name.
    Exact(Arc<str>),
    /// `*x`: what follows the star. At least one character must stand for the star.
    Suffix(Arc<str>),
    /// `x*`: what precedes the star. At least one character must stand for the star.
    Prefix(Arc<str>),
    /// A regular expression over the whole name.
    Regex(Regex),
}

/// A condition on the request's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathMatch {
    /// How `text` is compared.
    pub kind: PathMatchKind,
    /// Whether letters of different case differ (never for regexes, which say it themselves).
    pub case_sensitive: bool,
}

/// The three ways to compare a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathMatchKind {
    /// The path equals the text.
    Exact(Arc<str>),
    /// The path begins with the text; not segment-aware (emissary: `/foo` matches `/foobar`).
    Prefix(Arc<str>),
    /// The whole path matches.
    Regex(Regex),
}

impl PathMatch {
    /// The text as the author wrote it.
    pub fn text(&self) -> &str {
        match &self.kind {
            PathMatchKind::Exact(text) | PathMatchKind::Prefix(text) => text,
            PathMatchKind::Regex(regex) => regex.as_str(),
        }
    }
}

/// A condition on one string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueMatch {
    /// It is there, whatever it is.
    Present,
    /// It equals the text.
    Exact(Arc<str>),
    /// All of it matches.
    Regex(Regex),
}

/// A condition on a header; several values are joined by a comma before they are compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderMatch {
    /// The header's name in lower case.
    pub name: Arc<str>,
    /// The condition on its value.
    pub value: ValueMatch,
}

/// A condition on the first query parameter of a name, as it was sent (not decoded).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryMatch {
    /// The parameter's name.
    pub name: Arc<str>,
    /// The condition on its value.
    pub value: ValueMatch,
}

/// What happens to a matching request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<U = Arc<Cluster>> {
    /// It goes to a cluster.
    Forward(Forward<U>),
    /// The client is sent elsewhere.
    Redirect(Arc<Redirect>),
    /// A cluster gets copies of the requests that others of its group serve; its answers are
    /// dropped. Emissary: `shadow`.
    Mirror(U),
    /// The gateway answers itself with its own health.
    Probe(Probe),
}

impl<U> Action<U> {
    /// The cluster that requests or their copies go to.
    pub fn cluster(&self) -> Option<&U> {
        match self {
            Self::Forward(forward) => Some(&forward.cluster),
            Self::Mirror(cluster) => Some(cluster),
            Self::Redirect(_) | Self::Probe(_) => None,
        }
    }
}

/// Health endpoints that the data ports answer as Emissary's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `/ambassador/v0/check_alive`.
    Alive,
    /// `/ambassador/v0/check_ready`.
    Ready,
}

/// How a request goes upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward<U = Arc<Cluster>> {
    /// Where to.
    pub cluster: U,
    /// What becomes of the path.
    pub path: PathRewrite,
    /// What becomes of the host.
    pub host: HostRewrite,
}

/// What becomes of the path on its way upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// Nothing.
    Keep,
    /// The matched text is replaced: the prefix, or all of an exact or regex match.
    Matched(Arc<str>),
    /// Every match of the pattern is replaced.
    Regex(Arc<RegexSubstitution>),
}

/// RE2 substitution: `\1` is the first group, `\0` the whole match, `\\` a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexSubstitution {
    /// Searched in the path.
    pub pattern: Regex,
    /// What replaces each match, in pieces.
    pub replacement: Vec<SubstitutionPart>,
}

/// A piece of a substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubstitutionPart {
    /// Text as it stands.
    Text(Arc<str>),
    /// The text of a capturing group.
    Group(usize),
}

/// What becomes of the host on its way upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRewrite {
    /// The client's host is kept.
    Keep,
    /// A literal.
    Literal(Arc<str>),
    /// The upstream's DNS name.
    Upstream,
}

/// Where a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Host, with its port if one was written.
    pub authority: Arc<str>,
    /// What becomes of the path; the query is kept.
    pub path: RedirectPath,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// What becomes of the path in a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPath {
    /// It is kept.
    Keep,
    /// It is replaced.
    Replace(Arc<str>),
    /// The matched prefix is replaced.
    ReplaceMatched(Arc<str>),
    /// Every match of a pattern is replaced.
    Regex(RegexSubstitution),
}

/// Header edits in one direction; removal comes before addition, as in Envoy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Headers to remove.
    pub remove: Vec<HeaderName>,
    /// Headers to add.
    pub add: Vec<HeaderAdd>,
}

impl HeaderEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// One header to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderAdd {
    /// Its name.
    pub name: HeaderName,
    /// Its value; one that yields nothing adds no header.
    pub value: Template,
    /// Whether it joins the values that are there or replaces them.
    pub append: bool,
}
