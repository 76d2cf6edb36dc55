//! Compresses answers for clients that take it (Emissary's `gzip`; Envoy's compressor filter).
//!
//! What has a coding already, parts of something (206), gRPC, and what says `no-transform` is left
//! as it is. A strong ETag becomes weak, because the bytes are others now.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use tower::{Layer, Service};

use super::record::Inbound;
use crate::model::policy::Compression;
use crate::proxy::body::ResponseBody;
use crate::proxy::coding::{Coder, Coding};
use crate::proxy::exchange::Exchange;

/// Puts [`Compress`] around a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompressLayer;

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Compress<S> {
    inner: S,
}

impl<S> Service<Inbound> for Compress<S>
where
    S: Service<Inbound, Response = Response<ResponseBody>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Compressing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut inbound: Inbound) -> Self::Future {
        let exchange = match &inbound.exchange.policy.http.compression {
            None => None,
            Some(policy) => {
                let headers = &mut inbound.head.headers;
                inbound.exchange.coding.set(choose(headers, policy));
                if policy.remove_accept_encoding {
                    headers.remove(header::ACCEPT_ENCODING);
                }
                Some(Rc::clone(&inbound.exchange))
            }
        };
        Compressing { inner: self.inner.call(inbound), exchange }
    }
}

/// The future of [`Compress`].
#[derive(Debug)]
pub(crate) struct Compressing<F> {
    inner: F,
    exchange: Option<Rc<Exchange>>,
}

impl<F> Future for Compressing<F>
where
    F: Future<Output = Result<Response<ResponseBody>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let Poll::Ready(Ok(mut response)) = Pin::new(&mut this.inner).poll(cx) else {
            return Poll::Pending;
        };
        if let Some(exchange) = &this.exchange
            && let Some(policy) = &exchange.policy.http.compression
        {
            compress(&mut response, exchange, policy);
        }
        Poll::Ready(Ok(response))
    }
}

fn compress(response: &mut Response<ResponseBody>, exchange: &Exchange, policy: &Compression) {
    if !may_compress(response, policy) {
        return;
    }
    // Whether or not it is compressed for this client: a cache has to know that it may be.
    vary(response.headers_mut(), "accept-encoding");
    // The answer to a HEAD, or nothing at all.
    if response.body().is_end_stream() {
        return;
    }
    let Some(coding) = exchange.coding.get() else { return };
    let Ok(coder) = Coder::new(coding, policy) else { return };
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    weaken(headers);
    response.body_mut().compress(coder);
}

fn may_compress(response: &Response<ResponseBody>, policy: &Compression) -> bool {
    let headers = response.headers();
    let status = response.status();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let length = length.or_else(|| response.body().size_hint().exact());
    let is_bare = matches!(
        status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    );
    let is_whole = !is_bare && !status.is_informational();
    let is_tagged = policy.skip_etag && headers.contains_key(header::ETAG);
    is_whole
        && !is_tagged
        && length.is_none_or(|length| length >= policy.min_length)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !says_no_transform(headers)
        && headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_wanted(kind, policy))
}

fn is_wanted(kind: &HeaderValue, policy: &Compression) -> bool {
    let bytes = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = bytes.trim_ascii();
    // A gRPC message has its own coding, within its own frames.
    !kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
        && policy.content_types.iter().any(|wanted| kind.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn says_no_transform(headers: &HeaderMap) -> bool {
    tokens(headers, &header::CACHE_CONTROL).any(|token| token.eq_ignore_ascii_case(b"no-transform"))
}

/// Puts a header's name on the list of those that the answer depends on.
pub(crate) fn vary(headers: &mut HeaderMap, name: &'static str) {
    let known = tokens(headers, &header::VARY)
        .any(|token| token == b"*" || token.eq_ignore_ascii_case(name.as_bytes()));
    if !known {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}

fn weaken(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(header::ETAG) else { return };
    if etag.as_bytes().starts_with(b"W/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
        Ok(weak) => drop(headers.insert(header::ETAG, weak)),
        Err(_) => drop(headers.remove(header::ETAG)),
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// The coding that the client likes best, of those that are offered (RFC 9110 section 12.5.3); of
/// those that it likes alike the one that gives most for the time. None where it rather has the
/// answer as it is.
fn choose(headers: &HeaderMap, policy: &Compression) -> Option<Coding> {
    let mut best: Option<(u16, Coding)> = None;
    let plain = named_weight(headers, |name| name.eq_ignore_ascii_case(b"identity")).unwrap_or(0);
    for (coding, offered) in
        [(Coding::Zstd, policy.zstd), (Coding::Brotli, policy.brotli), (Coding::Gzip, true)]
    {
        let weight = if offered { weight(headers, coding) } else { 0 };
        if weight > best.map_or(0, |(best, _)| best) {
            best = Some((weight, coding));
        }
    }
    best.filter(|(weight, _)| *weight >= plain).map(|(_, coding)| coding)
}

/// The weight of a coding in thousandths; 0 is refused or not named.
fn weight(headers: &HeaderMap, coding: Coding) -> u16 {
    let is_gzip = coding == Coding::Gzip;
    let is_named = |name: &[u8]| {
        name.eq_ignore_ascii_case(coding.as_str().as_bytes())
            || (is_gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    };
    // Many clients that take everything know gzip only.
    let any = || if is_gzip { named_weight(headers, |name| name == b"*") } else { None };
    named_weight(headers, is_named).or_else(any).unwrap_or(0)
}

/// The weight of the first member of `Accept-Encoding` with such a name, in thousandths.
fn named_weight(headers: &HeaderMap, is_named: impl Fn(&[u8]) -> bool) -> Option<u16> {
    tokens(headers, &header::ACCEPT_ENCODING).find_map(|token| {
        let mut parts = token.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let value = |part| {
            let (name, value) = <[u8]>::split_at_checked(part, 2)?;
            name.eq_ignore_ascii_case(b"q=").then_some(value)
        };
        is_named(parts.next().unwrap_or_default())
            .then(|| parts.find_map(value).map_or(1000, quality))
    })
}

/// `0.5` in thousandths; what can't be read is refused.
fn quality(text: &[u8]) -> u16 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => format!("{rest:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(brotli: bool, zstd: bool) -> Compression {
        Compression {
            min_length: 0,
            level: None,
            content_types: vec![],
            skip_etag: false,
            remove_accept_encoding: false,
            brotli,
            zstd,
            window_bits: 12,
        }
    }

    proptest! {
        /// Against the plain reading: every coding named once, with its weight.
        #[test]
        fn the_heaviest_is_chosen(
            weights in prop::collection::btree_map("gzip|br|zstd|identity|[*]|deflate", 0_u16..=1000, 0..5),
            brotli in any::<bool>(),
            zstd in any::<bool>(),
        ) {
            let members = weights.iter().map(|(name, q)| match q {
                1000 => name.clone(),
                _ => format!("{name} ;q=0.{q:03}"),
            });
            let mut headers = HeaderMap::new();
            let value = members.collect::<Vec<_>>().join(" , ");
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::try_from(value).unwrap());
            let named = |name: &str| weights.get(name).copied();
            let mut offered = vec![(named("gzip").or(named("*")), Coding::Gzip)];
            offered.extend(brotli.then_some((named("br"), Coding::Brotli)));
            offered.extend(zstd.then_some((named("zstd"), Coding::Zstd)));
            let heaviest = offered.iter().filter_map(|(weight, _)| *weight).max().unwrap_or(0);
            let plain = named("identity").unwrap_or(0);
            let expected = offered.iter().rev().find(|(weight, _)| *weight == Some(heaviest));
            let expected = expected.map(|(_, coding)| *coding);
            let expected = expected.filter(|_| heaviest > 0 && heaviest >= plain);
            prop_assert_eq!(choose(&headers, &policy(brotli, zstd)), expected);
        }

        #[test]
        fn whatever_is_asked_for_costs_nothing(value in "[ -~]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::try_from(value).unwrap());
            let chosen = choose(&headers, &policy(false, false));
            prop_assert!(chosen.is_none_or(|coding| coding == Coding::Gzip));
        }
    }

    #[test]
    fn clients_choose() {
        for (accepts, brotli, zstd, expected) in [
            ("gzip", false, false, Some(Coding::Gzip)),
            ("GZIP", false, false, Some(Coding::Gzip)),
            ("x-gzip", false, false, Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", false, false, Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", true, false, Some(Coding::Brotli)),
            ("gzip, deflate, br, zstd", true, true, Some(Coding::Zstd)),
            ("gzip;q=0.9, br;q=0.8", true, true, Some(Coding::Gzip)),
            ("gzip; q=0.1, br;q=0.11", true, true, Some(Coding::Brotli)),
            ("gzip;q=0", true, true, None),
            ("gzip;q=0.000, *", true, true, None),
            ("gzip;q=nan", true, true, None),
            ("*", true, true, Some(Coding::Gzip)),
            ("*;q=0", true, true, None),
            ("identity", true, true, None),
            ("gzip;q=0.2, identity;q=0.8", true, true, None),
            ("gzip, identity", true, true, Some(Coding::Gzip)),
            ("br;q=0.9, identity;q=0.5", true, true, Some(Coding::Brotli)),
            ("gzip;Q=0", true, true, None),
            ("br", false, true, None),
            ("", true, true, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts));
            assert_eq!(choose(&headers, &policy(brotli, zstd)), expected, "{accepts}");
        }
        assert_eq!(choose(&HeaderMap::new(), &policy(true, true)), None);
    }

    #[test]
    fn etags_become_weak() {
        for (before, after) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\"")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ETAG, HeaderValue::from_static(before));
            weaken(&mut headers);
            assert_eq!(headers[header::ETAG], after);
        }
    }
}
