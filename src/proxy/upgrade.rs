//! Requests for another protocol on their connection (RFC 9110 section 7.8), and over HTTP/2 on
//! their stream (RFC 8441).
//!
//! Towards the upstream both are an HTTP/1.1 upgrade, or both an extended CONNECT where HTTP/2 is
//! spoken. Nothing but HTTP passes before the upstream has answered 101 and named a protocol that
//! was asked for, or 200; [`tunnel`](super::tunnel) has the rest. `h2c` is an offer that may be ignored, and is: tunnelled, its requests would pass by
//! every route.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request, response,
};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use smallvec::SmallVec;

use super::error::Failure;

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
const WEBSOCKET: &str = "websocket";

/// RFC 6455 section 1.3: what a server appends to the key before it hashes it.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Protocols that one request can ask for; more are ignored.
const MAX_PROTOCOLS: usize = 8;

/// What a client asks to switch to.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The protocols in lower case, the client's first choice first. Never empty.
    protocols: SmallVec<[String; 1]>,
    /// The stream of an HTTP/2 client. With HTTP/1.1 it is the connection that is switched.
    stream: Option<OnUpgrade>,
    /// The WebSocket key: the client's, or one that the gateway made up, since HTTP/2 has none.
    key: Option<HeaderValue>,
}

impl Upgrade {
    /// Takes a request's wish to switch out of its head. What is only an offer is taken out, too.
    pub(crate) fn take(head: &mut request::Parts) -> Result<Option<Box<Self>>, Failure> {
        if head.method == Method::CONNECT {
            let protocol = head.extensions.remove::<Protocol>().ok_or(Failure::Connect)?;
            let stream = head.extensions.remove::<OnUpgrade>().ok_or(Failure::Connect)?;
            let protocols = SmallVec::from_iter([protocol.as_str().to_ascii_lowercase()]);
            let key = (protocols[0] == WEBSOCKET).then(|| make_key(fastrand::u128(..)));
            return Ok(Some(Box::new(Self { protocols, stream: Some(stream), key })));
        }
        if !head.headers.contains_key(header::UPGRADE) {
            return Ok(None);
        }
        let protocols = match names_upgrade(&head.headers) {
            true => protocols(&head.headers),
            false => SmallVec::new(),
        };
        head.headers.remove(header::UPGRADE);
        head.headers.remove(HTTP2_SETTINGS);
        let wanted = !protocols.is_empty();
        let key = head.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        Ok(wanted.then(|| Box::new(Self { protocols, stream: None, key })))
    }

    /// Keeps the protocols that a route allows; false where none is left.
    pub(crate) fn keep_allowed(&mut self, allowed: Option<&Arc<[Arc<str>]>>) -> bool {
        let allowed = allowed.map_or(&[][..], |allowed| allowed);
        self.protocols.retain(|protocol| allowed.iter().any(|other| **other == **protocol));
        !self.protocols.is_empty()
    }

    /// Whether it came over HTTP/2, where any 2xx would mean that the tunnel stands.
    pub(crate) fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether HTTP/2 has words for it: extended CONNECT has no method of its own, and a WebSocket
    /// needs a key that its client's answer can be made from.
    pub(crate) fn fits_stream(&self, method: &Method) -> bool {
        let is_get = self.is_stream() || method == Method::GET;
        is_get && (self.protocols[0] != WEBSOCKET || self.key.is_some())
    }

    /// Asks the upstream, in HTTP/1.1's way. The head may have been in HTTP/2's form before.
    pub(crate) fn ask(&self, head: &mut request::Parts) {
        let value = HeaderValue::try_from(self.protocols.join(", "));
        // What came in a header or as a pseudo-header can stand in one.
        let Ok(value) = value else { return };
        head.headers.insert(header::UPGRADE, value);
        head.headers.insert(header::CONNECTION, UPGRADE);
        if head.method == Method::CONNECT {
            head.method = Method::GET;
        }
        if let Some(authority) = head.uri.authority() {
            // What was an authority can be a header's value, and what had one has a path.
            let Ok(host) = HeaderValue::try_from(authority.as_str()) else { return };
            head.headers.insert(header::HOST, host);
            head.uri = head.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        }
        head.version = Version::HTTP_11;
        if let Some(key) = &self.key {
            head.headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
        }
    }

    /// Asks the upstream for a stream, by extended CONNECT (RFC 8441). The head is in HTTP/2's form.
    pub(crate) fn ask_stream(&self, head: &mut request::Parts) {
        head.method = Method::CONNECT;
        head.extensions.insert(Protocol::from(self.protocols[0].as_str()));
        head.headers.remove(header::SEC_WEBSOCKET_KEY);
    }

    /// What the upstream's answer is: whether the tunnel stands, in the way in which it was asked.
    pub(crate) fn is_accepted(asked_stream: bool, status: StatusCode) -> bool {
        match asked_stream {
            true => status == StatusCode::OK,
            false => status == StatusCode::SWITCHING_PROTOCOLS,
        }
    }

    /// Makes of the upstream's 200 to an extended CONNECT what the client is told.
    pub(crate) fn answer_stream(&self, head: &mut response::Parts) {
        super::filters::forwarded::strip_response(&mut head.headers);
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        self.tell(&self.protocols[0], head);
        if let (Some(key), false) = (&self.key, self.is_stream())
            && let Ok(accept) = HeaderValue::try_from(accept_of(key))
        {
            head.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
    }

    /// Says that it is done, in the client's protocol.
    fn tell(&self, named: &str, head: &mut response::Parts) {
        if self.is_stream() {
            head.status = StatusCode::OK;
        } else if let Ok(named) = HeaderValue::try_from(named) {
            head.status = StatusCode::SWITCHING_PROTOCOLS;
            head.headers.insert(header::CONNECTION, UPGRADE);
            head.headers.insert(header::UPGRADE, named);
        }
    }

    /// Checks the upstream's 101 and makes of it what the client is told.
    pub(crate) fn check(&self, head: &mut response::Parts) -> Result<(), Failure> {
        let named = protocols(&head.headers);
        let [named] = named.as_slice() else { return Err(Failure::UpstreamProtocol) };
        if !names_upgrade(&head.headers) || !self.protocols.contains(named) {
            return Err(Failure::UpstreamProtocol);
        }
        if let (Some(key), true) = (&self.key, self.is_stream()) {
            let accept = head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
            if accept.is_none_or(|accept| accept.as_bytes() != accept_of(key).as_bytes()) {
                return Err(Failure::UpstreamProtocol);
            }
        }
        super::filters::forwarded::strip_response(&mut head.headers);
        // A 101 has no body (RFC 9110 section 8.6).
        head.headers.remove(header::CONTENT_LENGTH);
        self.tell(named, head);
        Ok(())
    }

    /// The stream to tunnel, where it isn't the connection itself.
    pub(crate) fn into_stream(self) -> Option<OnUpgrade> {
        self.stream
    }
}

/// Whether `connection` names `upgrade`, without which the Upgrade header means nothing.
fn names_upgrade(headers: &HeaderMap) -> bool {
    tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// The protocols of the Upgrade header, but for `h2c`.
fn protocols(headers: &HeaderMap) -> SmallVec<[String; 1]> {
    tokens(headers, &header::UPGRADE)
        .filter_map(|token| std::str::from_utf8(token).ok())
        .map(str::to_ascii_lowercase)
        .filter(|token| !token.is_empty() && token != "h2c")
        .take(MAX_PROTOCOLS)
        .collect()
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

fn make_key(random: u128) -> HeaderValue {
    let text = STANDARD.encode(random.to_be_bytes());
    HeaderValue::try_from(text).expect("base64 is a header value")
}

/// RFC 6455 section 4.2.2: how a server proves that it has read the key.
fn accept_of(key: &HeaderValue) -> String {
    let text = [key.as_bytes(), WEBSOCKET_GUID].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
