//! What is asked of `explain`: a request that nobody sent, or a connection that nobody made.

use std::fmt;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::model::policy::{EscapedSlashes, HttpPolicy, UnderscoresAction};
use crate::routing::{CanonicalPath, RequestHead};

/// The host that is asked for where the URL names none.
const NO_HOST: &str = "localhost";

/// The schemes of connections, without TLS and with it.
const CONNECTIONS: [&str; 2] = ["tcp", "tls"];

/// A request that nobody sent, or a connection that nobody made.
#[derive(Debug, Clone)]
pub struct Question {
    pub(super) method: Method,
    pub(super) scheme: String,
    /// The name that TLS asks for; `None` of an address.
    pub(super) server_name: Option<String>,
    pub(super) host: String,
    /// The port that the URL or the Host header names.
    pub(super) port: Option<u16>,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
}

/// Why a question can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Not a method.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
    /// Not a URL.
    #[error(
        "{0:?} is neither a URL (http://host/path), a path (/path) nor a connection (tls://name:port, tcp://host:port)"
    )]
    Url(String),
    /// A connection to no port.
    #[error("{0:?} names no port; write tls://name:port or tcp://host:port")]
    Port(String),
    /// Not a header.
    #[error("{0:?} is not a header; write 'Name: value'")]
    Header(String),
    /// A path that the gateway refuses.
    #[error("the gateway refuses this path: {0}")]
    Path(#[from] crate::routing::PathError),
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
        let scheme = uri.scheme_str().unwrap_or("http").to_owned();
        let is_connection = CONNECTIONS.contains(&scheme.as_str());
        if is_connection && uri.port_u16().is_none() {
            return Err(QuestionError::Port(url.to_owned()));
        }
        let path = if is_connection { "/" } else { uri.path() };
        let mut question = Self {
            method: method
                .to_ascii_uppercase()
                .parse()
                .map_err(|_| QuestionError::Method(method.to_owned()))?,
            scheme,
            server_name: None,
            host: String::new(),
            port: uri.port_u16(),
            path: CanonicalPath::parse(path)?.as_str().to_owned(),
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
        // TLS comes before the Host header, and asks for the name of the URL.
        let asked = uri.host().map_or_else(|| bare(&question.host), str::to_owned);
        question.server_name = Some(asked).filter(|name| is_name(name));
        let named = || question.host.parse::<Authority>().ok()?.port_u16();
        question.port = question.port.or_else(named);
        Ok(question)
    }

    /// The request as it meets the routes, where `http` is how the port serves it; or why it is
    /// refused before.
    pub(super) fn admitted(&self, http: &HttpPolicy, port: u16) -> Result<Self, &'static str> {
        let mut admitted = self.clone();
        let path = CanonicalPath::parse(&self.path).map_err(|_| "400: the path is refused")?;
        if http.escaped_slashes == EscapedSlashes::Reject && path.has_escaped_slash() {
            return Err(
                "400: the path holds an encoded slash (reject_requests_with_escaped_slashes)",
            );
        }
        if http.merge_slashes {
            admitted.path = path.merge_slashes().as_str().to_owned();
        }
        let doubtful = |name: &HeaderName| name.as_str().contains('_');
        let names: Vec<HeaderName> =
            self.headers.keys().filter(|name| doubtful(name)).cloned().collect();
        match http.underscores {
            UnderscoresAction::Reject if !names.is_empty() => {
                return Err(
                    "400: a header's name has an underscore (headers_with_underscores_action)",
                );
            }
            UnderscoresAction::Drop => {
                for name in &names {
                    admitted.headers.remove(name);
                }
            }
            UnderscoresAction::Reject | UnderscoresAction::Allow => {}
        }
        let authority = self.host.parse::<Authority>();
        if let (true, Ok(authority)) = (http.strip_matching_host_port, authority)
            && authority.port_u16() == Some(port)
        {
            admitted.host = authority.host().to_owned();
        }
        Ok(admitted)
    }

    /// The request as the matchers see it.
    pub(super) fn head(&self, draw: u8) -> RequestHead<'_> {
        RequestHead {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
            draw,
        }
    }

    /// Whether it comes by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.scheme == "https" || self.scheme == "tls"
    }

    /// Whether it is a connection, and no request.
    pub(super) fn is_connection(&self) -> bool {
        CONNECTIONS.contains(&self.scheme.as_str())
    }

    /// A path with the query behind it.
    pub(super) fn with_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

/// The request as the matchers see it: `METHOD host canonical-path?query`; or the connection.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_connection() {
            return write!(f, "{} {} {}", self.method, self.host, self.with_query(&self.path));
        }
        let port = self.port.unwrap_or_default();
        match (self.is_secure(), &self.server_name) {
            (false, _) => write!(f, "connection to port {port} without TLS"),
            (true, Some(name)) => write!(f, "TLS connection to port {port} that asks for {name}"),
            (true, None) => write!(f, "TLS connection to port {port} that asks for no name"),
        }
    }
}

/// An authority without its port.
fn bare(host: &str) -> String {
    let authority = host.parse::<Authority>();
    authority.map_or_else(|_| host.to_owned(), |authority| authority.host().to_owned())
}

/// Whether TLS may ask for it: an address isn't asked for (RFC 6066, 3).
fn is_name(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err()
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), QuestionError> {
    let wrong = || QuestionError::Header(text.to_owned());
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
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
        assert_eq!(question.server_name.as_deref(), Some("a.example"), "TLS comes first");
    }

    #[test]
    fn a_request_meets_the_routes_as_the_module_says() {
        let headers = ["x_user: ada".to_owned()];
        let question = Question::parse("GET", "http://a.example:8080/a//b%2Fc", &headers).unwrap();
        let with = |change: &dyn Fn(&mut HttpPolicy)| {
            let mut http = HttpPolicy::default();
            change(&mut http);
            question.admitted(&http, 8080)
        };
        assert_eq!(with(&|_| {}).unwrap().to_string(), question.to_string());
        assert_eq!(with(&|http| http.merge_slashes = true).unwrap().path, "/a/b%2Fc");
        assert_eq!(with(&|http| http.strip_matching_host_port = true).unwrap().host, "a.example");
        assert!(with(&|http| http.escaped_slashes = EscapedSlashes::Reject).is_err());
        assert!(with(&|http| http.underscores = UnderscoresAction::Reject).is_err());
        let dropped = with(&|http| http.underscores = UnderscoresAction::Drop).unwrap();
        assert!(dropped.headers.is_empty());
    }

    #[test]
    fn connections_are_asked_for_by_their_scheme() {
        let none: &[String] = &[];
        let question = Question::parse("GET", "tls://db.example:6379", none).unwrap();
        assert!(question.is_connection() && question.is_secure());
        assert_eq!(question.to_string(), "TLS connection to port 6379 that asks for db.example");
        let question = Question::parse("GET", "tcp://10.0.0.1:25", none).unwrap();
        assert_eq!((question.server_name.as_deref(), question.port), (None, Some(25)));
        let error = Question::parse("GET", "tls://db.example", none).unwrap_err();
        assert_eq!(error, QuestionError::Port("tls://db.example".into()));
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
