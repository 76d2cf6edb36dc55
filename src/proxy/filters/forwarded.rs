//! Takes off the headers that concern one hop or that only the gateway may set, and puts on those
//! that tell an upstream who asked, as Envoy does (`ConnectionManagerUtility`):
//!
//! | `use_remote_address` | client | `x-forwarded-for` | `x-forwarded-proto` |
//! |---|---|---|---|
//! | true, no trusted hop | the peer | the peer is put behind it | set |
//! | true, n hops | the n-th of `x-forwarded-for` from its end, else the peer | the same | set where missing |
//! | false, n hops | the (n+1)-th from its end, else the peer | kept | set where missing |
//!
//! No address is an internal one (Envoy's `explicit_internal_address_config`): `x-envoy-internal`
//! is never set.

use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::record::Inbound;
use crate::proxy::body::ResponseBody;
use crate::proxy::tls::forward_client_certificate;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whether the client came by https, after this filter.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// Puts [`Forwarded`] around a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForwardedLayer;

impl<S> Layer<S> for ForwardedLayer {
    type Service = Forwarded<S>;

    fn layer(&self, inner: S) -> Forwarded<S> {
        Forwarded { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded<S> {
    inner: S,
}

impl<S> Service<Inbound> for Forwarded<S>
where
    S: Service<Inbound, Response = Response<ResponseBody>, Error = Infallible>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut inbound: Inbound) -> Self::Future {
        let exchange = &*inbound.exchange;
        let policy = &*exchange.policy.http;
        let headers = &mut inbound.head.headers;
        let trailers = wants_trailers(headers);
        let edge = policy.use_remote_address;
        remove_matching(headers, |name| is_hop(name) || is_ours(name, edge));
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let hops = exchange.conn.trusted_hops;
        let named = named_client(headers, edge, hops);
        if let Some(client) = named {
            exchange.client.set(client);
        }
        let trusted = !edge || hops > 0;
        if !(trusted && headers.contains_key(FORWARDED_PROTO)) {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(exchange.conn.scheme()));
        }
        if edge {
            let peer = &exchange.conn.peer_value;
            let client = named.and_then(|client| HeaderValue::try_from(client.to_string()).ok());
            append_forwarded_for(headers, peer);
            headers.insert(EXTERNAL_ADDRESS, client.unwrap_or_else(|| peer.clone()));
        }
        forward_client_certificate(headers, policy, exchange.conn.tls.as_ref());
        let keeps = !edge || policy.preserve_external_request_id;
        if !(keeps && headers.contains_key(REQUEST_ID)) {
            headers.insert(REQUEST_ID, build_request_id(fastrand::u128(..)));
        }
        self.inner.call(inbound)
    }
}

/// The client's address as the headers name it, where those who wrote them are trusted.
fn named_client(headers: &HeaderMap, edge: bool, hops: u32) -> Option<IpAddr> {
    let skip = match (edge, hops.checked_sub(1)) {
        (true, None) => return None,
        (true, Some(before)) => before,
        (false, _) => hops,
    };
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut tokens = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    let token = std::str::from_utf8(tokens.nth(skip)?.trim_ascii()).ok()?;
    token.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// What only a gateway may say, and what would steer this one. Behind one that is trusted, what it
/// says of the client stands.
fn is_ours(name: &HeaderName, edge: bool) -> bool {
    name.as_str().starts_with("x-envoy-") && (edge || *name != EXTERNAL_ADDRESS)
}

/// Takes off what concerned the upstream's connection only.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    remove_matching(headers, is_hop);
}

/// RFC 9110 section 7.6.1. `expect` is answered by the gateway itself, as Envoy does.
fn is_hop(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == header::TE
        || *name == header::EXPECT
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// One pass over the names; mostly nothing or one is to be removed.
fn remove_matching(headers: &mut HeaderMap, matches: impl Fn(&HeaderName) -> bool) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if matches(name) {
            doomed.push(name.clone());
        }
    }
    if doomed.contains(&header::CONNECTION) {
        for value in headers.get_all(header::CONNECTION) {
            let tokens = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            // What frames or addresses the message can't be disowned.
            doomed.extend(
                tokens
                    // What it says as a rule, which names no header that isn't taken off anyway.
                    .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive"))
                    .filter_map(|token| HeaderName::from_bytes(token).ok())
                    .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH),
            );
        }
    }
    for name in doomed {
        headers.remove(name);
    }
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// The client's own list is kept, and its address put behind it.
fn append_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(FORWARDED_FOR) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b",");
    }
    let value = if list.is_empty() {
        peer.clone()
    } else {
        list.extend_from_slice(peer.as_bytes());
        // The pieces were header values before: so is the whole.
        HeaderValue::from_bytes(&list).unwrap_or_else(|_| peer.clone())
    };
    headers.insert(FORWARDED_FOR, value);
}

/// A version 4 UUID (RFC 9562 section 5.4).
fn build_request_id(random: u128) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = random.to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 0x0f)];
        at += 2;
    }
    HeaderValue::from_bytes(&text).expect("hex digits and dashes are a header value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the list is cut into headers and spaced, hops are counted from its end.
        #[test]
        fn hops_count_from_the_end(
            list in prop::collection::vec(any::<[u8; 4]>(), 1..8),
            (cuts, edge) in (prop::collection::vec(any::<bool>(), 8), any::<bool>()), hops in 0_u32..10,
        ) {
            let mut values = vec![String::new()];
            for (address, cut) in list.iter().zip(cuts) {
                let text = IpAddr::from(*address).to_string();
                match values.last_mut() {
                    Some(last) if last.is_empty() => *last = text,
                    Some(last) if !cut => last.push_str(&format!(" ,  {text}")),
                    _ => values.push(text),
                }
            }
            let mut headers = HeaderMap::new();
            for value in values { headers.append(FORWARDED_FOR, value.try_into().unwrap()); }
            let skip = hops.checked_sub(u32::from(edge));
            let expected = skip.and_then(|skip| list.iter().rev().nth(skip as usize).copied());
            prop_assert_eq!(named_client(&headers, edge, hops), expected.map(IpAddr::from));
        }
    }

    #[test]
    fn ids_are_version_4() {
        let id = build_request_id(0);
        assert_eq!(id, "00000000-0000-4000-8000-000000000000");
        let id = build_request_id(u128::MAX);
        assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn what_concerns_one_hop_goes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Drop, host"),
            ("keep-alive", "timeout=5"),
            ("x-drop", "1"),
            ("x-keep", "1"),
            ("host", "a"),
            ("te", "trailers, gzip"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(wants_trailers(&headers));
        remove_matching(&mut headers, is_hop);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-keep"]);
    }

    #[test]
    fn trusted_proxies_name_the_client() {
        let list = ["1.1.1.1, 2.2.2.2", "::ffff:3.3.3.3"];
        for (edge, hops, expected) in [
            (true, 0, None),
            (true, 1, Some("3.3.3.3")),
            (true, 2, Some("2.2.2.2")),
            (true, 3, Some("1.1.1.1")),
            (true, 4, None),
            (false, 0, Some("3.3.3.3")),
            (false, 2, Some("1.1.1.1")),
            (false, 3, None),
        ] {
            let mut headers = HeaderMap::new();
            for value in list {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            let named = named_client(&headers, edge, hops).map(|client| client.to_string());
            assert_eq!(named.as_deref(), expected, "{edge} {hops}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("1.1.1.1, unknown"));
        assert_eq!(named_client(&headers, true, 1), None, "what can't be read names nobody");
    }

    #[test]
    fn the_peer_joins_the_list() {
        let peer = HeaderValue::from_static("10.0.0.9");
        for (before, after) in
            [(vec![], "10.0.0.9"), (vec!["1.1.1.1", "2.2.2.2"], "1.1.1.1,2.2.2.2,10.0.0.9")]
        {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            append_forwarded_for(&mut headers, &peer);
            assert_eq!(headers[FORWARDED_FOR], after);
            assert_eq!(headers.get_all(FORWARDED_FOR).iter().count(), 1);
        }
    }
}
