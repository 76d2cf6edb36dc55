//! Finds the route, and does what it says.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{Either, FutureExt as _};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use tower::Service;

use super::body::ResponseBody;
use super::cors::{self, Allowed};
use super::error::Failure;
use super::exchange::Exchange;
use super::filters::edits::{self, RequestValues};
use super::filters::forwarded::FORWARDED_PROTO;
use super::filters::record::Inbound;
use super::forward::forward;
use super::grpc::Dialect;
use crate::model::config::Leg;
use crate::model::route::{Action, Probe, Redirect};
use crate::routing::{Found, RequestHead, https_location, redirect_location};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// Envoy's, where it is the gateway that has too much to do, and no upstream.
const LOCAL_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-local-overloaded");

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
            Ok(Next::Route(leg)) => leg,
            Ok(Next::ToHttps) => {
                exchange.capture_request(&inbound.head.headers);
                exchange.details.set("direct_response");
                return Either::Left(ready(Ok(answer_to_https(&inbound))));
            }
            Err(failure) => {
                exchange.capture_request(&inbound.head.headers);
                return Either::Left(ready(Ok(answer_failure(&exchange, failure))));
            }
        };
        let leg: &Leg = exchange.leg.get_or_init(|| leg);
        if inbound.upgrade.is_some() && !may_upgrade(&mut inbound, leg) {
            exchange.capture_request(&inbound.head.headers);
            return Either::Left(ready(Ok(answer_failure(&exchange, Failure::Upgrade))));
        }
        // What the gateway answers itself, probes above all, costs less than to refuse it.
        if matches!(leg.route.action, Action::Forward(_))
            && let Some(failure) = exchange.worker.overloaded()
        {
            exchange.capture_request(&inbound.head.headers);
            exchange.conn.stats.refused_by_overload();
            return Either::Left(ready(Ok(answer_failure(&exchange, failure))));
        }
        let cors = leg.route.policy.cors.as_deref();
        let head = &inbound.head;
        if let Some(cors) = cors
            && let Some(allowed) = cors::check(cors, &head.headers)
        {
            let preflight = cors::answer_preflight(cors, &allowed, &head.method, &head.headers);
            if let Some(preflight) = preflight {
                exchange.capture_request(&head.headers);
                exchange.details.set("cors_response");
                return Either::Left(ready(Ok(preflight)));
            }
            return Either::Right(Box::pin(answer_origin(inbound, allowed)));
        }
        match &leg.route.action {
            Action::Forward(_) => Either::Right(Box::pin(forward(inbound).map(Ok))),
            Action::Redirect(_) | Action::Probe(_) | Action::Mirror(_) => {
                Either::Left(ready(Ok(answer_itself(&inbound, leg))))
            }
        }
    }
}

/// The answer to another site's script, which may read it.
async fn answer_origin(inbound: Inbound, allowed: Allowed) -> Answer {
    let exchange = Rc::clone(&inbound.exchange);
    let Some(leg) = exchange.leg.get() else {
        return Ok(answer_failure(&exchange, Failure::NoRoute));
    };
    let mut response = match &leg.route.action {
        Action::Forward(_) => forward(inbound).await,
        Action::Redirect(_) | Action::Probe(_) | Action::Mirror(_) => answer_itself(&inbound, leg),
    };
    if let Some(cors) = &leg.route.policy.cors {
        cors::decorate(cors, &allowed, response.headers_mut());
    }
    Ok(response)
}

/// What the gateway answers without an upstream.
fn answer_itself(inbound: &Inbound, leg: &Leg) -> Response<ResponseBody> {
    let exchange = &inbound.exchange;
    let mut response = match &leg.route.action {
        Action::Redirect(redirect) => answer_redirect(inbound, leg, redirect),
        Action::Probe(probe) => answer_probe(exchange, *probe),
        // A group answers with its members, of which a mirror is none.
        Action::Forward(_) | Action::Mirror(_) => {
            return answer_failure(exchange, Failure::NoRoute);
        }
    };
    exchange.capture_request(&inbound.head.headers);
    exchange.details.set("direct_response");
    let wanted = &leg.route.response_headers;
    if !wanted.is_empty() {
        exchange.status.set(response.status().as_u16());
        let values = RequestValues {
            exchange,
            request: Some(&inbound.head.headers),
            response: Some(response.headers()),
        };
        let rendered = edits::render(wanted, &values);
        edits::apply(wanted, rendered, response.headers_mut());
    }
    response
}

/// What is to be done with a request.
enum Next {
    /// This.
    Route(Arc<Leg>),
    /// It is insecure, and is sent to https.
    ToHttps,
}

/// Which host the request is for, whether it may come by this connection, and its route there.
fn find(inbound: &Inbound) -> Result<Next, Failure> {
    let head = &inbound.head;
    let conn = &inbound.exchange.conn;
    let value = head.headers.get(header::HOST);
    let host = value.and_then(|host| host.to_str().ok()).unwrap_or("");
    let request = RequestHead {
        host,
        path: head.uri.path(),
        query: head.uri.query(),
        method: &head.method,
        headers: &head.headers,
        draw: fastrand::u8(0..100),
    };
    let secure = head.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let found = conn.port.look_up(&inbound.exchange.worker, |table, listener| {
        let policy = &table.config().http;
        if policy.grpc_web || policy.grpc_http11_bridge {
            inbound.exchange.grpc.set(Dialect::of(head, inbound.exchange.version, policy));
        }
        let served = listener.host_by_authority(host).ok_or(Failure::NoRoute)?;
        if let (Some(tls), Some(value)) = (&conn.tls, value)
            && !tls.admits(listener, served, value)
        {
            return Err(Failure::Misdirected);
        }
        match table.find(listener, served, secure, &request) {
            Found::Route(leg) => Ok(Next::Route(Arc::clone(leg))),
            Found::RedirectToHttps => Ok(Next::ToHttps),
            Found::NoRoute => Err(Failure::NoRoute),
        }
    });
    found.unwrap_or(Err(Failure::NoRoute))
}

/// The same address by https.
fn answer_to_https(inbound: &Inbound) -> Response<ResponseBody> {
    let head = &inbound.head;
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut response = Response::new(ResponseBody::text(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::try_from(https_location(host, path)) {
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
        Action::Redirect(_) | Action::Mirror(_) | Action::Probe(_) => !upgrade.is_stream(),
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

fn answer_text(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::text(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The gateway's own answer to a failure, noted in the record.
pub(crate) fn answer_failure(exchange: &Exchange, failure: Failure) -> Response<ResponseBody> {
    exchange.fail(failure);
    let mut response = match exchange.grpc.get() {
        Some(dialect) => dialect.error(failure.status(), &failure.to_string()),
        None => answer_text(failure.status(), failure.to_string()),
    };
    let headers = response.headers_mut();
    if failure == Failure::Overflow {
        headers.insert(OVERLOADED, HeaderValue::from_static("true"));
    }
    if matches!(failure, Failure::Overloaded | Failure::TooManyRequests) {
        headers.insert(LOCAL_OVERLOADED, HeaderValue::from_static("true"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    // HTTP/2 has no such header: hyper would refuse to send it.
    if failure.closes() && exchange.version <= http::Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
