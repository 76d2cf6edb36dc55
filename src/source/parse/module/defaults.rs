//! What Mappings have that don't say it themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::model::object::Severity;
use crate::model::policy::Limit;
use crate::model::written::GatewayDefaults;

use super::keys;
use crate::source::parse::balance::parse_load_balancer;
use crate::source::parse::cluster::{parse_circuit_breakers, parse_keepalive};
use crate::source::parse::cors::parse_cors;
use crate::source::parse::fields::{Field, Fields, Problems};
use crate::source::parse::headers::parse_edits;
use crate::source::parse::read::{read_flag, read_int, tell_keys};
use crate::source::parse::retry::parse_retry;

/// All but how HTTP is served.
pub(super) fn parse_defaults(config: &Field<'_>, problems: &mut Problems) -> GatewayDefaults {
    let mut defaults = GatewayDefaults::default();
    let flag = |name: &str, problems: &mut Problems| {
        config.child(name).and_then(|field| read_flag(&field, problems))
    };
    defaults.route.linkerd_headers = flag("add_linkerd_headers", problems);
    defaults.cluster.dns.ipv4 = flag("enable_ipv4", problems);
    defaults.cluster.dns.ipv6 = flag("enable_ipv6", problems);
    let own = flag("use_ambassador_namespace_for_service_resolution", problems);
    defaults.own_namespace_for_services = own.unwrap_or(false);
    let limit = |name: &str, problems: &mut Problems| {
        config.child(name).and_then(|field| parse_limit(&field, problems))
    };
    defaults.route.timeout = limit("cluster_request_timeout_ms", problems);
    defaults.cluster.idle_timeout = limit("cluster_idle_timeout_ms", problems);
    defaults.cluster.max_lifetime = limit("cluster_max_connection_lifetime_ms", problems);
    parse_shared(config, &mut defaults, problems);
    let cors = config.child("cors").and_then(|field| parse_cors(&field, problems));
    defaults.route.cors = cors.map(Arc::new);
    defaults.resolver = config
        .child("resolver")
        .and_then(|field| field.text(Severity::Warning, problems))
        .filter(|name| !name.is_empty())
        .map(Arc::from);
    if let Some(field) = config.child("defaults") {
        parse_classes(&field, &mut defaults, problems);
    }
    defaults
}

/// What is written as in a Mapping.
fn parse_shared(config: &Field<'_>, defaults: &mut GatewayDefaults, problems: &mut Problems) {
    let fields = fields_of(config);
    let mut told = Problems::default();
    defaults.route.retry = parse_retry(&fields, &mut told);
    defaults.cluster.circuit_breakers = parse_circuit_breakers(&fields, &mut told);
    defaults.cluster.load_balancer = parse_load_balancer(&fields, &mut told);
    defaults.cluster.keepalive = parse_keepalive(&fields, &mut told);
    problems.add_under(&config.path, told);
}

fn fields_of<'a>(field: &Field<'a>) -> Fields<'a> {
    Fields { location: field.location, entries: field.node.as_map().unwrap_or_default() }
}

/// `defaults`: what objects of a kind have.
fn parse_classes(field: &Field<'_>, defaults: &mut GatewayDefaults, problems: &mut Problems) {
    tell_keys(field, keys::DEFAULTS, problems);
    defaults.secret_namespacing =
        field.child("tls_secret_namespacing").and_then(|field| read_flag(&field, problems));
    let Some(mapping) = field.child("httpmapping") else { return };
    tell_keys(&mapping, keys::HTTPMAPPING, problems);
    let fields = fields_of(&mapping);
    let mut told = Problems::default();
    defaults.request_headers = parse_edits("request", &fields, &mut told);
    defaults.response_headers = parse_edits("response", &fields, &mut told);
    problems.add_under(&mapping.path, told);
}

fn parse_limit(field: &Field<'_>, problems: &mut Problems) -> Option<Limit> {
    let number = read_int(field, 0..=u32::MAX, "milliseconds", problems)?;
    Some(match number {
        0 => Limit::Unlimited,
        _ => Limit::After(Duration::from_millis(number.into())),
    })
}
