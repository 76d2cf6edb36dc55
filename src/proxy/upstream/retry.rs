//! Sends a request once more where its route asks for that.

use std::time::Duration;

use http::{Request, StatusCode};

use super::connect::{Answered, Journey};
use super::open::within;
use crate::model::policy::{RetryBackOff, RetryOn, RetryPolicy};
use crate::proxy::body::RequestBody;
use crate::proxy::error::Failure;

/// Doublings after which a pause is at its longest anyway.
const MAX_DOUBLINGS: u32 = 16;

/// Sends the journey's request, whose body is kept, until an outcome is none that `retry` names, or the retries are used up, or
/// there are too many of them in the cluster, or its body is too long to be kept.
pub(super) async fn with_retries(
    journey: &mut Journey<'_>,
    retry: &RetryPolicy,
) -> Result<Answered, Failure> {
    let (exchange, target) = (journey.exchange, journey.target);
    let request = journey.request.take().expect("a journey begins with its request");
    let (head, body) = request.into_parts();
    let mut next = Some(body);
    let mut held = None;
    let mut count = 0;
    loop {
        let body = match next.take() {
            Some(body) => body,
            None => return Err(Failure::UpstreamReset),
        };
        next = body.again();
        let limit = retry.per_try_timeout;
        exchange.timing.begin_try(exchange.now(), limit, exchange.request_done.get());
        journey.request = Some(Request::from_parts(head.clone(), body));
        let outcome = journey.go().await;
        drop(held.take());
        if outcome.as_ref().err() == Some(&Failure::PerTryTimeout) {
            target.stats.try_timed_out();
        }
        if !is_retriable(retry, &outcome) {
            if count > 0 && outcome.is_ok() {
                target.stats.retry_succeeded();
            }
            return outcome;
        }
        if count == retry.attempts {
            target.stats.retry_limit_exceeded();
            return outcome;
        }
        // Only what hasn't grown too long since can be sent again.
        let Some(again) = next.as_ref().and_then(RequestBody::again) else { return outcome };
        let Some(right) = target.state.try_retry(journey.wish.priority) else {
            target.stats.retry_overflowed();
            return outcome;
        };
        held = Some(right);
        next = Some(again);
        discard(outcome, exchange.request_done.get());
        count += 1;
        target.stats.retried();
        exchange.timing.begin_try(0, None, false);
        let pause = build_pause(&retry.back_off, count, fastrand::f64());
        within(exchange, tokio::time::sleep(pause)).await?;
    }
}

/// Gives the connection of an answer back that nobody will see, if that costs nothing.
fn discard(outcome: Result<Answered, Failure>, clean: bool) {
    use http_body::Body;
    if let Ok(Answered { response, lease }) = outcome
        && response.body().is_end_stream()
    {
        lease.give_back(clean);
    }
}

/// Envoy's rules: a reset or a timeout of one try counts as a 5xx and as a gateway's error. What
/// our own limits refuse, and what is the client's fault, is final.
fn is_retriable(retry: &RetryPolicy, outcome: &Result<Answered, Failure>) -> bool {
    let answer = match outcome {
        Ok(answered) => Ok(answered.response.status()),
        Err(failure) => Err(*failure),
    };
    retry.on.iter().any(|on| matches(*on, &retry.status_codes, answer))
}

fn matches(on: RetryOn, codes: &[u16], answer: Result<StatusCode, Failure>) -> bool {
    let status = answer.map_or(0, |status| status.as_u16());
    let failure = answer.err();
    let unconnected = matches!(
        failure,
        Some(Failure::ConnectFailure | Failure::ConnectTimeout | Failure::TlsFailure)
    );
    let lost = unconnected
        || matches!(
            failure,
            Some(
                Failure::UpstreamReset
                    | Failure::RemoteReset
                    | Failure::RefusedStream
                    | Failure::UpstreamProtocol
                    | Failure::PerTryTimeout
            )
        );
    match on {
        RetryOn::ServerError => lost || (500..600).contains(&status),
        RetryOn::GatewayError => lost || matches!(status, 502..=504),
        RetryOn::ConnectFailure => unconnected,
        RetryOn::Retriable4xx => status == 409,
        RetryOn::RefusedStream => failure == Some(Failure::RefusedStream),
        RetryOn::RetriableStatusCodes => codes.contains(&status),
    }
}

/// Random, so that those who failed together don't come back together; longer each time.
fn build_pause(back_off: &RetryBackOff, count: u32, random: f64) -> Duration {
    let doublings = count.saturating_sub(1).min(MAX_DOUBLINGS);
    let longest = back_off.base.saturating_mul(1 << doublings).min(back_off.max);
    longest.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let back_off = RetryBackOff::default();
        let longest: Vec<u128> =
            (1..7).map(|count| build_pause(&back_off, count, 1.0).as_millis()).collect();
        assert_eq!(longest, [25, 50, 100, 200, 250, 250]);
        assert_eq!(build_pause(&back_off, 3, 0.0), Duration::ZERO);
        assert_eq!(build_pause(&back_off, u32::MAX, 1.0), Duration::from_millis(250));
    }

    #[test]
    fn outcomes_are_envoys() {
        use Failure::{ConnectFailure, Overflow, PerTryTimeout, RefusedStream, UpstreamReset};
        use RetryOn as On;
        let status = |code: u16| Ok(StatusCode::from_u16(code).expect("a status"));
        for (on, hit, miss) in [
            (
                On::ServerError,
                vec![status(500), status(503), Err(UpstreamReset), Err(PerTryTimeout)],
                vec![status(200), status(409), Err(Overflow), Err(Failure::RequestBody)],
            ),
            (
                On::GatewayError,
                vec![status(502), status(504), Err(ConnectFailure)],
                vec![status(500), status(501), Err(Failure::Timeout)],
            ),
            (
                On::ConnectFailure,
                vec![Err(ConnectFailure), Err(Failure::ConnectTimeout), Err(Failure::TlsFailure)],
                vec![status(503), Err(UpstreamReset)],
            ),
            (On::Retriable4xx, vec![status(409)], vec![status(404), status(500)]),
            (On::RefusedStream, vec![Err(RefusedStream)], vec![Err(UpstreamReset), status(503)]),
            (On::RetriableStatusCodes, vec![status(418)], vec![status(503)]),
        ] {
            for answer in hit {
                assert!(matches(on, &[418], answer), "{on:?} {answer:?}");
            }
            for answer in miss {
                assert!(!matches(on, &[418], answer), "{on:?} {answer:?}");
            }
        }
    }
}
