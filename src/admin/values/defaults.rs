//! What Mappings have that don't say it themselves.

use serde_json::Value as Json;

use super::{Effective, Origins, Source, shown};
use crate::admin::describe;
use crate::model::policy::{ClusterPolicy, RoutePolicy};
use crate::model::written::GatewayDefaults;

/// Everything that the Module says for Mappings; where it says nothing, the product's default.
pub(in crate::admin) fn of_defaults(origins: &Origins<'_>) -> Vec<Effective> {
    let module = origins.build.module();
    let none = GatewayDefaults::default();
    let defaults = module.map_or(&none, |(_, defaults)| defaults);
    let object = module.map(|(key, _)| describe::object(key));
    let row = |(name, value, is_written): (&str, Json, bool)| {
        let from = match (&object, is_written) {
            (Some(object), true) => Source::object(object, name),
            _ => Source::Default,
        };
        Effective::new(name, value, from)
    };
    let mut rows = for_routes(&defaults.route);
    rows.extend(for_clusters(&defaults.cluster));
    rows.extend([
        (
            "resolver",
            defaults.resolver.as_deref().unwrap_or(super::cluster::RESOLVER).into(),
            defaults.resolver.is_some(),
        ),
        (
            "use_ambassador_namespace_for_service_resolution",
            defaults.own_namespace_for_services.into(),
            defaults.own_namespace_for_services,
        ),
        (
            "defaults.tls_secret_namespacing",
            defaults.secret_namespacing.unwrap_or(true).into(),
            defaults.secret_namespacing.is_some(),
        ),
        (
            "defaults.httpmapping",
            describe::header_edits(&defaults.request_headers)
                .into_iter()
                .chain(describe::header_edits(&defaults.response_headers))
                .collect(),
            !defaults.request_headers.is_empty() || !defaults.response_headers.is_empty(),
        ),
    ]);
    rows.into_iter().map(row).collect()
}

type Row = (&'static str, Json, bool);

fn for_routes(policy: &RoutePolicy) -> Vec<Row> {
    let RoutePolicy { timeout, retry, cors, linkerd_headers, .. } = policy;
    vec![
        ("cluster_request_timeout_ms", shown::milliseconds(policy.timeout()), timeout.is_some()),
        ("retry_policy", retry.as_deref().map_or(Json::Null, shown::retry), retry.is_some()),
        ("cors", cors.as_deref().map_or(Json::Null, shown::cors), cors.is_some()),
        ("add_linkerd_headers", linkerd_headers.unwrap_or(false).into(), linkerd_headers.is_some()),
    ]
}

fn for_clusters(policy: &ClusterPolicy) -> Vec<Row> {
    let breakers = policy.circuit_breakers.iter().flat_map(|all| all.iter());
    let keepalive = policy.keepalive.as_ref();
    vec![
        (
            "cluster_idle_timeout_ms",
            shown::milliseconds(policy.idle_timeout()),
            policy.idle_timeout.is_some(),
        ),
        (
            "cluster_max_connection_lifetime_ms",
            shown::limit(policy.max_lifetime),
            policy.max_lifetime.is_some(),
        ),
        (
            "circuit_breakers",
            breakers.map(shown::circuit_breaker).collect(),
            policy.circuit_breakers.is_some(),
        ),
        (
            "load_balancer",
            shown::load_balancer(policy.load_balancer.as_ref()),
            policy.load_balancer.is_some(),
        ),
        ("keepalive", keepalive.map_or(Json::Null, shown::keepalive), keepalive.is_some()),
        ("enable_ipv4", (policy.dns.ipv4 != Some(false)).into(), policy.dns.ipv4.is_some()),
        ("enable_ipv6", (policy.dns.ipv6 == Some(true)).into(), policy.dns.ipv6.is_some()),
    ]
}
