//! gRPC for HTTP/1.1 clients that can't read trailers (Envoy's `grpc_http1_bridge`): the answer is
//! gathered, its trailers become headers, and a call that failed has 503.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::proxy::body::ResponseBody;
use crate::proxy::dispatch::answer_failure;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::{GRPC_MESSAGE, GRPC_STATUS};

/// A gRPC upstream's answer as an HTTP/1.1 client gets it. `limit` bounds its bytes.
pub(crate) async fn bridge(
    response: Response<ResponseBody>,
    exchange: &Exchange,
    limit: usize,
) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    let (bytes, trailers) = match body.collect(exchange, limit).await {
        Ok(collected) => collected,
        Err(failure) => return answer_failure(exchange, failure),
    };
    if let Some(trailers) = trailers {
        fold(&mut head, trailers);
    }
    head.headers.remove(header::TRAILER);
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(head, ResponseBody::text(bytes))
}

fn fold(head: &mut http::response::Parts, mut trailers: HeaderMap) {
    if let Some(status) = trailers.remove(GRPC_STATUS) {
        if status != "0" {
            head.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        head.headers.insert(GRPC_STATUS, status);
    }
    if let Some(message) = trailers.remove(GRPC_MESSAGE) {
        head.headers.insert(GRPC_MESSAGE, message);
    }
}
