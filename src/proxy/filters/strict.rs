//! Refuses what isn't strictly HTTP, and gives path and host their one canonical form.
//!
//! What hyper refuses by itself never comes here: bad heads, unequal Content-Lengths, a
//! Transfer-Encoding that doesn't end in `chunked`, heads above the limits. A request with both
//! Content-Length and Transfer-Encoding can't be seen from here: hyper follows RFC 9112 section
//! 6.3, drops the Content-Length and closes the connection after the response.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, Version, header, request};
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::record::Inbound;
use crate::model::policy::{EscapedSlashes, HttpPolicy, UnderscoresAction};
use crate::proxy::body::ResponseBody;
use crate::proxy::dispatch::answer_failure;
use crate::proxy::error::Failure;
use crate::proxy::upgrade::Upgrade;
use crate::routing::CanonicalPath;

/// Puts [`Strict`] around a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StrictLayer;

impl<S> Layer<S> for StrictLayer {
    type Service = Strict<S>;

    fn layer(&self, inner: S) -> Strict<S> {
        Strict { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Strict<S> {
    inner: S,
}

type Answer = Result<Response<ResponseBody>, Infallible>;

impl<S> Service<Inbound> for Strict<S>
where
    S: Service<Inbound, Response = Response<ResponseBody>, Error = Infallible>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut inbound: Inbound) -> Self::Future {
        let policy = Rc::clone(&inbound.exchange.policy);
        let port = inbound.exchange.conn.local.port();
        let checked =
            check(&mut inbound.head, &policy.http, port).map(|upgrade| inbound.upgrade = upgrade);
        let exchange = &inbound.exchange;
        *exchange.authority.borrow_mut() = inbound.head.headers.get(header::HOST).cloned();
        match checked {
            Ok(()) => {
                exchange.uri.borrow_mut().clone_from(&inbound.head.uri);
                Either::Right(self.inner.call(inbound))
            }
            Err(failure) => {
                exchange.capture_request(&inbound.head.headers);
                Either::Left(ready(Ok(answer_failure(exchange, failure))))
            }
        }
    }
}

fn check(
    head: &mut request::Parts,
    policy: &HttpPolicy,
    port: u16,
) -> Result<Option<Box<Upgrade>>, Failure> {
    if head.version < Version::HTTP_11 && !(policy.http10 && head.version == Version::HTTP_10) {
        return Err(Failure::Http10);
    }
    match policy.underscores {
        UnderscoresAction::Allow => {}
        UnderscoresAction::Reject if head.headers.keys().any(has_underscore) => {
            return Err(Failure::Underscore);
        }
        UnderscoresAction::Reject => {}
        UnderscoresAction::Drop => drop_underscores(&mut head.headers),
    }
    let upgrade = Upgrade::take(head)?;
    check_coding(head)?;
    set_host(head)?;
    if policy.strip_matching_host_port {
        strip_port(head, port)?;
    }
    set_path(head, policy)?;
    Ok(upgrade)
}

/// Only `chunked`, once: hyper would drop the codings before it and forward what they made.
fn check_coding(head: &request::Parts) -> Result<(), Failure> {
    let mut values = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Failure::TransferCoding),
    }
}

/// The authority ends up in `host`, whatever form it came in (RFC 9112 section 3.2).
fn set_host(head: &mut request::Parts) -> Result<(), Failure> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::BadHost);
    }
    // Origin form is the rule: nothing to do but to look at the header.
    let Some(authority) = head.uri.authority() else {
        return match first {
            Some(host) if is_authority(host.as_bytes()) => Ok(()),
            _ => Err(Failure::BadHost),
        };
    };
    // RFC 9112 section 3.2: HTTP/1.1 asks for a Host also where the target is absolute.
    if !is_authority(authority.as_str().as_bytes())
        || (first.is_none() && head.version == Version::HTTP_11)
    {
        return Err(Failure::BadHost);
    }
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadHost)?;
    head.headers.insert(header::HOST, value);
    let path = head.uri.path_and_query().cloned();
    head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(())
}

/// Host and port, no user information, nothing that another parser could cut in two.
fn is_authority(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b':'
                        | b'['
                        | b']'
                        | b'%'
                        | b'*'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'+'
                        | b';'
                        | b'='
                )
        })
}

/// Takes the port off the host where it is `port`, as Envoy's `strip_matching_host_port` does.
fn strip_port(head: &mut request::Parts, port: u16) -> Result<(), Failure> {
    let Some(host) = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return Ok(());
    };
    // The colon before a port, and none within the brackets of an address.
    let Some((name, digits)) = host.rsplit_once(':') else { return Ok(()) };
    if name.is_empty() || digits.ends_with(']') || digits.parse() != Ok(port) {
        return Ok(());
    }
    let value = HeaderValue::from_str(name).map_err(|_| Failure::BadHost)?;
    head.headers.insert(header::HOST, value);
    Ok(())
}

fn has_underscore(name: &HeaderName) -> bool {
    name.as_str().contains('_')
}

fn drop_underscores(headers: &mut HeaderMap) {
    let doomed: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| has_underscore(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn set_path(head: &mut request::Parts, policy: &HttpPolicy) -> Result<(), Failure> {
    let raw = head.uri.path();
    let mut canonical = CanonicalPath::parse(raw).map_err(|_| Failure::BadPath)?;
    if policy.escaped_slashes == EscapedSlashes::Reject && canonical.has_escaped_slash() {
        return Err(Failure::EscapedSlash);
    }
    if policy.merge_slashes {
        canonical = canonical.merge_slashes();
    }
    if canonical.as_str() == raw {
        return Ok(());
    }
    let text = match head.uri.query() {
        Some(query) => format!("{}?{query}", canonical.as_str()),
        None => canonical.as_str().to_owned(),
    };
    head.uri = Uri::try_from(text).map_err(|_| Failure::BadPath)?;
    Ok(())
}
