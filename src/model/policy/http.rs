//! Policies of the gateway as a whole (Emissary's Module `ambassador`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::Limit;
use crate::model::template::Template;

/// How HTTP is served, whatever the route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPolicy {
    /// The `server` header of every response. Emissary: `server_name`, default `envoy`.
    pub server_name: Arc<str>,
    /// Routing adds no `x-envoy-*` header; `x-envoy-external-address`, which tells who asked, is
    /// added all the same, as Envoy does. Emissary: `suppress_envoy_headers`.
    pub suppress_envoy_headers: bool,
    /// A client's `x-request-id` is kept. Emissary: `preserve_external_request_id`.
    pub preserve_external_request_id: bool,
    /// The connection tells who the client is, and not its headers. Emissary:
    /// `use_remote_address`, default true.
    pub use_remote_address: bool,
    /// A port in the Host header that is the Listener's is taken off. Emissary:
    /// `strip_matching_host_port`.
    pub strip_matching_host_port: bool,
    /// `//` in a path becomes `/`. Emissary: `merge_slashes`.
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C` in a path. Emissary: `reject_requests_with_escaped_slashes`.
    pub escaped_slashes: EscapedSlashes,
    /// What becomes of headers with `_` in their name. Emissary:
    /// `headers_with_underscores_action`.
    pub underscores: UnderscoresAction,
    /// HTTP/1 header names in answers are written `Proper-Case`. Emissary: `proper_case`.
    pub proper_case: bool,
    /// HTTP/1.0 is answered. Emissary: `enable_http10`.
    pub http10: bool,
    /// Bytes of a request's head; 431 above. Emissary: `max_request_headers_kb`, default 60.
    pub max_request_head: usize,
    /// A client's connection without a request is closed after this time. Emissary:
    /// `listener_idle_timeout_ms`, default 1 h.
    pub idle_timeout: Limit,
    /// Requests are read whole before they go on, up to this many bytes; 413 above. Emissary:
    /// `buffer.max_request_bytes`.
    pub buffer_request: Option<usize>,
    /// Bytes that wait for a slow reader, in each direction. Emissary: `buffer_limit_bytes`,
    /// default 1 MiB.
    pub buffer_limit: usize,
    /// Answers are compressed. Emissary: `gzip`.
    pub compression: Option<Compression>,
    /// Who may ask at all. Emissary: `ip_allow`, `ip_deny`.
    pub addresses: Option<IpRules>,
    /// What the upstream is told of the client's certificate. Emissary:
    /// `forward_client_cert_details`, `set_current_client_cert_details`.
    pub client_certificate: ClientCertificateHeader,
    /// gRPC-Web is translated. Emissary: `enable_grpc_web`.
    pub grpc_web: bool,
    /// HTTP/1.1 requests to gRPC services are translated. Emissary: `enable_grpc_http11_bridge`.
    pub grpc_http11_bridge: bool,
    /// What is logged of each request; `None` is what the process was started with. Emissary:
    /// `envoy_log_type`, `envoy_log_format`, `envoy_log_path`.
    pub access_log: Option<AccessLog>,
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self {
            server_name: "envoy".into(),
            suppress_envoy_headers: false,
            preserve_external_request_id: false,
            use_remote_address: true,
            strip_matching_host_port: false,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::Keep,
            underscores: UnderscoresAction::Allow,
            proper_case: false,
            http10: false,
            max_request_head: 60 * 1024,
            idle_timeout: Limit::After(Duration::from_secs(3600)),
            buffer_request: None,
            buffer_limit: 1024 * 1024,
            compression: None,
            addresses: None,
            client_certificate: ClientCertificateHeader::Sanitize,
            grpc_web: false,
            grpc_http11_bridge: false,
            access_log: None,
        }
    }
}

/// What becomes of `%2F`, `%2f`, `%5C` and `%5c` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EscapedSlashes {
    /// They stay as they are.
    Keep,
    /// The request is refused with 400.
    Reject,
}

/// What becomes of headers with `_` in their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnderscoresAction {
    /// They pass.
    Allow,
    /// The request is refused with 400.
    Reject,
    /// The header is left out.
    Drop,
}

/// How answers are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Shorter answers are left as they are. Emissary: `min_content_length`, default 30.
    pub min_length: u64,
    /// 1 (fast) to 9 (small); `None` is the library's own choice. Emissary: `compression_level`.
    pub level: Option<u8>,
    /// The content types that are compressed. Emissary: `content_type`.
    pub content_types: Vec<Arc<str>>,
    /// An answer with an ETag is left as it is. Emissary: `disable_on_etag_header`.
    pub skip_etag: bool,
    /// The upstream isn't told what the client takes. Emissary:
    /// `remove_accept_encoding_header`.
    pub remove_accept_encoding: bool,
    /// Brotli is offered as well. Our own field.
    pub brotli: bool,
    /// Zstandard is offered as well. Our own field.
    pub zstd: bool,
    /// gzip's window, as a power of two in bytes: 9 to 15. Emissary: `window_bits`, default 12.
    pub window_bits: u8,
}

/// What is logged of each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nothing.
    Off,
    /// One line of text each; `None` is the gateway's own format.
    Text(Option<Template>),
    /// One JSON object each, with these keys; `None` are the gateway's own.
    Json(Option<Vec<(Arc<str>, Template)>>),
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRules {
    /// Whether those who match may ask, or those who don't.
    pub allow: bool,
    /// Any one that matches decides. None at all refuses everybody where `allow` is set, and
    /// nobody else: so a list that can't be read is closed, never open.
    pub rules: Vec<IpRule>,
}

impl IpRules {
    /// Nobody may ask: what becomes of rules that can't be read.
    pub const CLOSED: Self = Self { allow: true, rules: Vec::new() };

    /// Whether a client may ask.
    pub fn admit(&self, peer: IpAddr, remote: IpAddr) -> bool {
        let matches = self.rules.iter().any(|rule| match rule.source {
            IpSource::Peer => rule.network.contains(&peer),
            IpSource::Remote => rule.network.contains(&remote),
        });
        matches == self.allow
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRule {
    /// Which address is looked at.
    pub source: IpSource,
    /// The range.
    pub network: IpNet,
}

/// Which address of a client is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpSource {
    /// Of who made the connection.
    Peer,
    /// Of who asked, behind trusted proxies.
    Remote,
}

/// What the upstream is told of the client's certificate in `x-forwarded-client-cert` (Envoy's
/// `forward_client_cert_details`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientCertificateHeader {
    /// `SANITIZE`: no such header.
    Sanitize,
    /// `FORWARD_ONLY`: what came, where the client had a certificate.
    ForwardOnly,
    /// `APPEND_FORWARD`: what came, and the client's own.
    AppendForward(ClientCertificateDetails),
    /// `SANITIZE_SET`: the client's own.
    SanitizeSet(ClientCertificateDetails),
    /// `ALWAYS_FORWARD_ONLY`: what came.
    AlwaysForwardOnly,
}

/// Which details of a certificate are told (`set_current_client_cert_details`). Its hash is always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClientCertificateDetails {
    /// The subject.
    pub subject: bool,
    /// The certificate in PEM.
    pub cert: bool,
    /// The certificate and its chain in PEM.
    pub chain: bool,
    /// Its DNS names.
    pub dns: bool,
    /// Its URI.
    pub uri: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_admit_or_refuse() {
        let rules = |allow, list: &[(IpSource, &str)]| IpRules {
            allow,
            rules: list
                .iter()
                .map(|(source, network)| IpRule {
                    source: *source,
                    network: network.parse().expect("a network"),
                })
                .collect(),
        };
        let (peer, remote) = ("10.0.0.9", "203.0.113.7");
        for (allow, list, expected) in [
            (true, &[(IpSource::Peer, "10.0.0.0/8")][..], true),
            (true, &[(IpSource::Remote, "10.0.0.0/8")], false),
            (false, &[(IpSource::Peer, "10.0.0.0/8")], false),
            (false, &[(IpSource::Remote, "10.0.0.0/8")], true),
            (
                true,
                &[(IpSource::Peer, "2001:db8::/32"), (IpSource::Remote, "203.0.113.7/32")],
                true,
            ),
            (true, &[], false),
            (false, &[], true),
        ] {
            let admitted = rules(allow, list)
                .admit(peer.parse().expect("an address"), remote.parse().expect("an address"));
            assert_eq!(admitted, expected, "{allow} {list:?}");
        }
    }
}
