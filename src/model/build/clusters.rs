//! Clusters from upstreams as they were written: where their addresses come from, how TLS is
//! begun, and their names.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use super::environment::Environment;
use crate::model::cluster::{Cluster, ClusterName, ServiceRef, Upstream, qualified_name};
use crate::model::common::Common;
use crate::model::key::ServiceKey;
use crate::model::policy::{ClusterPolicy, DnsPolicy};
use crate::model::report::Missing;
use crate::model::tls::Origination;
use crate::model::written::{ResolverKind, UpstreamHost, UpstreamSpec};

/// The port of a service that names none.
const HTTP_PORT: u16 = 80;

/// The port of a service that names none, where TLS is begun.
const HTTPS_PORT: u16 = 443;

/// Longest name of a cluster, in bytes (Emissary cuts above it).
const MAX_NAME: usize = 60;

/// What is kept of a name that gets a suffix: with `_h` and 16 digits it is as long as may be.
const CUT_NAME: usize = MAX_NAME - 18;

/// The cluster of an upstream.
///
/// # Errors
/// Something that it names doesn't exist, so that nothing may be sent to it.
pub(super) fn build_cluster(
    spec: &UpstreamSpec,
    environment: &Environment,
) -> Result<Cluster, Missing> {
    let resolver = environment.resolver(spec.resolver.as_ref())?;
    let tls = origination(spec, environment)?;
    let port = spec.port.unwrap_or(if tls.is_some() { HTTPS_PORT } else { HTTP_PORT });
    let upstream = match &spec.host {
        UpstreamHost::Address(address) => Upstream::Address(SocketAddr::new(*address, port)),
        UpstreamHost::Name(name)
            if resolver == ResolverKind::Endpoints && **name != *"localhost" =>
        {
            let mut labels = name.split('.');
            let service = labels.next().unwrap_or(name);
            let namespace = labels.next().unwrap_or(environment.namespace_of(spec));
            let service = ServiceKey { namespace: namespace.into(), name: service.into() };
            Upstream::Service(ServiceRef { service, port })
        }
        UpstreamHost::Name(name) => {
            let own = &environment.namespace;
            let host = qualified_name(name, environment.namespace_of(spec), own);
            Upstream::Name { host, port }
        }
    };
    let name = ClusterName(name(spec, resolver, &upstream).into());
    let policy = fill(&spec.policy, &environment.defaults.cluster);
    Ok(Cluster { name, service: Arc::clone(&spec.service), upstream, policy, tls })
}

fn origination(
    spec: &UpstreamSpec,
    environment: &Environment,
) -> Result<Option<Arc<Origination>>, Missing> {
    match &spec.context {
        Some(context) => environment.origination(context, &spec.namespace).map(Some),
        None => Ok(spec.tls.then(Arc::default)),
    }
}

/// What the object says, and where it says nothing what the Module says.
fn fill(own: &Arc<ClusterPolicy>, default: &ClusterPolicy) -> Arc<ClusterPolicy> {
    if *default == ClusterPolicy::default() {
        return Arc::clone(own);
    }
    fn or<T: Clone>(own: &Option<T>, default: &Option<T>) -> Option<T> {
        own.as_ref().or(default.as_ref()).cloned()
    }
    let mut policy = ClusterPolicy {
        connect_timeout: or(&own.connect_timeout, &default.connect_timeout),
        idle_timeout: or(&own.idle_timeout, &default.idle_timeout),
        max_lifetime: or(&own.max_lifetime, &default.max_lifetime),
        http2: or(&own.http2, &default.http2),
        load_balancer: or(&own.load_balancer, &default.load_balancer),
        circuit_breakers: or(&own.circuit_breakers, &default.circuit_breakers),
        keepalive: or(&own.keepalive, &default.keepalive),
        health_checks: or(&own.health_checks, &default.health_checks),
        outlier_detection: or(&own.outlier_detection, &default.outlier_detection),
        dns: own.dns,
        tag: or(&own.tag, &default.tag),
        stats_name: or(&own.stats_name, &default.stats_name),
    };
    policy.dns.logical = or(&own.dns.logical, &default.dns.logical);
    policy.dns.respect_ttl = or(&own.dns.respect_ttl, &default.dns.respect_ttl);
    policy.dns.ipv4 = or(&own.dns.ipv4, &default.dns.ipv4);
    policy.dns.ipv6 = or(&own.dns.ipv6, &default.dns.ipv6);
    policy.share()
}

/// Emissary's `cluster_<service>_<namespace>`, which its users' dashboards know; with a suffix made
/// from the content where the object's policy isn't the default or the name is too long. Of what
/// was written alone: a change of the Module renames no cluster.
///
/// Two services may share a name (`a-b` and `a.b`), as in Emissary. Metrics then add them up;
/// connections are kept by content.
fn name(spec: &UpstreamSpec, resolver: ResolverKind, upstream: &Upstream) -> String {
    let tls = match (&spec.context, spec.tls) {
        (Some(context), _) => format!("_otls_{context}"),
        (None, true) => "_otls".to_owned(),
        (None, false) => String::new(),
    };
    let marker = match resolver {
        ResolverKind::Dns => "",
        ResolverKind::Endpoints => "_er",
    };
    let UpstreamSpec { service, namespace, policy, .. } = spec;
    let plain: String = format!("cluster_{service}{tls}_{namespace}{marker}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let asked = asked(policy);
    if policy.connect_timeout.is_none() && asked.is_empty() && plain.len() <= MAX_NAME {
        return plain;
    }
    let timeout = policy.connect_timeout().as_millis();
    let content = format!("{service}\n{namespace}\n{upstream:?}\n{timeout}{tls}{asked}");
    let cut: String = plain.chars().take(CUT_NAME).collect();
    format!("{cut}_h{:016x}", fnv1a(content.as_bytes()))
}

/// What a policy asks for beside its timeout, a line each. What isn't asked for leaves no trace, so
/// that a policy to come renames nobody's clusters.
fn asked(policy: &ClusterPolicy) -> String {
    fn of(value: &Option<impl Debug>) -> Option<String> {
        value.as_ref().map(|value| format!("{value:?}"))
    }
    let DnsPolicy { logical, respect_ttl, ipv4, ipv6 } = policy.dns;
    [
        ("idle_timeout", of(&policy.idle_timeout)),
        ("max_lifetime", of(&policy.max_lifetime)),
        ("http2", of(&policy.http2.filter(|http2| *http2))),
        ("load_balancer", of(&policy.load_balancer)),
        ("circuit_breakers", of(&policy.circuit_breakers)),
        ("keepalive", of(&policy.keepalive)),
        ("health_checks", of(&policy.health_checks)),
        ("outlier_detection", of(&policy.outlier_detection)),
        ("logical", of(&logical.filter(|logical| *logical))),
        ("respect_ttl", of(&respect_ttl.filter(|respect| *respect))),
        ("ipv4", of(&ipv4.filter(|ipv4| !ipv4))),
        ("ipv6", of(&ipv6.filter(|ipv6| *ipv6))),
        ("tag", of(&policy.tag)),
        ("stats_name", of(&policy.stats_name)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("\n{name} {}", value?)))
    .collect()
}

/// FNV-1a: the same in every version of this program, so that metrics keep their names.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "clusters_tests.rs"]
mod tests;
