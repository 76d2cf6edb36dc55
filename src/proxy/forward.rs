//! The way of one request to its upstream, and of the answer back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
};

use super::body::{RequestBody, ResponseBody};
use super::dispatch::answer_failure;
use super::error::Failure;
use super::exchange::Exchange;
use super::filters::edits::{self, RequestValues};
use super::filters::forwarded::strip_response;
use super::filters::grpc_bridge::bridge;
use super::filters::grpc_web::{translate_answer, translate_request};
use super::filters::record::Inbound;
use super::gather::gather;
use super::grpc::Dialect;
use super::mirror::{self, Watched};
use super::tunnel::Tunnel;
use super::upgrade::Upgrade;
use super::upstream::affinity::{Sticky, build_sticky};
use super::upstream::connect::{Answered, Wish, exchange_with};
use super::upstream::target::Target;
use crate::model::config::Leg;
use crate::model::policy::RoutePolicy;
use crate::model::route::{Action, Forward, HostRewrite, Route};
use crate::routing::rewrite_path;

/// Bytes of an answer that is gathered for an HTTP/1.1 client of gRPC.
const BRIDGED: usize = 1024 * 1024;

const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// Where Linkerd's proxy beside us should send it.
const LINKERD: HeaderName = HeaderName::from_static("l5d-dst-override");
const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// Forwards a request along its leg, which is a forwarding one.
///
/// What few requests wait for is boxed, here and below: every request's future has room for it.
pub(crate) async fn forward(inbound: Inbound) -> Response<ResponseBody> {
    let Inbound { mut head, body, upgrade, exchange } = inbound;
    let Some((leg, forward)) = exchange.leg.get().and_then(forwarding) else {
        return answer_failure(&exchange, Failure::NoRoute);
    };
    let route = &*leg.route;
    exchange.timeout.set(route.policy.timeout());
    route.policy.idle_timeout.iter().for_each(|idle| exchange.timing.set_idle(idle.duration()));
    // What is tunnelled has no end that could be waited for.
    let whole = exchange.policy.http.buffer_request.filter(|_| upgrade.is_none());
    let taken = match whole {
        None => Ok(RequestBody::new(body, &exchange)),
        Some(limit) => Box::pin(gather(body, limit, &mut head.headers, &exchange)).await,
    };
    let body = match taken {
        Ok(body) => body,
        Err(failure) => {
            exchange.capture_request(&head.headers);
            return answer_failure(&exchange, failure);
        }
    };
    let target = exchange.worker.upstreams.target(&forward.cluster);
    *exchange.target.borrow_mut() = Some(Rc::clone(&target));
    // Only templates in the response's edits ever look back at the request.
    let kept = edits::reads_request(&route.response_headers).then(|| head.headers.clone());

    if let Err(failure) = prepare(&mut head, &exchange, route, forward, &target) {
        exchange.capture_request(&head.headers);
        return answer_failure(&exchange, failure);
    }
    exchange.capture_request(&head.headers);
    // A tunnel has no copy: its bytes are no request's.
    let mirror = leg.mirror.as_ref().filter(|_| upgrade.is_none());
    let body = prepare_body(body, &mut head, &exchange, mirror, &route.policy);
    let began = Instant::now();
    if body.is_complete() {
        exchange.end_request_at(began);
    }
    exchange.worker.timers.insert(&exchange);

    target.stats.begin();
    exchange.sent_upstream.set(Some(began));
    let sticky = sticky_of(&target, &head.headers, &exchange);
    let wish = Wish {
        priority: route.policy.priority.unwrap_or_default(),
        retry: route.policy.retry.as_deref(),
        hash: sticky.hash,
        upgrade: upgrade.as_deref(),
    };
    let answer = exchange_with(&exchange, &target, wish, Request::from_parts(head, body)).await;
    let mut response = answer.map_or_else(
        |failure| give_up(&exchange, failure),
        |answered| accept(answered, upgrade, &exchange),
    );
    if let Some(dialect) = exchange.grpc.get() {
        response = translate(response, dialect, &exchange).await;
    }
    let took = began.elapsed();
    target.stats.finish(response.status().as_u16(), took);
    add_own_headers(response.headers_mut(), &exchange, took, sticky.cookie);
    edit_response(&mut response, route, &exchange, kept.as_ref());
    response
}

/// The request's body as the upstream gets it, with its framing.
fn prepare_body(
    mut body: RequestBody,
    head: &mut http::request::Parts,
    exchange: &Rc<Exchange>,
    mirror: Option<&Arc<Leg>>,
    policy: &RoutePolicy,
) -> RequestBody {
    if let Some(Dialect::Web { text_request, .. }) = exchange.grpc.get() {
        body = translate_request(&mut head.headers, body, text_request);
    }
    frame(&mut head.headers, &body);
    if let Some(mirror) = mirror {
        body = copy(body, head, exchange, mirror, policy);
    }
    body
}

/// What the gateway itself adds to an answer.
fn add_own_headers(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    took: Duration,
    cookie: Option<HeaderValue>,
) {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let quiet = exchange.policy.http.suppress_envoy_headers;
    if exchange.flag.get().is_none() && !quiet {
        headers.insert(SERVICE_TIME, build_number(took));
    }
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Mostly a digit, which needs no memory of its own.
fn build_number(number: u64) -> HeaderValue {
    let digit = usize::try_from(number).ok().and_then(|at| "0123456789".get(at..=at));
    digit.map_or_else(|| HeaderValue::from(number), HeaderValue::from_static)
}

/// A leg that forwards, and how.
fn forwarding(leg: &Arc<Leg>) -> Option<(&Arc<Leg>, &Forward)> {
    match &leg.route.action {
        Action::Forward(forward) => Some((leg, forward)),
        Action::Redirect(_) | Action::Probe(_) | Action::Mirror(_) => None,
    }
}

fn give_up(exchange: &Exchange, failure: Failure) -> Response<ResponseBody> {
    exchange.worker.count_timeout(exchange, failure);
    answer_failure(exchange, failure)
}

/// What keeps the request's client at one endpoint.
fn sticky_of(target: &Target, headers: &HeaderMap, exchange: &Exchange) -> Sticky {
    let balancer = target.cluster.policy.load_balancer.as_ref();
    match balancer.and_then(|balancer| balancer.affinity.as_ref()) {
        Some(affinity) => build_sticky(affinity, headers, exchange.client.get()),
        None => Sticky::default(),
    }
}

/// The request's head as the upstream gets it.
fn prepare(
    head: &mut http::request::Parts,
    exchange: &Exchange,
    route: &Route,
    forward: &Forward,
    target: &Target,
) -> Result<(), Failure> {
    let wanted = &route.request_headers;
    let rendered = (!wanted.is_empty()).then(|| {
        let request = Some(&head.headers);
        edits::render(wanted, &RequestValues { exchange, request, response: None })
    });
    let quiet = exchange.policy.http.suppress_envoy_headers;
    if let Some(timeout) = route.policy.timeout().filter(|_| !quiet) {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        head.headers.insert(EXPECTED_TIMEOUT, HeaderValue::from(timeout));
    }
    if let Some(path) = rewrite_path(forward, &route.matches.path, head.uri.path()) {
        rewrite(head, exchange, &path)?;
    }
    match &forward.host {
        HostRewrite::Keep => {}
        HostRewrite::Literal(host) => {
            let value = HeaderValue::from_str(host).map_err(|_| Failure::BadHost)?;
            rewrite_host(&mut head.headers, value);
        }
        HostRewrite::Upstream => rewrite_host(&mut head.headers, target.host.clone()),
    }
    if route.policy.linkerd_headers == Some(true)
        && let Ok(value) = HeaderValue::try_from(forward.cluster.upstream.authority())
    {
        head.headers.insert(LINKERD, value);
    }
    if let Some(rendered) = rendered {
        edits::apply(wanted, rendered, &mut head.headers);
    }
    head.version = Version::HTTP_11;
    Ok(())
}

fn rewrite(
    head: &mut http::request::Parts,
    exchange: &Exchange,
    path: &str,
) -> Result<(), Failure> {
    if !exchange.policy.http.suppress_envoy_headers {
        let original = exchange.with_path(HeaderValue::from_str).map_err(|_| Failure::BadPath)?;
        head.headers.insert(ORIGINAL_PATH, original);
    }
    // A request line needs a path, whatever the rewrite made of it.
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = match head.uri.query() {
        Some(query) => format!("{slash}{path}?{query}"),
        None => format!("{slash}{path}"),
    };
    let path = PathAndQuery::try_from(text).map_err(|_| Failure::BadPath)?;
    head.uri = Uri::from(path);
    Ok(())
}

fn rewrite_host(headers: &mut HeaderMap, host: HeaderValue) {
    if let Some(original) = headers.insert(header::HOST, host) {
        headers.insert(ORIGINAL_HOST, original);
    }
}

/// One way of framing, made anew: a length if the client gave one, else chunks.
fn frame(headers: &mut HeaderMap, body: &RequestBody) {
    if body.is_empty() {
        return;
    }
    if !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Begins a copy of the request, if it is of the mirror's share.
fn copy(
    body: RequestBody,
    head: &http::request::Parts,
    exchange: &Exchange,
    mirror: &Leg,
    policy: &RoutePolicy,
) -> RequestBody {
    let Action::Mirror(cluster) = &mirror.route.action else { return body };
    if !mirror.share.contains(fastrand::u8(0..100)) {
        return body;
    }
    match mirror::begin(exchange, head, &body, cluster, policy) {
        Some(sender) => RequestBody::Watched(Watched::new(body, sender)),
        None => body,
    }
}

/// The upstream's answer as the client gets it.
fn accept(
    answered: Answered,
    upgrade: Option<Box<Upgrade>>,
    exchange: &Exchange,
) -> Response<ResponseBody> {
    let status = answered.response.status();
    let asked_stream = answered.lease.connection.is_stream();
    let is_tunnel = upgrade.is_some() && Upgrade::is_accepted(asked_stream, status);
    let upgrade = match upgrade {
        Some(upgrade) if is_tunnel => return switch(answered, *upgrade, exchange),
        other => other,
    };
    // Where nobody asked to switch, what follows would not be HTTP. And in HTTP/2 any success would
    // say that the tunnel stands.
    let says_so =
        status.is_success() && upgrade.is_some_and(|upgrade| asked_stream || upgrade.is_stream());
    if status == StatusCode::SWITCHING_PROTOCOLS || says_so {
        return answer_failure(exchange, Failure::UpstreamProtocol);
    }
    let Answered { response, lease } = answered;
    let (mut head, body) = response.into_parts();
    strip_response(&mut head.headers);
    head.version = Version::HTTP_11;
    exchange.details.set("via_upstream");
    exchange.touch();
    Response::from_parts(head, ResponseBody::upstream(body, lease, exchange.request_done.get()))
}

/// The upstream has switched protocols, as was asked: so does the client's connection.
fn switch(mut answered: Answered, upgrade: Upgrade, exchange: &Exchange) -> Response<ResponseBody> {
    let upstream = hyper::upgrade::on(&mut answered.response);
    let asked_stream = answered.lease.connection.is_stream();
    let mut head = answered.response.into_parts().0;
    let checked = match asked_stream {
        true => {
            upgrade.answer_stream(&mut head);
            Ok(())
        }
        false => upgrade.check(&mut head),
    };
    match checked {
        Ok(()) => {
            let tunnel = Tunnel::new(upstream, answered.lease, upgrade.into_stream(), exchange);
            *exchange.tunnel.borrow_mut() = Some(tunnel);
            exchange.details.set("via_upstream");
            exchange.touch();
            head.version = Version::HTTP_11;
            Response::from_parts(head, ResponseBody::text(""))
        }
        Err(failure) => answer_failure(exchange, failure),
    }
}

/// An upstream's answer as the client's dialect of gRPC has it.
async fn translate(
    response: Response<ResponseBody>,
    dialect: Dialect,
    exchange: &Exchange,
) -> Response<ResponseBody> {
    match dialect {
        // The gateway's own answer is in it already.
        _ if exchange.flag.get().is_some() => response,
        Dialect::Native => response,
        Dialect::Bridged => Box::pin(bridge(response, exchange, BRIDGED)).await,
        Dialect::Web { .. } => translate_answer(response, dialect),
    }
}

fn edit_response(
    response: &mut Response<ResponseBody>,
    route: &Route,
    exchange: &Exchange,
    request: Option<&HeaderMap>,
) {
    let wanted = &route.response_headers;
    if wanted.is_empty() {
        return;
    }
    // For `%RESPONSE_CODE%`.
    exchange.status.set(response.status().as_u16());
    let values = RequestValues { exchange, request, response: Some(response.headers()) };
    let rendered = edits::render(wanted, &values);
    edits::apply(wanted, rendered, response.headers_mut());
}
