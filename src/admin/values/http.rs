//! How HTTP is served, whatever the route.

use serde_json::{Value as Json, json};

use super::{Effective, Origins, Source, shown};
use crate::admin::describe;
use crate::model::policy::{
    AccessLog, ClientCertificateDetails, ClientCertificateHeader, Compression, EscapedSlashes,
    HttpPolicy, IpRules, IpSource, UnderscoresAction,
};

/// Everything that the Module says of all requests.
pub(in crate::admin) fn of_http(origins: &Origins<'_>) -> Vec<Effective> {
    let module = origins.build.module();
    let default = shown_policy(&HttpPolicy::default());
    let effective = shown_policy(&origins.build.config.http);
    let both = effective.into_iter().zip(default);
    let source = |name: &str, differs: bool| match module {
        Some((key, defaults)) if differs || defaults.written.contains(&name) => {
            Source::object(&describe::object(key), name)
        }
        _ => Source::Default,
    };
    both.map(|((name, value), (_, default))| {
        let from = source(name, value != default);
        Effective::new(name, value, from)
    })
    .collect()
}

fn shown_policy(http: &HttpPolicy) -> Vec<(&'static str, Json)> {
    let mut values = flags(http);
    values.extend(limits(http));
    values.extend([
        ("server_name", Json::from(&*http.server_name)),
        ("headers_with_underscores_action", underscores(http.underscores).into()),
        ("gzip", http.compression.as_ref().map_or(Json::Null, compression)),
        ("ip_allow", addresses(http.addresses.as_ref(), true)),
        ("ip_deny", addresses(http.addresses.as_ref(), false)),
        ("forward_client_cert_details", client_certificate(http.client_certificate).into()),
        ("set_current_client_cert_details", details(http.client_certificate)),
        ("envoy_log_format", access_log(http.access_log.as_ref())),
    ]);
    values
}

fn flags(http: &HttpPolicy) -> Vec<(&'static str, Json)> {
    vec![
        ("suppress_envoy_headers", http.suppress_envoy_headers.into()),
        ("preserve_external_request_id", http.preserve_external_request_id.into()),
        ("use_remote_address", http.use_remote_address.into()),
        ("strip_matching_host_port", http.strip_matching_host_port.into()),
        ("merge_slashes", http.merge_slashes.into()),
        (
            "reject_requests_with_escaped_slashes",
            (http.escaped_slashes == EscapedSlashes::Reject).into(),
        ),
        ("proper_case", http.proper_case.into()),
        ("enable_http10", http.http10.into()),
        ("enable_grpc_web", http.grpc_web.into()),
        ("enable_grpc_http11_bridge", http.grpc_http11_bridge.into()),
    ]
}

fn limits(http: &HttpPolicy) -> Vec<(&'static str, Json)> {
    let buffer = http.buffer_request;
    vec![
        ("max_request_headers_kb", (http.max_request_head / 1024).into()),
        ("listener_idle_timeout_ms", shown::limit(Some(http.idle_timeout))),
        ("buffer", buffer.map_or(Json::Null, |most| json!({ "max_request_bytes": most }))),
        ("buffer_limit_bytes", http.buffer_limit.into()),
    ]
}

fn underscores(action: UnderscoresAction) -> &'static str {
    match action {
        UnderscoresAction::Allow => "ALLOW",
        UnderscoresAction::Reject => "REJECT_REQUEST",
        UnderscoresAction::Drop => "DROP_HEADER",
    }
}

fn compression(gzip: &Compression) -> Json {
    let types: Vec<&str> = gzip.content_types.iter().map(|kind| &**kind).collect();
    json!({
        "min_content_length": gzip.min_length,
        "compression_level": gzip.level.map_or("default".to_owned(), |level| format!("level_{level}")),
        "content_type": types,
        "disable_on_etag_header": gzip.skip_etag,
        "remove_accept_encoding_header": gzip.remove_accept_encoding,
        "brotli": gzip.brotli,
        "zstd": gzip.zstd,
        "window_bits": gzip.window_bits,
    })
}

/// The list of one of both fields; `null` where it isn't in force. `[]` of those who may ask is
/// nobody.
fn addresses(rules: Option<&IpRules>, allow: bool) -> Json {
    let Some(rules) = rules.filter(|rules| rules.allow == allow) else { return Json::Null };
    let rule = |rule: &crate::model::policy::IpRule| {
        let network = rule.network.to_string();
        match rule.source {
            IpSource::Peer => json!({ "peer": network }),
            IpSource::Remote => json!({ "remote": network }),
        }
    };
    rules.rules.iter().map(rule).collect()
}

fn client_certificate(header: ClientCertificateHeader) -> &'static str {
    match header {
        ClientCertificateHeader::Sanitize => "SANITIZE",
        ClientCertificateHeader::ForwardOnly => "FORWARD_ONLY",
        ClientCertificateHeader::AppendForward(_) => "APPEND_FORWARD",
        ClientCertificateHeader::SanitizeSet(_) => "SANITIZE_SET",
        ClientCertificateHeader::AlwaysForwardOnly => "ALWAYS_FORWARD_ONLY",
    }
}

fn details(header: ClientCertificateHeader) -> Json {
    let (ClientCertificateHeader::AppendForward(details)
    | ClientCertificateHeader::SanitizeSet(details)) = header
    else {
        return Json::Null;
    };
    let ClientCertificateDetails { subject, cert, chain, dns, uri } = details;
    json!({ "subject": subject, "cert": cert, "chain": chain, "dns": dns, "uri": uri })
}

/// `null` is the gateway's own line; `off` is no log at all.
fn access_log(log: Option<&AccessLog>) -> Json {
    match log {
        None | Some(AccessLog::Text(None) | AccessLog::Json(None)) => Json::Null,
        Some(AccessLog::Off) => "off".into(),
        Some(AccessLog::Text(Some(line))) => describe::template(line).into(),
        Some(AccessLog::Json(Some(keys))) => {
            let key = |(key, line): &(std::sync::Arc<str>, _)| {
                (key.to_string(), Json::from(describe::template(line)))
            };
            keys.iter().map(key).collect::<serde_json::Map<_, _>>().into()
        }
    }
}
