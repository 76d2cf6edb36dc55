//! The keys of Module `ambassador`, with what becomes of each.

use crate::source::parse::effect::{Key, better, none, same};

/// Where a Listener says it now.
const IN_LISTENER: &str = "said by a Listener: write spec.l7Depth there";

/// No Envoy runs.
const NO_ENVOY: &str = "configures Envoy, and there is none; leave it out";

/// Keys of `config`.
pub(crate) const KEYS: &[Key] = &[
    same(
        "add_linkerd_headers",
        "requests get `l5d-dst-override`, unless their Mapping says otherwise",
    ),
    none("admin_port", NO_ENVOY),
    none(
        "allow_chunked_length",
        "a request with Content-Length and chunks is always read by its chunks, framed anew, and \
         its connection closed after the answer; leave it out",
    ),
    none("auth_enabled", "has had no effect in Emissary either; leave it out"),
    better(
        "buffer",
        "requests are read whole before they go on; 413 above `max_request_bytes`",
        "applies to requests that are forwarded only; a length that is too large is refused at once",
    ),
    better(
        "buffer_limit_bytes",
        "bytes that may wait for a slow reader",
        "a limit: windows and buffers of HTTP/2 are never above it; HTTP/1 holds far less anyway",
    ),
    same("circuit_breakers", "for clusters of Mappings that have none"),
    same("cluster_idle_timeout_ms", "for clusters of Mappings that have none"),
    same("cluster_max_connection_lifetime_ms", "for clusters of Mappings that have none"),
    same("cluster_request_timeout_ms", "`timeout_ms` of Mappings that have none"),
    same("cors", "for Mappings that have none"),
    none("debug_mode", "the diagnostics page shows everything it has; leave it out"),
    none("default_label_domain", "rate limits are not supported in this version"),
    none("default_labels", "rate limits are not supported in this version"),
    same("defaults", "`httpmapping` headers and `tls_secret_namespacing`"),
    none("diag_port", "the diagnostics are served on the admin port; set it by --admin-port"),
    none(
        "diagnostics",
        "the diagnostics are served on the admin port only, never to clients; leave it out, or \
         write a Mapping to localhost:8877",
    ),
    better(
        "enable_grpc_http11_bridge",
        "HTTP/1.1 requests to gRPC services are translated",
        "false turns it off; Emissary looks only whether it is written",
    ),
    better(
        "enable_grpc_web",
        "gRPC-Web is translated",
        "false turns it off; Emissary looks only whether it is written",
    ),
    better(
        "enable_http10",
        "HTTP/1.0 is answered",
        "a request without Host gets 400, as there is no default host",
    ),
    same("enable_ipv4", "for clusters of Mappings that don't say"),
    same("enable_ipv6", "for clusters of Mappings that don't say"),
    same(
        "envoy_log_format",
        "the line of the access log, or its keys where `envoy_log_type` is json",
    ),
    better(
        "envoy_log_path",
        "where the access log goes: standard output",
        "/dev/null turns it off; files are not written: the platform collects standard output",
    ),
    same("envoy_log_type", "text, json or typed_json"),
    none("envoy_validation_timeout", NO_ENVOY),
    none(
        "error_response_overrides",
        "is not supported, nor by Emissary 4; let the upstream answer with its own pages",
    ),
    none("features", "has had no effect in Emissary either; leave it out"),
    same("forward_client_cert_details", "what `x-forwarded-client-cert` tells upstreams"),
    none("grpc_stats", "gRPC calls are not counted by service and method in this version"),
    better(
        "gzip",
        "answers are compressed",
        "streams are flushed as they come; `brotli` and `zstd` offer these as well; ETags are \
         made weak, not removed; parts (206) are left as they are",
    ),
    none(
        "header_case_overrides",
        "is not supported, nor by Emissary 4; write proper_case: true for Proper-Case names",
    ),
    same("headers_with_underscores_action", "ALLOW, REJECT_REQUEST or DROP_HEADER"),
    better(
        "ip_allow",
        "who may ask; all others get 403",
        "a list that can't be read at all refuses everybody, never nobody",
    ),
    better(
        "ip_deny",
        "who may not ask: 403",
        "a rule that can't be read refuses everybody, until it is put right",
    ),
    same("keepalive", "for clusters of Mappings that have none"),
    better(
        "listener_idle_timeout_ms",
        "a client's connection without a request is closed after this time",
        "one that has never sent a byte after 60 s at most",
    ),
    none(
        "liveness_probe",
        "the gateway answers /ambassador/v0/check_alive itself, without a Mapping; leave it out",
    ),
    same("load_balancer", "for clusters of Mappings that have none"),
    none(
        "lua_scripts",
        "scripts are not supported and don't run: edit headers in Mappings \
         (add_request_headers, add_response_headers, remove_…), and let a service of yours decide \
         what needs a program",
    ),
    same("max_request_headers_kb", "KiB of a request's head; 431 above"),
    same("merge_slashes", "`//` in a path is `/`"),
    same("preserve_external_request_id", "a client's `x-request-id` is kept"),
    same("proper_case", "names of headers in HTTP/1 answers are written `Proper-Case`"),
    none(
        "prune_unreachable_routes",
        "the cost of a request doesn't depend on the number of routes",
    ),
    none(
        "readiness_probe",
        "the gateway answers /ambassador/v0/check_ready itself, without a Mapping; leave it out",
    ),
    none(
        "regex_max_size",
        "a regular expression is limited by the memory that it needs, and takes linear time \
         whatever its size; leave it out",
    ),
    none("regex_type", "has had no effect in Emissary either: RE2's syntax is the only one"),
    same("reject_requests_with_escaped_slashes", "`%2F` and `%5C` in a path: 400"),
    same("resolver", "the resolver of Mappings that name none"),
    same("retry_policy", "for Mappings that have none"),
    none("runtime_flags", NO_ENVOY),
    same("server_name", "the `server` header of answers"),
    none("service_port", "said by a Listener: write spec.port there"),
    same("set_current_client_cert_details", "which details `x-forwarded-client-cert` tells"),
    none("statsd", "metrics are scraped from /metrics on the admin port"),
    same(
        "strip_matching_host_port",
        "a port in the Host header is taken off where it is the Listener's",
    ),
    same("suppress_envoy_headers", "routing adds no `x-envoy-*` headers"),
    none("tls", "said by a Host: write spec.tlsSecret there, or a TLSContext"),
    same(
        "use_ambassador_namespace_for_service_resolution",
        "bare service names mean the gateway's own namespace",
    ),
    none(
        "use_proxy_proto",
        "said by a Listener: write spec.protocolStack: [PROXY, HTTP, TCP] there",
    ),
    same("use_remote_address", "the connection tells who the client is, not its headers"),
    none(
        "x_forwarded_proto_redirect",
        "said by a Host: write spec.requestPolicy.insecure.action: Redirect there",
    ),
    none("xff_num_trusted_hops", IN_LISTENER),
];

/// Keys of `config.buffer`.
pub(super) const BUFFER: &[Key] = &[same("max_request_bytes", "bytes of a request's body")];

/// Keys of `config.defaults`.
pub(super) const DEFAULTS: &[Key] = &[
    same("httpmapping", "for Mappings"),
    same("tls_secret_namespacing", "`name.namespace` names a Secret of another namespace"),
];

/// Keys of `config.defaults.httpmapping`.
pub(super) const HTTPMAPPING: &[Key] = &[
    same("add_request_headers", "for Mappings that don't add that header"),
    same("add_response_headers", "for Mappings that don't add that header"),
    same("remove_request_headers", "for Mappings that don't remove that header"),
    same("remove_response_headers", "for Mappings that don't remove that header"),
    none(
        "stats_name",
        "one name for all clusters would mix their metrics up; write it in Mappings",
    ),
];

/// Keys of `config.gzip`.
pub(crate) const GZIP: &[Key] = &[
    same("compression_level", "best, speed, default, or level_1 to level_9"),
    none("compression_strategy", "is the library's choice; leave it out"),
    better("content_type", "the types that are compressed", "gRPC's never are"),
    same("disable_on_etag_header", "an answer with an ETag is left as it is"),
    none("memory_level", "is the library's choice; leave it out"),
    same("min_content_length", "shorter answers are left as they are; 30"),
    same("remove_accept_encoding_header", "the upstream isn't told what the client takes"),
    same("window_bits", "gzip's window as a power of two, 9 to 15; 12"),
    better("brotli", "Brotli is offered as well", "Nuncio's own"),
    better("zstd", "Zstandard is offered as well", "Nuncio's own"),
];

/// Keys of `config.set_current_client_cert_details`.
pub(super) const CERTIFICATE_DETAILS: &[Key] = &[
    same("subject", "the subject"),
    same("cert", "the certificate"),
    same("chain", "the certificate and its chain"),
    same("dns", "its DNS names"),
    same("uri", "its URIs"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_once_and_in_order() {
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}
