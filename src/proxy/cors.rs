//! Cross-origin requests (Fetch standard, CORS protocol; Envoy's cors filter): preflights of
//! allowed origins are answered here, and answers say that their origin may read them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::body::ResponseBody;
use super::filters::compress::vary;
use crate::model::policy::Cors;

/// A request of an origin that may ask.
#[derive(Debug)]
pub(crate) struct Allowed {
    origin: HeaderValue,
}

/// Whether the request comes from another site's script that may ask. A request without an origin,
/// or of one that may not, goes its way and gets no such headers: the browser refuses the rest.
pub(crate) fn check(cors: &Cors, headers: &HeaderMap) -> Option<Allowed> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.as_bytes();
    let allowed =
        cors.origins.iter().any(|allowed| &**allowed == "*" || allowed.as_bytes() == text);
    (allowed && !text.is_empty()).then(|| Allowed { origin: origin.clone() })
}

/// The answer to a preflight, if the request is one.
pub(crate) fn answer_preflight(
    cors: &Cors,
    allowed: &Allowed,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Response<ResponseBody>> {
    if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(ResponseBody::text(""));
    *response.status_mut() = StatusCode::OK;
    let out = response.headers_mut();
    sign(cors, allowed, out);
    set(out, header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.iter().map(Method::as_str));
    set(out, header::ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.iter().map(|name| &**name));
    set(out, header::ACCESS_CONTROL_MAX_AGE, cors.max_age.iter().map(|age| &**age));
    Some(response)
}

/// Says in an answer that the origin may read it, whatever the upstream says.
pub(crate) fn decorate(cors: &Cors, allowed: &Allowed, headers: &mut HeaderMap) {
    sign(cors, allowed, headers);
    let exposed = cors.exposed_headers.iter().map(HeaderName::as_str);
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

fn sign(cors: &Cors, allowed: &Allowed, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed.origin.clone());
    if cors.credentials {
        let value = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, value);
    }
    // The answer names one origin: it isn't that of the next.
    vary(headers, "origin");
}

/// Sets a list, if it holds anything.
fn set<'a>(headers: &mut HeaderMap, name: HeaderName, values: impl Iterator<Item = &'a str>) {
    let text = values.collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::try_from(text)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}
