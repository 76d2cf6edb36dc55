//! Refuses clients by their address (Emissary's `ip_allow` and `ip_deny`; Envoy's RBAC filter).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::Response;
use tower::{Layer, Service};

use super::record::Inbound;
use crate::proxy::body::ResponseBody;
use crate::proxy::dispatch::answer_failure;
use crate::proxy::error::Failure;

/// Puts [`Admit`] around a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmitLayer;

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Admit<S> {
    inner: S,
}

type Answer = Result<Response<ResponseBody>, Infallible>;

impl<S> Service<Inbound> for Admit<S>
where
    S: Service<Inbound, Response = Response<ResponseBody>, Error = Infallible>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, inbound: Inbound) -> Self::Future {
        let exchange = &inbound.exchange;
        if let Some(rules) = &exchange.policy.http.addresses
            && !rules.admit(exchange.conn.peer.ip(), exchange.client.get())
        {
            exchange.capture_request(&inbound.head.headers);
            return Either::Left(ready(Ok(answer_failure(exchange, Failure::Address))));
        }
        Either::Right(self.inner.call(inbound))
    }
}
