//! Why the gateway answers itself: the closed set of failures, with their status, text and flag.

use std::fmt;
use std::io;

use http::StatusCode;

/// Envoy's response flags, as dashboards and log readers know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// No route.
    NoRoute,
    /// No healthy upstream.
    NoHealthyUpstream,
    /// No connection to an upstream.
    ConnectFailure,
    /// The upstream took too long.
    Timeout,
    /// The upstream closed the connection.
    UpstreamReset,
    /// The client went away.
    DownstreamReset,
    /// The client sent what can't be.
    DownstreamProtocol,
    /// The upstream sent what can't be.
    UpstreamProtocol,
    /// Nothing moved for too long.
    StreamIdle,
    /// A limit of the cluster is reached.
    Overflow,
    /// The upstream reset the stream.
    RemoteReset,
    /// The gateway sheds load.
    OverloadManager,
}

impl Flag {
    /// Envoy's short form.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "NR",
            Self::NoHealthyUpstream => "UH",
            Self::ConnectFailure => "UF",
            Self::Timeout => "UT",
            Self::UpstreamReset => "UC",
            Self::DownstreamReset => "DC",
            Self::DownstreamProtocol => "DPE",
            Self::UpstreamProtocol => "UPE",
            Self::StreamIdle => "SI",
            Self::Overflow => "UO",
            Self::RemoteReset => "UR",
            Self::OverloadManager => "OM",
        }
    }
}

/// Why a request doesn't get an upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::enum_variant_names, reason = "`ConnectFailure` is Envoy's word")]
pub(crate) enum Failure {
    /// HTTP/1.0 (RFC 9110 section 15.5.22; Envoy without `accept_http_10`).
    #[error("upgrade required: this version isn't served")]
    Http10,
    /// The path can't be made canonical.
    #[error("bad path")]
    BadPath,
    /// RFC 9112 section 3.2: none, several or an impossible one.
    #[error("bad host")]
    BadHost,
    /// A transfer coding besides `chunked`.
    #[error("transfer coding not supported")]
    TransferCoding,
    /// The request's body broke off, or its chunks are none.
    #[error("bad request body")]
    RequestBody,
    /// CONNECT.
    #[error("CONNECT isn't served")]
    Connect,
    /// An upgrade that no route allows.
    #[error("upgrade refused")]
    Upgrade,
    /// An upgrade towards an upstream that speaks HTTP/2 and nothing else, without extended CONNECT
    /// (RFC 8441).
    #[error("upgrade failed: the upstream speaks HTTP/2 without extended CONNECT (RFC 8441)")]
    NoTunnel,
    /// The client's address (Envoy's RBAC filter).
    #[error("RBAC: access denied")]
    Address,
    /// The path has an encoded slash, where that is refused.
    #[error("bad path: encoded slash")]
    EscapedSlash,
    /// A header's name has an underscore, where that is refused.
    #[error("a header's name has an underscore")]
    Underscore,
    /// The body is larger than what is read whole.
    #[error("Payload Too Large")]
    TooLarge,
    /// The connection's TLS isn't that of the request's host (RFC 9110 section 15.5.20).
    #[error("misdirected request: ask on a connection of its own")]
    Misdirected,
    /// No route takes the request.
    #[error("no route")]
    NoRoute,
    /// The cluster has no addresses.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// The cluster's name has no addresses, or none that could be found out in time.
    #[error("no healthy upstream: name not resolved")]
    NameNotResolved,
    /// No address could be connected to.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    )]
    ConnectFailure,
    /// Connecting took longer than the cluster's limit.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"
    )]
    ConnectTimeout,
    /// TLS with the upstream failed.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS error"
    )]
    TlsFailure,
    /// A limit of the cluster (`circuit_breakers`) is reached.
    #[error("upstream connect error or disconnect/reset before headers. reset reason: overflow")]
    Overflow,
    /// The gateway is short of memory.
    #[error("envoy overloaded")]
    Overloaded,
    /// The gateway is short of memory, and the client sends its body too slowly.
    #[error("envoy overloaded: slow request body")]
    SlowBody,
    /// As many requests are upstream as there is memory for.
    #[error("envoy overloaded: too many requests")]
    TooManyRequests,
    /// The upstream reset the stream.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: remote reset"
    )]
    RemoteReset,
    /// The upstream says that it hasn't looked at the request, again and again.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset"
    )]
    RefusedStream,
    /// The time of one try is over.
    #[error("upstream request timeout")]
    PerTryTimeout,
    /// The upstream closed before it answered.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    )]
    UpstreamReset,
    /// The upstream's answer isn't HTTP, or an unasked 101.
    #[error("upstream protocol error")]
    UpstreamProtocol,
    /// The upstream's answer, which has to be gathered, has more bytes than may wait.
    #[error("upstream response too large")]
    AnswerTooLarge,
    /// The route's time is over.
    #[error("upstream request timeout")]
    Timeout,
    /// Nothing moved for too long, while the request was on its way.
    #[error("stream timeout")]
    StreamIdle,
    /// Nothing moved for too long, after the whole request had come.
    #[error("stream timeout")]
    AnswerIdle,
}

impl Failure {
    /// The status to answer with: Envoy's for the same failure.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Http10 => StatusCode::UPGRADE_REQUIRED,
            Self::BadPath
            | Self::BadHost
            | Self::RequestBody
            | Self::EscapedSlash
            | Self::Underscore => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade | Self::Address => StatusCode::FORBIDDEN,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoHealthyUpstream
            | Self::NameNotResolved
            | Self::ConnectFailure
            | Self::ConnectTimeout
            | Self::TlsFailure
            | Self::Overflow
            | Self::Overloaded
            | Self::TooManyRequests
            | Self::RemoteReset
            | Self::RefusedStream
            | Self::UpstreamReset => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamProtocol | Self::NoTunnel | Self::AnswerTooLarge => {
                StatusCode::BAD_GATEWAY
            }
            Self::Timeout | Self::PerTryTimeout | Self::AnswerIdle => StatusCode::GATEWAY_TIMEOUT,
            Self::StreamIdle | Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The flag for the access log.
    pub(crate) fn flag(self) -> Option<Flag> {
        Some(match self {
            Self::Http10
            | Self::Connect
            | Self::Upgrade
            | Self::Address
            | Self::TooLarge
            | Self::Misdirected => return None,
            Self::BadPath
            | Self::BadHost
            | Self::TransferCoding
            | Self::EscapedSlash
            | Self::Underscore => Flag::DownstreamProtocol,
            Self::RequestBody => Flag::DownstreamReset,
            Self::NoRoute => Flag::NoRoute,
            Self::NoHealthyUpstream | Self::NameNotResolved => Flag::NoHealthyUpstream,
            Self::ConnectFailure | Self::ConnectTimeout | Self::TlsFailure => Flag::ConnectFailure,
            Self::Overflow => Flag::Overflow,
            Self::Overloaded | Self::TooManyRequests | Self::SlowBody => Flag::OverloadManager,
            Self::RemoteReset | Self::RefusedStream => Flag::RemoteReset,
            Self::UpstreamReset => Flag::UpstreamReset,
            Self::UpstreamProtocol | Self::NoTunnel | Self::AnswerTooLarge => {
                Flag::UpstreamProtocol
            }
            Self::Timeout | Self::PerTryTimeout => Flag::Timeout,
            Self::StreamIdle | Self::AnswerIdle => Flag::StreamIdle,
        })
    }

    /// `%RESPONSE_CODE_DETAILS%`: one word, as Envoy's are.
    pub(crate) fn details(self) -> &'static str {
        match self {
            Self::Http10 => "low_version",
            Self::BadPath => "path_normalization_failed",
            Self::BadHost => "invalid_authority",
            Self::TransferCoding => "http1.invalid_transfer_encoding",
            Self::RequestBody => "downstream_body_incomplete",
            Self::Connect => "connect_refused",
            Self::Upgrade => "upgrade_failed",
            Self::NoTunnel => "upgrade_failed{upstream_without_extended_connect}",
            Self::Address => "rbac_access_denied",
            Self::EscapedSlash => "path_normalization_failed{encoded_slash}",
            Self::Underscore => "http.unexpected_underscore",
            Self::TooLarge => "request_payload_too_large",
            Self::Misdirected => "misdirected_request",
            Self::NoRoute => "route_not_found",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::NameNotResolved => "no_healthy_upstream{name_not_resolved}",
            Self::ConnectFailure => "upstream_reset_before_response_started{connection_failure}",
            Self::ConnectTimeout => "upstream_reset_before_response_started{connection_timeout}",
            Self::UpstreamReset => "upstream_reset_before_response_started{connection_termination}",
            Self::UpstreamProtocol => "upstream_reset_before_response_started{protocol_error}",
            Self::AnswerTooLarge => "response_payload_too_large",
            Self::TlsFailure => {
                "upstream_reset_before_response_started{connection_failure,TLS_error}"
            }
            Self::Overloaded => "overload",
            Self::TooManyRequests => "overload{too_many_requests}",
            Self::SlowBody => "overload{slow_request_body}",
            Self::Overflow => "upstream_reset_before_response_started{overflow}",
            Self::RemoteReset => "upstream_reset_before_response_started{remote_reset}",
            Self::RefusedStream => {
                "upstream_reset_before_response_started{remote_refused_stream_reset}"
            }
            Self::PerTryTimeout => "upstream_per_try_timeout",
            Self::Timeout => "response_timeout",
            Self::StreamIdle | Self::AnswerIdle => "stream_idle_timeout",
        }
    }

    /// Whether the client's connection can't be trusted to be in step afterwards.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self,
            Self::Http10
                | Self::BadHost
                | Self::TransferCoding
                | Self::RequestBody
                | Self::Connect
                | Self::TooLarge
                | Self::SlowBody
        )
    }
}

/// Why a body ends before its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The other side's connection.
    Transport(hyper::Error),
    /// The compression's.
    Coding(io::Error),
    /// The request's time is over.
    Expired(Failure),
    /// The request's body isn't what it has to be.
    Invalid(Failure),
    /// The response has ended; what is left of the request is not wanted.
    Finished,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "transport: {error}"),
            Self::Coding(error) => write!(f, "compression: {error}"),
            Self::Expired(failure) | Self::Invalid(failure) => failure.fmt(f),
            Self::Finished => f.write_str("the response has ended before its request"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Coding(error) => Some(error),
            Self::Expired(failure) | Self::Invalid(failure) => Some(failure),
            Self::Finished => None,
        }
    }
}
