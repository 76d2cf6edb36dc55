//! From a TCPMapping's spec to the connections that it asks for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::common::Common;
use crate::model::object::Severity;
use crate::model::policy::{ClusterPolicy, Limit};
use crate::model::route::HostMatch;
use crate::model::written::{TcpRoute, UpstreamSpec};

use super::action::parse_service;
use super::cluster::parse_cluster_policy;
use super::fields::{Field, Fields, Problems};
use super::known::Known;
use super::mapping::parse_weight;
use super::service::ServiceText;
use super::words::{parse_host_glob, parse_port};

const FIELDS: Known<'_> = Known {
    of: "a TCPMapping",
    effective: &[
        "ambassador_id",
        "port",
        "host",
        "address",
        "service",
        "tls",
        "tls_passthrough",
        "weight",
        "resolver",
        "circuit_breakers",
        "enable_ipv4",
        "enable_ipv6",
        "cluster_tag",
        "stats_name",
        "v3StatsName",
        "idle_timeout_ms",
    ],
    elsewhere: &[],
    silent: &["v2ExplicitTLS"],
    no_effect: &[],
    defaults: &[],
};

/// How TLS towards the upstream is asked for.
#[derive(Debug, Default)]
struct Origination {
    begun: bool,
    context: Option<Arc<str>>,
}

/// The connections that a TCPMapping in `namespace` asks for, or `None` where a problem forbids it.
pub(super) fn parse_tcp_mapping(
    fields: &Fields<'_>,
    namespace: &Arc<str>,
    problems: &mut Problems,
) -> Option<TcpRoute> {
    FIELDS.tell(fields, problems);
    let port = parse_port(fields, problems);
    let address = parse_address(fields, problems);
    let sni = parse_sni(fields, problems);
    let service = parse_service(fields, problems);
    let origination = parse_origination(fields, service.as_ref(), problems);
    let passthrough = parse_passthrough(fields, sni.as_ref(), &origination, problems);
    let weight = parse_weight(fields, problems);
    let idle_timeout = parse_idle_timeout(fields, problems);
    let policy = parse_policy(fields, problems);
    let resolver = parse_name("resolver", fields, problems);
    Some(TcpRoute {
        address,
        port: port?,
        sni,
        passthrough,
        weight,
        upstream: UpstreamSpec {
            resolver,
            tls: origination.begun,
            context: origination.context,
            policy: policy.share(),
            ..service?.upstream(namespace)
        },
        idle_timeout,
    })
}

/// The address to listen on. A wrong one must not open the port on all of them.
fn parse_address(fields: &Fields<'_>, problems: &mut Problems) -> Option<IpAddr> {
    let field = fields.get("address")?;
    let text = field.text(Severity::Error, problems)?.trim();
    if text.is_empty() {
        return None;
    }
    let address = text.trim_start_matches('[').trim_end_matches(']').parse();
    if address.is_err() {
        let message =
            format!("\"{text}\" is not an IP address; write one of this host's, or leave it out");
        problems.add(Severity::Error, &field, message);
    }
    address.ok()
}

fn parse_sni(fields: &Fields<'_>, problems: &mut Problems) -> Option<HostMatch> {
    let field = fields.get("host")?;
    let text = field.text(Severity::Error, problems)?.trim();
    if text.is_empty() {
        return None;
    }
    parse_host_glob(&field, text, problems)
}

/// Documents of older versions, which have `tls: true` for it, arrive converted.
fn parse_origination(
    fields: &Fields<'_>,
    service: Option<&ServiceText>,
    problems: &mut Problems,
) -> Origination {
    let begun = service.is_some_and(|service| service.tls);
    let Some(field) = fields.get("tls").filter(|field| !field.node.is_neutral()) else {
        return Origination { begun, context: None };
    };
    if field.node.as_bool().is_some() {
        let message = "expected the name of a TLSContext; to begin TLS without one, write \
                       https:// before service";
        problems.add(Severity::Error, &field, message);
        return Origination::default();
    }
    parse_context(&field, fields, problems)
}

fn parse_context(field: &Field<'_>, fields: &Fields<'_>, problems: &mut Problems) -> Origination {
    let Some(context) = field.text(Severity::Error, problems) else {
        return Origination::default();
    };
    if let Some(service) = fields.get("service") {
        let text = service.node.as_text().unwrap_or_default().to_ascii_lowercase();
        if text.starts_with("http://") {
            let message = "http:// is ignored, because tls names a context; write https://";
            problems.add(Severity::Warning, &service, message);
        }
    }
    Origination { begun: true, context: Some(context.into()) }
}

fn parse_passthrough(
    fields: &Fields<'_>,
    sni: Option<&HostMatch>,
    origination: &Origination,
    problems: &mut Problems,
) -> bool {
    if !fields.flag("tls_passthrough", false, Severity::Error, problems) {
        return false;
    }
    let Some(field) = fields.get("tls_passthrough") else { return false };
    if origination.begun {
        let message = "passes the client's TLS on, so that none can be begun towards the \
                       upstream; leave tls out and write service without https://";
        problems.add(Severity::Error, &field, message);
    }
    if sni.is_none() {
        let message = "needs host, the name that clients ask for; without it every connection of \
                       the port is passed on as it is anyway";
        problems.add(Severity::Warning, &field, message);
    }
    true
}

/// Milliseconds, as text or as a number; 0 is no limit.
fn parse_idle_timeout(fields: &Fields<'_>, problems: &mut Problems) -> Option<Limit> {
    let field = fields.get("idle_timeout_ms")?;
    let text = field.node.as_text().map(str::trim);
    if text == Some("") {
        return None;
    }
    let number = text.and_then(|text| text.parse::<u64>().ok());
    match number {
        Some(0) => Some(Limit::Unlimited),
        Some(milliseconds) => Some(Limit::After(Duration::from_millis(milliseconds))),
        None => {
            let found = text.unwrap_or(field.node.describe());
            let message = format!(
                "{found} is ignored; write whole milliseconds, such as \"60000\", or \"0\" for no \
                 limit"
            );
            problems.add(Severity::Warning, &field, message);
            None
        }
    }
}

/// Of all that can be asked of an upstream, what makes sense for connections.
fn parse_policy(fields: &Fields<'_>, problems: &mut Problems) -> ClusterPolicy {
    let ClusterPolicy { circuit_breakers, dns, tag, stats_name, .. } =
        parse_cluster_policy(fields, problems);
    ClusterPolicy { circuit_breakers, dns, tag, stats_name, ..ClusterPolicy::default() }
}

fn parse_name(name: &str, fields: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let text = fields.text(name, Severity::Error, problems)?.trim();
    (!text.is_empty()).then(|| text.into())
}
