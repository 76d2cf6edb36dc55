//! The access log's formats, compiled so that a line costs lookups by index and no allocation.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Version};

use super::exchange::{Captured, Exchange};
use super::options::AccessLogFormat;
use crate::model::policy::AccessLog;
use crate::model::template::{Field, Operator, Part, Template};

/// Emissary's default line.
const TEXT: &str = "ACCESS [%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% \
    %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// Emissary's default keys; an empty value is always null here (Istio's).
const JSON: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("istio_policy_status", ""),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// A compiled format.
#[derive(Debug, Default)]
pub(crate) struct LogFormat {
    kind: Kind,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Off,
    Text(Vec<Piece>),
    /// Keys as JSON has them, in quotes.
    Json(Vec<(Box<str>, Vec<Piece>)>),
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Value(Value, Option<Value>, Option<usize>),
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Method,
    Path,
    Authority,
    Scheme,
    Request(usize),
    Response(usize),
    Field(Field),
}

impl LogFormat {
    /// Compiles what the policy asks for, or else what the process was started with. A process
    /// that was started without a log has none.
    pub(crate) fn build(format: AccessLogFormat, policy: Option<&AccessLog>) -> Self {
        let mut this = Self::default();
        this.kind = match (format, policy) {
            (AccessLogFormat::Off, _) | (_, Some(AccessLog::Off)) => Kind::Off,
            (_, Some(AccessLog::Text(Some(line)))) => Kind::Text(this.compile(line)),
            (_, Some(AccessLog::Text(None))) | (AccessLogFormat::Text, None) => {
                Kind::Text(this.compile(&default_template(TEXT)))
            }
            (_, Some(AccessLog::Json(Some(keys)))) => {
                this.compile_keys(keys.iter().map(|(key, text)| (&**key, Cow::Borrowed(text))))
            }
            (_, Some(AccessLog::Json(None))) | (AccessLogFormat::Json, None) => {
                let keys = JSON.iter();
                this.compile_keys(
                    keys.map(|(key, text)| (*key, Cow::Owned(default_template(text)))),
                )
            }
        };
        this
    }

    fn compile_keys<'a>(
        &mut self,
        keys: impl Iterator<Item = (&'a str, Cow<'a, Template>)>,
    ) -> Kind {
        let quoted = |key: &str| serde_json::Value::from(key).to_string().into_boxed_str();
        Kind::Json(keys.map(|(key, text)| (quoted(key), self.compile(&text))).collect())
    }

    /// The request headers that the format shows.
    pub(crate) fn request_headers(&self) -> &[HeaderName] {
        &self.request_headers
    }

    /// The response headers that the format shows.
    pub(crate) fn response_headers(&self) -> &[HeaderName] {
        &self.response_headers
    }

    fn compile(&mut self, template: &Template) -> Vec<Piece> {
        let piece = |part: &Part| match part {
            Part::Text(text) => Piece::Text(text.as_bytes().into()),
            Part::Value(Operator::Field(field), limit) => {
                Piece::Value(Value::Field(*field), None, *limit)
            }
            Part::Value(Operator::RequestHeader(name, other), limit) => {
                let mut value = |name: &str| match name {
                    ":method" => Value::Method,
                    ":path" => Value::Path,
                    ":scheme" => Value::Scheme,
                    ":authority" | "host" => Value::Authority,
                    name => Value::Request(index(&mut self.request_headers, name)),
                };
                let first = value(name);
                Piece::Value(first, other.as_deref().map(value), *limit)
            }
            Part::Value(Operator::ResponseHeader(name, other), limit) => {
                let mut value =
                    |name: &str| Value::Response(index(&mut self.response_headers, name));
                let first = value(name);
                Piece::Value(first, other.as_deref().map(value), *limit)
            }
        };
        template.parts().iter().map(piece).collect()
    }

    /// Writes the line of an exchange. Returns false where there is to be none.
    pub(crate) fn write(&self, out: &mut Vec<u8>, exchange: &Exchange, took: Duration) -> bool {
        match &self.kind {
            Kind::Off => return false,
            Kind::Text(pieces) => {
                for piece in pieces {
                    if !write_piece(out, piece, exchange, took) {
                        out.push(b'-');
                    }
                }
            }
            Kind::Json(entries) => write_json(out, entries, exchange, took),
        }
        out.push(b'\n');
        true
    }
}

fn default_template(text: &str) -> Template {
    Template::parse(text).expect("the default formats are valid")
}

/// The place of a header in the list of those to keep.
fn index(names: &mut Vec<HeaderName>, name: &str) -> usize {
    if let Some(index) = names.iter().position(|one| one.as_str() == name) {
        return index;
    }
    // One that can't be a header's name is never there; any place does.
    names.push(HeaderName::try_from(name).unwrap_or(http::header::TRAILER));
    names.len() - 1
}

/// Whether there was a value.
fn write_piece(out: &mut Vec<u8>, piece: &Piece, exchange: &Exchange, took: Duration) -> bool {
    let (value, other, limit) = match piece {
        Piece::Text(text) => {
            out.extend_from_slice(text);
            return true;
        }
        Piece::Value(value, other, limit) => (*value, *other, *limit),
    };
    let before = out.len();
    let found = write_value(out, value, exchange, took)
        || other.is_some_and(|other| write_value(out, other, exchange, took));
    if let Some(limit) = limit {
        out.truncate(before.saturating_add(limit).min(out.len()));
    }
    found
}

fn write_value(out: &mut Vec<u8>, value: Value, exchange: &Exchange, took: Duration) -> bool {
    let captured = |out: &mut Vec<u8>, values: &Captured, index: usize| match values.get(index) {
        Some(Some(value)) => put(out, value.as_bytes()),
        _ => false,
    };
    match value {
        Value::Method | Value::Scheme | Value::Path if !exchange.is_http => false,
        Value::Method => put(out, exchange.method.as_str().as_bytes()),
        Value::Scheme => put(out, exchange.conn.scheme().as_bytes()),
        Value::Path => exchange.with_path(|path| put(out, path.as_bytes())),
        Value::Authority => {
            let authority = exchange.authority.borrow();
            authority.as_ref().is_some_and(|value: &HeaderValue| put(out, value.as_bytes()))
        }
        Value::Request(index) => captured(out, &exchange.request_values.borrow(), index),
        Value::Response(index) => captured(out, &exchange.response_values.borrow(), index),
        Value::Field(field) => write_field(out, exchange, field, took),
    }
}

/// Writes an operator's value. Returns false where there is none.
pub(crate) fn write_field(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    field: Field,
    took: Duration,
) -> bool {
    match field {
        Field::StartTime => {
            SystemTime::now().checked_sub(took).is_some_and(|start| write_time(out, start))
        }
        Field::Protocol if !exchange.is_http => false,
        Field::Protocol => put(out, protocol(exchange.version).as_bytes()),
        Field::ResponseCode => show(out, exchange.status.get()),
        Field::ResponseCodeDetails => put(out, exchange.details.get().as_bytes()),
        Field::ResponseFlags => {
            exchange.flag.get().is_some_and(|flag| put(out, flag.as_str().as_bytes()))
        }
        Field::BytesReceived => show(out, exchange.received.get()),
        Field::BytesSent => show(out, exchange.sent.get()),
        Field::Duration => show(out, took.as_millis()),
        Field::UpstreamHost => exchange.upstream.get().is_some_and(|(to, _)| show(out, to)),
        Field::UpstreamLocalAddress => {
            exchange.upstream.get().is_some_and(|(_, from)| show(out, from))
        }
        Field::UpstreamCluster => exchange
            .target
            .borrow()
            .as_ref()
            .is_some_and(|target| put(out, target.cluster.name.0.as_bytes())),
        Field::DownstreamLocalAddress => show(out, exchange.conn.local),
        Field::DownstreamLocalAddressWithoutPort => show(out, exchange.conn.local.ip()),
        Field::DownstreamLocalPort => show(out, exchange.conn.local.port()),
        Field::DownstreamRemoteAddress => show(out, client(exchange)),
        Field::DownstreamRemoteAddressWithoutPort => show(out, exchange.client.get()),
        Field::DownstreamDirectRemoteAddressWithoutPort => {
            put(out, exchange.conn.peer_value.as_bytes())
        }
        Field::RouteName => exchange.leg.get().is_some_and(|leg| put(out, leg.key.name.as_bytes())),
        Field::UpstreamTransportFailureReason => {
            let reason = exchange.transport_failure.borrow();
            reason.as_ref().is_some_and(|reason| put(out, reason.replace(' ', "_").as_bytes()))
        }
        Field::RequestedServerName => {
            let tls = exchange.conn.tls.as_ref();
            let name = tls.and_then(|tls| tls.server_name.as_ref());
            name.is_some_and(|name| put(out, name.as_bytes()))
        }
        // The host's name is the environment's to know.
        Field::Hostname => false,
    }
}

/// Whoever a header names has no port that could be known.
fn client(exchange: &Exchange) -> SocketAddr {
    let (peer, client) = (exchange.conn.peer, exchange.client.get());
    if peer.ip() == client { peer } else { SocketAddr::new(client, 0) }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    !text.is_empty()
}

fn show(out: &mut Vec<u8>, value: impl std::fmt::Display) -> bool {
    // Writing to a vector can't fail.
    write!(out, "{value}").is_ok()
}

/// RFC 3339 with milliseconds, in UTC.
fn write_time(out: &mut Vec<u8>, time: SystemTime) -> bool {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, rest) = (second / 3600, second / 60 % 60, second % 60);
    put_digits::<4>(out, year, b'-');
    put_digits::<2>(out, month, b'-');
    put_digits::<2>(out, day, b'T');
    put_digits::<2>(out, hour, b':');
    put_digits::<2>(out, minute, b':');
    put_digits::<2>(out, rest, b'.');
    put_digits::<3>(out, since.subsec_millis().into(), b'Z');
    true
}

/// The last `WIDTH` digits, and what stands behind them. Formatting costs ten times as much.
fn put_digits<const WIDTH: usize>(out: &mut Vec<u8>, mut number: u64, end: u8) {
    let mut digits = [0; WIDTH];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    out.extend_from_slice(&digits);
    out.push(end);
}

/// Year, month and day of a count of days since 1970-01-01. Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`, for days that aren't negative.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn write_json(
    out: &mut Vec<u8>,
    entries: &[(Box<str>, Vec<Piece>)],
    exchange: &Exchange,
    took: Duration,
) {
    let mut value = Vec::new();
    for (index, (key, pieces)) in entries.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        value.clear();
        let mut found = false;
        for piece in pieces {
            found |= write_piece(&mut value, piece, exchange, took);
        }
        let number = matches!(
            pieces.as_slice(),
            [Piece::Value(
                Value::Field(
                    Field::ResponseCode | Field::BytesReceived | Field::BytesSent | Field::Duration
                ),
                ..
            )]
        );
        match (found, number) {
            (false, _) => out.extend_from_slice(b"null"),
            (true, true) => out.extend_from_slice(&value),
            // A value that isn't UTF-8 is shown as far as it can be.
            (true, false) => {
                drop(serde_json::to_writer(&mut *out, &String::from_utf8_lossy(&value)))
            }
        }
    }
    out.push(b'}');
}

#[cfg(test)]
#[path = "log_format_tests.rs"]
mod tests;
