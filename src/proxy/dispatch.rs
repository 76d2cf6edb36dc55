//! Finds the route, and does what it says.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use tower::Service;

use super::body::ResponseBody;
use super::error::Failure;
use super::exchange::Exchange;
use super::filters::edits::{self, RequestValues};
use super::filters::forwarded::FORWARDED_PROTO;
use super::filters::record::Inbound;
use super::forward::forward;
use crate::model::config::Leg;
use crate::model::route::{Action, Probe, Redirect};
use crate::routing::{Found, RequestHead, redirect_location};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

type Answer = Result<Response<ResponseBody>, Infallible>;

/// The innermost service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dispatch;

impl Service<Inbound> for Dispatch {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    // The one allocation for the way upstream and back.
    type Future = Either<Ready<Answer>, Pin<Box<dyn Future<Output = Answer>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut inbound: Inbound) -> Self::Future {
        let exchange = Rc::clone(&inbound.exchange);
        let leg = match find(&inbound) {
            Way::Route(leg) => leg,
            Way::ToHttps => return answer_now(&inbound, answer_to_https),
            Way::None(failure) => {
                return answer_now(&inbound, |_| answer_failure(&exchange, failure));
            }
        };
        *exchange.leg.borrow_mut() = Some(Arc::clone(&leg));
        if inbound.upgrade.is_some() && !may_upgrade(&mut inbound, &leg) {
            exchange.capture_request(&inbound.head.headers);
            return Either::Left(ready(Ok(answer_failure(&exchange, Failure::Upgrade))));
        }
        let mut response = match &leg.route.action {
            Action::Forward(_) => {
                return Either::Right(Box::pin(async move { Ok(forward(inbound, &leg).await) }));
            }
            Action::Redirect(redirect) => answer_redirect(&inbound, &leg, redirect),
            Action::Probe(probe) => answer_probe(&exchange, *probe),
        };
        exchange.capture_request(&inbound.head.headers);
        exchange.details.set("direct_response");
        let wanted = &leg.route.response_headers;
        if !wanted.is_empty() {
            exchange.status.set(response.status().as_u16());
            let values = RequestValues {
                exchange: &exchange,
                request: Some(&inbound.head.headers),
                response: Some(response.headers()),
            };
            let rendered = edits::render(wanted, &values);
            edits::apply(wanted, rendered, response.headers_mut());
        }
        Either::Left(ready(Ok(response)))
    }
}

/// Whether the connection's TLS isn't that of the request's host.
fn is_misdirected(inbound: &Inbound) -> bool {
    let conn = &inbound.exchange.conn;
    let Some(tls) = &conn.tls else { return false };
    let host = inbound.head.headers.get(header::HOST);
    let listener = conn.port.listener(&inbound.exchange.worker);
    match (listener, host) {
        (Some(listener), Some(host)) => !tls.admits(&listener, host),
        _ => false,
    }
}

/// What becomes of a request.
enum Way {
    /// This route has it.
    Route(Arc<Leg>),
    /// It is insecure, and its host takes none that are.
    ToHttps,
    /// Nobody has it.
    None(Failure),
}

fn find(inbound: &Inbound) -> Way {
    if is_misdirected(inbound) {
        return Way::None(Failure::Misdirected);
    }
    let (head, exchange) = (&inbound.head, &inbound.exchange);
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let secure = head.headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let request = RequestHead {
        host,
        path: head.uri.path(),
        query: head.uri.query(),
        method: &head.method,
        headers: &head.headers,
        draw: fastrand::u8(0..100),
    };
    let way = exchange.conn.port.with_table(&exchange.worker, |table, listener| {
        let host = listener.host_by_authority(host)?;
        match table.find(listener, host, secure, &request) {
            Found::Route(leg) => Some(Way::Route(Arc::clone(leg))),
            Found::RedirectToHttps => Some(Way::ToHttps),
            Found::NoRoute => None,
        }
    });
    way.flatten().unwrap_or(Way::None(Failure::NoRoute))
}

/// What the gateway says itself, without a route.
fn answer_now(
    inbound: &Inbound,
    answer: impl FnOnce(&Inbound) -> Response<ResponseBody>,
) -> <Dispatch as Service<Inbound>>::Future {
    inbound.exchange.capture_request(&inbound.head.headers);
    Either::Left(ready(Ok(answer(inbound))))
}

/// Sends a client to the same place by https (Envoy's `https_redirect`): an explicit port 80 goes,
/// any other stays.
fn answer_to_https(inbound: &Inbound) -> Response<ResponseBody> {
    let host = inbound.head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let host = host.strip_suffix(":80").unwrap_or(host);
    let path = inbound.head.uri.path_and_query().map_or("/", |path| path.as_str());
    inbound.exchange.details.set("direct_response");
    let mut response = Response::new(ResponseBody::text(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::try_from(format!("https://{host}{path}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Whether the route lets the request switch protocols. What the gateway answers itself it answers
/// as if nothing had been asked, which only HTTP/1.1 lets it say.
fn may_upgrade(inbound: &mut Inbound, leg: &Leg) -> bool {
    let has_body = !inbound.body.is_end_stream();
    let Some(upgrade) = &mut inbound.upgrade else { return true };
    match leg.route.action {
        // A body would have to be told from the bytes of the tunnel.
        Action::Forward(_) => !has_body && upgrade.keep_allowed(leg.route.policy.upgrades.as_ref()),
        Action::Redirect(_) | Action::Probe(_) => !upgrade.is_stream(),
    }
}

fn answer_redirect(inbound: &Inbound, leg: &Leg, redirect: &Redirect) -> Response<ResponseBody> {
    let uri = &inbound.head.uri;
    let matched = &leg.route.matches.path;
    let scheme = inbound.exchange.conn.scheme();
    let location = redirect_location(redirect, matched, scheme, uri.path(), uri.query());
    let mut response = Response::new(ResponseBody::text(""));
    *response.status_mut() = redirect.status;
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn answer_probe(exchange: &Exchange, probe: Probe) -> Response<ResponseBody> {
    let (status, text) = match probe {
        Probe::Alive => (StatusCode::OK, "Ambassador is alive and well\n"),
        Probe::Ready if (exchange.worker.ready)() => {
            (StatusCode::OK, "Ambassador is ready and waiting\n")
        }
        Probe::Ready => (StatusCode::SERVICE_UNAVAILABLE, "Ambassador is not ready\n"),
    };
    answer_text(status, text)
}

fn answer_text(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The gateway's own answer to a failure, noted in the record.
pub(crate) fn answer_failure(exchange: &Exchange, failure: Failure) -> Response<ResponseBody> {
    exchange.fail(failure);
    let mut response = Response::new(ResponseBody::text(failure.to_string()));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if failure == Failure::Overflow {
        headers.insert(OVERLOADED, HeaderValue::from_static("true"));
    }
    // HTTP/2 has no such header: hyper would refuse to send it.
    if failure.closes() && exchange.version <= http::Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
