//! What the gateway has to know of gRPC: who speaks it, and how an error is told in it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::body::ResponseBody;
use crate::model::policy::HttpPolicy;

/// The status of a call.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What there is to say about it.
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// gRPC itself.
pub(crate) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

const WEB: &str = "application/grpc-web";
const WEB_TEXT: &str = "application/grpc-web-text";

/// Of visible ASCII only `%` has to be escaped in a message (gRPC over HTTP2, Percent-Encoded).
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// How a call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// gRPC itself.
    Native,
    /// gRPC-Web, which is translated; each side may be in base64.
    Web {
        /// The request is.
        text_request: bool,
        /// The answer is to be.
        text_answer: bool,
    },
    /// gRPC from an HTTP/1.1 client, whose answer is translated.
    Bridged,
}

impl Dialect {
    /// gRPC itself, whatever is translated.
    pub(crate) fn native(head: &http::request::Parts) -> Option<Self> {
        // All calls are POST: other requests cost no look at their headers.
        (head.method == Method::POST && is_grpc(&head.headers)).then_some(Self::Native)
    }

    /// The dialect of a request where `policy` holds.
    pub(crate) fn of(
        head: &http::request::Parts,
        version: Version,
        policy: &HttpPolicy,
    ) -> Option<Self> {
        if head.method != Method::POST {
            return None;
        }
        if policy.grpc_web && is_web(&head.headers) {
            let text_request = names(&head.headers, &header::CONTENT_TYPE, WEB_TEXT);
            let text_answer = names(&head.headers, &header::ACCEPT, WEB_TEXT)
                || (text_request && !names(&head.headers, &header::ACCEPT, WEB));
            return Some(Self::Web { text_request, text_answer });
        }
        if !is_grpc(&head.headers) {
            return None;
        }
        let bridged = policy.grpc_http11_bridge && version <= Version::HTTP_11;
        Some(if bridged { Self::Bridged } else { Self::Native })
    }

    /// The content type of an answer.
    pub(crate) fn content_type(self) -> HeaderValue {
        match self {
            Self::Native | Self::Bridged => GRPC,
            Self::Web { text_answer: false, .. } => {
                HeaderValue::from_static("application/grpc-web+proto")
            }
            Self::Web { text_answer: true, .. } => {
                HeaderValue::from_static("application/grpc-web-text+proto")
            }
        }
    }

    /// An error that is all of the answer: 200, and the status among its headers.
    pub(crate) fn error(self, status: StatusCode, message: &str) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::text(""));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type());
        headers.insert(GRPC_STATUS, HeaderValue::from(code(status)));
        let message = utf8_percent_encode(message, ESCAPED).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

/// Whether the content is gRPC's: `application/grpc`, alone or with `+` and an encoding.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    names(headers, &header::CONTENT_TYPE, "application/grpc")
}

fn is_web(headers: &HeaderMap) -> bool {
    names(headers, &header::CONTENT_TYPE, WEB) || names(headers, &header::CONTENT_TYPE, WEB_TEXT)
}

/// Whether a header's value begins with a content type, of which nothing but its parameters or
/// its `+suffix` may follow.
fn names(headers: &HeaderMap, name: &HeaderName, kind: &str) -> bool {
    let Some(value) = headers.get(name) else { return false };
    let value = value.as_bytes();
    value.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()))
        && matches!(value.get(kind.len()), None | Some(b'+' | b';' | b' ' | b','))
}

/// The gRPC status for an HTTP status (gRPC's `http-grpc-status-mapping`, as Envoy has it).
pub(crate) fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,                   // INTERNAL
        401 => 16,                   // UNAUTHENTICATED
        403 => 7,                    // PERMISSION_DENIED
        404 => 12,                   // UNIMPLEMENTED
        429 | 502 | 503 | 504 => 14, // UNAVAILABLE
        _ => 2,                      // UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn dialect(kind: &str, accept: &str, version: Version, policy: &HttpPolicy) -> Option<Dialect> {
        let mut builder = Request::post("/a.B/C").header("content-type", kind);
        if !accept.is_empty() {
            builder = builder.header("accept", accept);
        }
        let head = builder.body(()).expect("valid").into_parts().0;
        Dialect::of(&head, version, policy)
    }

    #[test]
    fn who_speaks_what() {
        let off = HttpPolicy::default();
        let on = HttpPolicy { grpc_web: true, grpc_http11_bridge: true, ..HttpPolicy::default() };
        let web = |text_request, text_answer| Some(Dialect::Web { text_request, text_answer });
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (kind, accept, version, without, with) in [
            ("application/grpc", "", two, Some(Dialect::Native), Some(Dialect::Native)),
            ("application/grpc", "", one, Some(Dialect::Native), Some(Dialect::Bridged)),
            ("application/grpc+proto", "", two, Some(Dialect::Native), Some(Dialect::Native)),
            ("Application/gRPC; x", "", two, Some(Dialect::Native), Some(Dialect::Native)),
            ("application/grpc-web", "", one, None, web(false, false)),
            ("application/grpc-web+proto", "*/*", two, None, web(false, false)),
            ("application/grpc-web-text", "", one, None, web(true, true)),
            ("application/grpc-web-text+proto", "*/*", one, None, web(true, true)),
            ("application/grpc-web-text", "application/grpc-web", one, None, web(true, false)),
            ("application/grpc-web", "application/grpc-web-text", one, None, web(false, true)),
            ("application/grpc-webx", "", one, None, None),
            ("application/grpcx", "", two, None, None),
            ("application/json", "", two, None, None),
        ] {
            assert_eq!(dialect(kind, accept, version, &off), without, "{kind} {accept}");
            assert_eq!(dialect(kind, accept, version, &on), with, "{kind} {accept}");
        }
    }

    #[test]
    fn errors_are_told_in_headers() {
        let response = Dialect::Native.error(StatusCode::SERVICE_UNAVAILABLE, "50%\u{e9}\n");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "50%25%C3%A9%0A");
    }
}
