//! What is asked of an upstream.

use serde_json::{Value as Json, json};

use super::{Effective, Finder, Origins, Source, shown};
use crate::model::cluster::Cluster;
use crate::model::key::ObjectKey;
use crate::model::policy::{ClusterPolicy, Priority};
use crate::model::written::UpstreamSpec;

/// The resolver of who names none.
pub(super) const RESOLVER: &str = "kubernetes-service";

/// An upstream as it is served, and as an object wrote it.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) struct Asked<'a> {
    /// The object.
    pub(in crate::admin) key: &'a ObjectKey,
    /// As it is served.
    pub(in crate::admin) cluster: &'a Cluster,
    /// As it was written.
    pub(in crate::admin) spec: &'a UpstreamSpec,
    /// Which circuit breaker counts.
    pub(in crate::admin) priority: Priority,
}

/// Everything that is asked of an upstream.
pub(in crate::admin) fn of_upstream(asked: &Asked<'_>, origins: &Origins<'_>) -> Vec<Effective> {
    let finder = Finder::new(asked.key, origins.build);
    let spec = asked.spec;
    let default = finder.defaults().and_then(|defaults| defaults.resolver.as_deref());
    let resolver = spec.resolver.as_deref().or(default).unwrap_or(RESOLVER);
    let mut values = vec![finder.value(
        "resolver",
        resolver,
        spec.resolver.is_some(),
        default.map(|_| "resolver"),
    )];
    values.extend(tls(asked, &finder, origins));
    values.extend(limits(asked, &finder));
    values.extend(balancing(asked, &finder));
    values.extend(naming(asked, &finder));
    values
}

/// How TLS is begun. What a TLSContext says is told as its own.
fn tls(asked: &Asked<'_>, finder: &Finder<'_>, origins: &Origins<'_>) -> Vec<Effective> {
    let spec = asked.spec;
    let Some(origination) = &asked.cluster.tls else {
        return vec![finder.own("tls", false, false)];
    };
    let named = spec.context.as_deref().map_or(Json::Bool(true), Json::from);
    let mut values = vec![finder.own("tls", named, true)];
    let context = spec.context.as_ref();
    let context = context.and_then(|name| origins.build.context(name, &spec.namespace));
    let object = context.as_ref().map(|(name, _)| format!("TLSContext {name}"));
    let of_context = |field: &str, is_written: bool| match (&object, is_written) {
        (Some(object), true) => Source::object(object, field),
        _ => Source::Default,
    };
    let verified = match (&origination.authorities, origins.process.verify_upstreams) {
        (Some(_), _) => ("the TLSContext's authorities", of_context("ca_secret", true)),
        (None, true) => (
            "the system's authorities",
            Source::Process { variable: "NUNCIO_UPSTREAM_TLS_VERIFY".to_owned() },
        ),
        (None, false) => ("nobody", Source::Default),
    };
    values.push(Effective::new("tls.verified_by", verified.0, verified.1));
    let sni = origination.sni.as_deref();
    values.push(Effective::new("tls.sni", sni, of_context("sni", sni.is_some())));
    let shown = origination.certificate.is_some();
    values.push(Effective::new("tls.certificate", shown, of_context("secret", shown)));
    values.push(Effective::new(
        "tls.crl_secret",
        origination.revoked.is_some(),
        of_context("crl_secret", origination.revoked.is_some()),
    ));
    values.extend(super::tls::parameters("tls.", &origination.parameters, &[], &of_context));
    values
}

fn limits(asked: &Asked<'_>, finder: &Finder<'_>) -> Vec<Effective> {
    let (effective, own) = (&asked.cluster.policy, &asked.spec.policy);
    let timeout = u64::try_from(effective.connect_timeout().as_millis()).unwrap_or(u64::MAX);
    let (breaker, is_written) = effective.circuit_breaker(asked.priority);
    let own_breaker = own.circuit_breakers.is_some() && is_written;
    vec![
        finder.own("connect_timeout_ms", timeout, own.connect_timeout.is_some()),
        finder.value(
            "cluster_idle_timeout_ms",
            shown::milliseconds(effective.idle_timeout()),
            own.idle_timeout.is_some(),
            module(finder, "cluster_idle_timeout_ms", |policy| policy.idle_timeout.is_some()),
        ),
        finder.value(
            "cluster_max_connection_lifetime_ms",
            shown::limit(effective.max_lifetime),
            own.max_lifetime.is_some(),
            module(finder, "cluster_max_connection_lifetime_ms", |policy| {
                policy.max_lifetime.is_some()
            }),
        ),
        finder.value(
            "circuit_breakers",
            json!([shown::circuit_breaker(&breaker)]),
            own_breaker,
            module(finder, "circuit_breakers", |_| is_written && !own_breaker),
        ),
        finder.value(
            "keepalive",
            effective.keepalive.as_ref().map_or(Json::Null, shown::keepalive),
            own.keepalive.is_some(),
            module(finder, "keepalive", |policy| policy.keepalive.is_some()),
        ),
    ]
}

fn balancing(asked: &Asked<'_>, finder: &Finder<'_>) -> Vec<Effective> {
    let (effective, own) = (&asked.cluster.policy, &asked.spec.policy);
    let checks = effective.health_checks.iter().flat_map(|checks| checks.iter());
    let checks: Json = checks.map(shown::health_check).collect();
    let outliers = effective.outlier_detection.as_ref();
    vec![
        finder.own("grpc", effective.http2.unwrap_or(false), own.http2.is_some()),
        finder.value(
            "load_balancer",
            shown::load_balancer(effective.load_balancer.as_ref()),
            own.load_balancer.is_some(),
            module(finder, "load_balancer", |policy| policy.load_balancer.is_some()),
        ),
        finder.own("health_checks", checks, own.health_checks.is_some()),
        finder.own(
            "outlier_detection",
            outliers.map_or(Json::Null, shown::outlier_detection),
            own.outlier_detection.is_some(),
        ),
    ]
}

fn naming(asked: &Asked<'_>, finder: &Finder<'_>) -> Vec<Effective> {
    let (effective, own) = (&asked.cluster.policy, &asked.spec.policy);
    let (dns, own_dns) = (effective.dns, own.dns);
    let kind = if dns.logical == Some(true) { "logical_dns" } else { "strict_dns" };
    vec![
        finder.own("dns_type", kind, own_dns.logical.is_some()),
        finder.own("respect_dns_ttl", dns.respect_ttl == Some(true), own_dns.respect_ttl.is_some()),
        finder.value(
            "enable_ipv4",
            dns.ipv4 != Some(false),
            own_dns.ipv4.is_some(),
            module(finder, "enable_ipv4", |policy| policy.dns.ipv4.is_some()),
        ),
        finder.value(
            "enable_ipv6",
            dns.ipv6 == Some(true),
            own_dns.ipv6.is_some(),
            module(finder, "enable_ipv6", |policy| policy.dns.ipv6.is_some()),
        ),
        finder.own("cluster_tag", effective.tag.as_deref(), own.tag.is_some()),
        finder.own("stats_name", effective.stats_name.as_deref(), own.stats_name.is_some()),
    ]
}

/// The Module's field, where `is_written` says that it stands there.
fn module(
    finder: &Finder<'_>,
    field: &'static str,
    is_written: impl Fn(&ClusterPolicy) -> bool,
) -> Option<&'static str> {
    finder.defaults().filter(|defaults| is_written(&defaults.cluster)).map(|_| field)
}
