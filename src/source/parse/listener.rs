//! From a Listener's spec to the port that it asks for.

use std::collections::BTreeMap;

use crate::model::listener::{SecurityModel, Stack};
use crate::model::object::Severity;
use crate::model::written::{HostBinding, ListenerSpec};

use super::fields::{Field, Fields, Problems};
use super::known::Known;
use super::words::{list, parse_port, parse_selector, parse_word};

const FIELDS: Known<'_> = Known {
    of: "a Listener",
    effective: &[
        "ambassador_id",
        "port",
        "protocol",
        "protocolStack",
        "securityModel",
        "hostBinding",
        "statsPrefix",
        "l7Depth",
        "http2MaxConcurrentStreams",
    ],
    elsewhere: &[],
    silent: &[],
    no_effect: &[],
    defaults: &[],
};

const BINDING: Known<'_> = Known {
    of: "hostBinding",
    effective: &["namespace", "selector"],
    elsewhere: &[],
    silent: &[],
    no_effect: &[],
    defaults: &[],
};

/// Trusted proxies beyond this count are a typing error: each must have added a header.
const MAX_HOPS: i64 = 100;

/// The shorthands of `protocol`; `None` is known but not served.
const PROTOCOLS: &[(&str, Option<Stack>)] = &[
    ("HTTP", Some(stack(false, false, true))),
    ("HTTPS", Some(stack(false, true, true))),
    ("HTTPPROXY", Some(stack(true, false, true))),
    ("HTTPSPROXY", Some(stack(true, true, true))),
    ("TCP", Some(stack(false, false, false))),
    ("TLS", Some(stack(false, true, false))),
    ("UDP", None),
];

const SECURITY: &[(&str, SecurityModel)] = &[
    ("XFP", SecurityModel::ForwardedProto),
    ("SECURE", SecurityModel::Secure),
    ("INSECURE", SecurityModel::Insecure),
];

const fn stack(proxy_protocol: bool, tls: bool, http: bool) -> Stack {
    Stack { proxy_protocol, tls, http }
}

/// One element of `protocolStack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Http,
    Proxy,
    Tls,
    Tcp,
    Udp,
}

const LAYERS: &[(&str, Layer)] = &[
    ("HTTP", Layer::Http),
    ("PROXY", Layer::Proxy),
    ("TLS", Layer::Tls),
    ("TCP", Layer::Tcp),
    ("UDP", Layer::Udp),
];

/// The port that a Listener asks for, or `None` where a problem forbids one.
pub(super) fn parse_listener(fields: &Fields<'_>, problems: &mut Problems) -> Option<ListenerSpec> {
    FIELDS.tell(fields, problems);
    let port = parse_port(fields, problems);
    let stack = parse_stack(fields, problems);
    let security = parse_security(fields, problems);
    let hosts = parse_binding(fields, problems);
    let stat_prefix = fields.text("statsPrefix", Severity::Warning, problems);
    let trusted_hops = parse_hops(fields, problems);
    let max_concurrent_streams = parse_streams(fields, problems);
    Some(ListenerSpec {
        port: port?,
        stack: stack?,
        security: security?,
        hosts: hosts?,
        stat_prefix: stat_prefix.filter(|text| !text.is_empty()).map(Into::into),
        trusted_hops,
        max_concurrent_streams,
    })
}

fn parse_stack(fields: &Fields<'_>, problems: &mut Problems) -> Option<Stack> {
    let layers = fields.get("protocolStack").filter(|field| !field.node.is_neutral());
    let protocol = fields.get("protocol").filter(|field| !field.node.is_neutral());
    match (layers, protocol) {
        (Some(layers), protocol) => {
            if let Some(protocol) = protocol {
                let message = "is ignored, because protocolStack is set; keep one of them";
                problems.add(Severity::Warning, &protocol, message);
            }
            parse_layers(&layers, problems)
        }
        (None, Some(field)) => {
            let stack = parse_word(&field, PROTOCOLS, problems)?;
            if stack.is_none() {
                tell_udp(&field, problems);
            }
            stack
        }
        (None, None) => {
            let message = "is missing; write HTTP, HTTPS, HTTPPROXY, HTTPSPROXY, TCP or TLS";
            problems.add_at(Severity::Error, "protocol", fields.location, message);
            None
        }
    }
}

/// The order of the layers above the transport has no meaning, as in Emissary: what a load
/// balancer sends first is the PROXY protocol.
fn parse_layers(field: &Field<'_>, problems: &mut Problems) -> Option<Stack> {
    let names = field.texts(Severity::Error, problems);
    let layers: Option<Vec<Layer>> =
        names.iter().map(|name| parse_word(name, LAYERS, problems)).collect();
    let layers = layers?;
    if layers.contains(&Layer::Udp) {
        tell_udp(field, problems);
        return None;
    }
    let transports = layers.iter().filter(|layer| **layer == Layer::Tcp).count();
    if transports != 1 || layers.last() != Some(&Layer::Tcp) {
        let message = "has to end with TCP, once, as in [TLS, HTTP, TCP]";
        problems.add(Severity::Error, field, message);
        return None;
    }
    let has = |layer| layers.contains(&layer);
    Some(stack(has(Layer::Proxy), has(Layer::Tls), has(Layer::Http)))
}

fn tell_udp(field: &Field<'_>, problems: &mut Problems) {
    let message = "UDP and HTTP/3 are not supported in this version; write HTTPS, or a \
                   protocolStack that ends with TCP";
    problems.add(Severity::Unsupported, field, message);
}

fn parse_security(fields: &Fields<'_>, problems: &mut Problems) -> Option<SecurityModel> {
    let Some(field) = fields.get("securityModel") else {
        let words: Vec<&str> = SECURITY.iter().map(|(word, _)| *word).collect();
        let message = format!("is missing; write {}", list(&words));
        problems.add_at(Severity::Error, "securityModel", fields.location, message);
        return None;
    };
    parse_word(&field, SECURITY, problems)
}

fn parse_binding(fields: &Fields<'_>, problems: &mut Problems) -> Option<HostBinding> {
    let Some(field) = fields.get("hostBinding") else {
        let message = "is missing; write namespace: {from: ALL} into it for the Hosts of all \
                       namespaces, or SELF for those of the Listener's own";
        problems.add_at(Severity::Error, "hostBinding", fields.location, message);
        return None;
    };
    if !field.is_map(Severity::Error, problems) {
        return None;
    }
    BINDING.tell_within(&field, problems);
    let namespace = field.child("namespace").filter(|it| !it.node.is_neutral());
    let selector = field.child("selector").filter(|it| !it.node.is_neutral());
    if namespace.is_none() && selector.is_none() {
        let message = "is empty; write namespace: {from: ALL} or {from: SELF} into it, or a \
                       selector";
        problems.add(Severity::Error, &field, message);
        return None;
    }
    let own_namespace = match &namespace {
        Some(namespace) => parse_from(namespace, problems),
        None => Some(true),
    };
    let selector = match &selector {
        Some(selector) => parse_host_selector(selector, problems),
        None => Some(BTreeMap::new()),
    };
    Some(HostBinding { own_namespace: own_namespace?, selector: selector? })
}

/// `namespace.from`: whether only the Listener's own namespace counts.
fn parse_from(namespace: &Field<'_>, problems: &mut Problems) -> Option<bool> {
    if !namespace.is_map(Severity::Error, problems) {
        return None;
    }
    let Some(from) = namespace.child("from") else {
        problems.add(Severity::Error, namespace, "says no from; write from: ALL or from: SELF");
        return None;
    };
    let text = from.text(Severity::Error, problems)?;
    match text.to_ascii_uppercase().as_str() {
        "ALL" => Some(false),
        "SELF" => Some(true),
        "SELECTOR" => {
            let message = "namespaces can't be chosen by their labels; write ALL and choose Hosts \
                           by hostBinding.selector";
            problems.add(Severity::Unsupported, &from, message);
            None
        }
        _ => {
            let message = format!("\"{text}\" is unknown; write ALL or SELF");
            problems.add(Severity::Error, &from, message);
            None
        }
    }
}

/// Without labels it would take every Host, and its author meant some.
fn parse_host_selector(
    field: &Field<'_>,
    problems: &mut Problems,
) -> Option<BTreeMap<String, String>> {
    let selector = parse_selector(field, problems);
    if field.node.as_map().is_some() && field.child("matchLabels").is_none() {
        let message = "has no matchLabels, and nothing else counts; write them, or leave it out";
        problems.add(Severity::Error, field, message);
        return None;
    }
    Some(selector)
}

fn parse_hops(fields: &Fields<'_>, problems: &mut Problems) -> u32 {
    // Where it can't be read, headers that anybody may send must not be believed.
    let Some(number) = fields.int("l7Depth", Severity::Error, problems) else { return 0 };
    if (0..=MAX_HOPS).contains(&number) {
        return u32::try_from(number).unwrap_or(0);
    }
    if let Some(field) = fields.get("l7Depth") {
        let message = format!("{number} is not a count of proxies; write 0 to {MAX_HOPS}");
        problems.add(Severity::Error, &field, message);
    }
    0
}

fn parse_streams(fields: &Fields<'_>, problems: &mut Problems) -> Option<u32> {
    let number = fields.int("http2MaxConcurrentStreams", Severity::Warning, problems)?;
    let streams = u32::try_from(number).ok().filter(|number| *number > 0);
    if let (Some(field), None) = (fields.get("http2MaxConcurrentStreams"), streams) {
        let message = format!("{number} is not a limit and is ignored; write 1 or more");
        problems.add(Severity::Warning, &field, message);
    }
    streams
}
