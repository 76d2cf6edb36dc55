//! What a port and a Host ask for.

use serde_json::{Map, Value as Json};

use super::{Effective, Origins, Source};
use crate::admin::describe;
use crate::model::listener::{InsecureAction, Listener, SecurityModel, VirtualHost};
use crate::model::object::Content;
use crate::model::written::{HostSpec, ListenerSpec, PemSource};

/// Everything that a Listener says of its port.
pub(in crate::admin) fn of_listener(listener: &Listener, origins: &Origins<'_>) -> Vec<Effective> {
    let spec: Option<&ListenerSpec> =
        listener.key.as_deref().and_then(|key| match &origins.build.object(key)?.content {
            Content::Listener(spec) => Some(&**spec),
            _ => None,
        });
    let object = listener.key.as_deref().map(describe::object);
    let row = |name: &str, value: Json, is_written: bool| {
        let from = match (&object, is_written) {
            (Some(object), true) => Source::object(object, name),
            _ => Source::Default,
        };
        Effective::new(name, value, from)
    };
    let stack = listener.stack;
    let layers = [(stack.proxy_protocol, "PROXY"), (stack.tls, "TLS"), (stack.http, "HTTP")];
    let layers = layers.into_iter().filter(|(is_spoken, _)| *is_spoken).map(|(_, name)| name);
    let security = match listener.security {
        SecurityModel::ForwardedProto => "XFP",
        SecurityModel::Secure => "SECURE",
        SecurityModel::Insecure => "INSECURE",
    };
    let binding = spec.map(|spec| &spec.hosts);
    let namespace = binding.map(|hosts| if hosts.own_namespace { "SELF" } else { "ALL" });
    let selector = binding.map(|hosts| labels(&hosts.selector));
    vec![
        row("port", listener.port.into(), true),
        row("protocolStack", layers.chain(["TCP"]).collect(), true),
        row("securityModel", security.into(), true),
        row("hostBinding.namespace.from", namespace.into(), true),
        row(
            "hostBinding.selector",
            selector.into(),
            binding.is_some_and(|hosts| !hosts.selector.is_empty()),
        ),
        row("l7Depth", listener.trusted_hops.into(), listener.trusted_hops != 0),
        row(
            "http2MaxConcurrentStreams",
            listener.max_concurrent_streams.into(),
            listener.max_concurrent_streams.is_some(),
        ),
        row(
            "statsPrefix",
            (&*listener.stat_prefix).into(),
            spec.is_some_and(|spec| spec.stat_prefix.is_some()),
        ),
    ]
}

/// Everything that a Host says but for its TLS.
pub(in crate::admin) fn of_host(host: &VirtualHost, origins: &Origins<'_>) -> Vec<Effective> {
    let spec: Option<&HostSpec> =
        host.key.as_deref().and_then(|key| match &origins.build.object(key)?.content {
            Content::Host(spec) | Content::Closed(spec) => Some(&**spec),
            _ => None,
        });
    let object = host.key.as_deref().map(describe::object);
    let row = |name: &str, value: Json, is_written: bool| {
        let from = match (&object, is_written) {
            (Some(object), true) => Source::object(object, name),
            _ => Source::Default,
        };
        Effective::new(name, value, from)
    };
    let port = host.port.map_or(String::new(), |port| format!(":{port}"));
    let name = format!("{}{port}", describe::host(&host.name));
    let insecure = match host.insecure {
        InsecureAction::Redirect => "Redirect",
        InsecureAction::Reject => "Reject",
        InsecureAction::Route => "Route",
    };
    let secret = spec.and_then(|spec| spec.certificate.clone());
    let secret = secret.map(|key| PemSource::Secret(key).to_string());
    let context = spec.and_then(|spec| spec.context.as_deref());
    vec![
        row("hostname", name.into(), true),
        row(
            "requestPolicy.insecure.action",
            insecure.into(),
            host.insecure != InsecureAction::Redirect,
        ),
        row("mappingSelector", labels(&host.selector), !host.selector.is_empty()),
        row("tlsSecret", secret.clone().into(), secret.is_some()),
        row("tlsContext", context.into(), context.is_some()),
    ]
}

fn labels(selector: &std::collections::BTreeMap<String, String>) -> Json {
    let labels: Map<String, Json> =
        selector.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    labels.into()
}
