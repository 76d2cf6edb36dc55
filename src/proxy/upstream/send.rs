//! Sends a request on a connection, and says what came of it.

use std::error::Error as _;
use std::rc::Rc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header, request};
use hyper::body::Incoming;

use super::pool::{Connection, Sender, Stream};
use crate::proxy::body::RequestBody;
use crate::proxy::error::{Failure, Flag};
use crate::proxy::exchange::Exchange;
use crate::proxy::upgrade::Upgrade;

/// Headers whose values hardly ever come again. In HPACK's table they would push out those that do,
/// and each would be compared with all that came before it: they go as literals that are never
/// indexed (RFC 7541 section 6.2.3).
const UNIQUE: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("grpc-timeout"),
];

/// What came of a request.
pub(super) enum Sent {
    /// An answer.
    Answered(Response<Incoming>),
    /// Nothing: it was never written.
    Unsent(Request<RequestBody>),
    /// The upstream says that it hasn't looked at it (RFC 9113, sections 6.8 and 8.7).
    Unprocessed,
    /// It may have been seen.
    Failed(Failure),
}

/// Sends a request on `connection` and waits for the answer's head. `upgrade` is what it asks to
/// switch to, said in the connection's way.
pub(super) async fn send(
    exchange: &Rc<Exchange>,
    connection: &mut Connection,
    request: Request<RequestBody>,
    upgrade: Option<&Upgrade>,
) -> Sent {
    exchange.upstream.set(Some((connection.address, connection.local)));
    let mut error = match &mut connection.sender {
        Sender::Http1(sender) => {
            let request = match upgrade {
                None => request,
                Some(upgrade) => {
                    // The driver ends with HTTP; a tunnel keeps the connection's place.
                    connection.held = connection.open.upgrade();
                    edit(request, |head| upgrade.ask(head))
                }
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                        connection.held = None;
                    }
                    return Sent::Answered(response);
                }
                Err(error) => error,
            }
        }
        Sender::Http2(Stream(shared)) => {
            let Some(request) = frame(request, scheme_of(exchange)) else {
                return Sent::Failed(Failure::BadHost);
            };
            let request = match upgrade {
                None => request,
                Some(upgrade) => edit(request, |head| upgrade.ask_stream(head)),
            };
            let mut sender = shared.sender.clone();
            match sender.try_send_request(request).await {
                Ok(response) => return Sent::Answered(response),
                Err(error) => error,
            }
        }
    };
    if let Some(request) = error.take_message() {
        return Sent::Unsent(request);
    }
    if exchange.flag.get() == Some(Flag::DownstreamReset) {
        return Sent::Failed(Failure::RequestBody);
    }
    let reason = error.error().source().and_then(|source| source.downcast_ref::<h2::Error>());
    match reason {
        Some(reason) => judge(reason, connection),
        None if error.error().is_parse() => Sent::Failed(Failure::UpstreamProtocol),
        None => Sent::Failed(Failure::UpstreamReset),
    }
}

fn edit(
    request: Request<RequestBody>,
    how: impl FnOnce(&mut request::Parts),
) -> Request<RequestBody> {
    let (mut head, body) = request.into_parts();
    how(&mut head);
    Request::from_parts(head, body)
}

/// What an HTTP/2 error says of the request that it hit.
fn judge(error: &h2::Error, connection: &Connection) -> Sent {
    if error.is_go_away() && error.is_remote() {
        if let Sender::Http2(Stream(shared)) = &connection.sender {
            shared.retired.set(true);
        }
        // Streams that the upstream means to finish don't see its GOAWAY.
        if error.reason() == Some(h2::Reason::NO_ERROR) {
            return Sent::Unprocessed;
        }
        return Sent::Failed(Failure::UpstreamReset);
    }
    if error.is_reset() && error.is_remote() {
        return match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Sent::Unprocessed,
            _ => Sent::Failed(Failure::RemoteReset),
        };
    }
    match error.is_io() {
        true => Sent::Failed(Failure::UpstreamReset),
        false => Sent::Failed(Failure::UpstreamProtocol),
    }
}

/// A request in HTTP/2's form: scheme and authority in its target, nothing of one hop's.
fn frame<B>(request: Request<B>, scheme: Scheme) -> Option<Request<B>> {
    let (mut head, body) = request.into_parts();
    if head.uri.authority().is_none() {
        let host = head.headers.remove(header::HOST)?;
        let authority = Authority::try_from(host.as_bytes()).ok()?;
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(scheme);
        uri.authority = Some(authority);
        let path = head.uri.path_and_query().cloned();
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        head.uri = Uri::from_parts(uri).ok()?;
    }
    head.version = Version::HTTP_2;
    for name in [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE] {
        head.headers.remove(name);
    }
    for name in UNIQUE {
        if let Some(value) = head.headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
    if is_grpc(&head.headers) {
        // What gRPC servers ask of their clients, and proxies in front of us may have taken off.
        head.headers.insert(HeaderName::from_static("te"), HeaderValue::from_static("trailers"));
    }
    Some(Request::from_parts(head, body))
}

fn is_grpc(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn scheme_of(exchange: &Exchange) -> Scheme {
    let target = exchange.target.borrow();
    let secure = target.as_ref().is_some_and(|target| target.cluster.tls.is_some());
    if secure { Scheme::HTTPS } else { Scheme::HTTP }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_each_request_is_never_indexed() {
        let request = Request::get("/")
            .header("host", "a.example")
            .header("x-request-id", "1")
            .header("grpc-timeout", "4711u")
            .header("x-same", "1")
            .body(())
            .unwrap();
        let framed = frame(request, Scheme::HTTP).unwrap();
        let is_literal = |name| framed.headers()[name].is_sensitive();
        assert_eq!(["x-request-id", "grpc-timeout", "x-same"].map(is_literal), [true, true, false]);
    }
}
