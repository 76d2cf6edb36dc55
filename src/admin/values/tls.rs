//! How TLS is ended.

use serde_json::Value as Json;

use super::{Effective, Source};
use crate::model::build::TlsOrigin;
use crate::model::tls::{Termination, TlsParameters, TlsVersion};

/// What is offered to clients where nothing else is written and HTTP is spoken.
pub(in crate::admin) const HTTP_PROTOCOLS: &[&str] = &["h2", "http/1.1"];

/// Everything that is asked of clients, but for the certificate that they are shown. `host` is the
/// object that says it where no TLSContext does; `protocols` are offered where none are written.
pub(in crate::admin) fn of_termination(
    termination: &Termination,
    origin: Option<&TlsOrigin<'_>>,
    host: &str,
    protocols: &[&str],
) -> Vec<Effective> {
    let context = origin.and_then(|origin| origin.context.as_ref());
    let from = |field: &str, is_written: bool| match (is_written, context) {
        (false, _) => Source::Default,
        (true, Some(context)) => Source::object(&format!("TLSContext {context}"), field),
        (true, None) => Source::object(host, &format!("tls.{field}")),
    };
    let clients = termination.clients.as_ref();
    let required = clients.is_some_and(|clients| clients.required);
    let revoked = clients.is_some_and(|clients| clients.revoked.is_some());
    let asked = clients.is_some();
    let settings = origin.and_then(|origin| origin.settings);
    let kept = |source: Option<String>, is_there: bool| match source {
        Some(source) => Json::from(source),
        None => Json::from(is_there.then_some("unknown")),
    };
    let authorities = settings.and_then(|spec| spec.authorities.as_ref()).map(ToString::to_string);
    let lists = settings.and_then(|spec| spec.revoked.as_ref()).map(ToString::to_string);
    let mut values = vec![
        Effective::new("ca_secret", kept(authorities, asked), from("ca_secret", asked)),
        Effective::new("cert_required", required, from("cert_required", required)),
        Effective::new("crl_secret", kept(lists, revoked), from("crl_secret", revoked)),
    ];
    values.extend(parameters("", &termination.parameters, protocols, &from));
    values
}

/// Versions, suites, curves and protocols; their names begin with `prefix`.
pub(super) fn parameters(
    prefix: &str,
    parameters: &TlsParameters,
    protocols: &[&str],
    from: &dyn Fn(&str, bool) -> Source,
) -> Vec<Effective> {
    let version = |field: &str, version: Option<TlsVersion>, default: TlsVersion| {
        let name = match version.unwrap_or(default) {
            TlsVersion::V1_2 => "v1.2",
            TlsVersion::V1_3 => "v1.3",
        };
        Effective::new(&format!("{prefix}{field}"), name, from(field, version.is_some()))
    };
    let list = |field: &str, list: &[std::sync::Arc<str>], default: &[&str]| {
        let value: Json = match list {
            [] => default.iter().copied().collect(),
            list => list.iter().map(|text| &**text).collect(),
        };
        Effective::new(&format!("{prefix}{field}"), value, from(field, !list.is_empty()))
    };
    vec![
        version("min_tls_version", parameters.min_version, TlsVersion::V1_2),
        version("max_tls_version", parameters.max_version, TlsVersion::V1_3),
        list("cipher_suites", &parameters.cipher_suites, &[]),
        list("ecdh_curves", &parameters.curves, &[]),
        list("alpn_protocols", &parameters.alpn, protocols),
    ]
}
