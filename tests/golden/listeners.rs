//! Ports and hosts as people read them. Certificates by their first name, never by their bytes.

use nuncio::model::listener::{Listener, Selector, TcpGroup, VirtualHost};
use nuncio::model::tls::Termination;
use serde::Serialize;

use crate::config;

#[derive(Serialize)]
pub(crate) struct Port {
    listener: String,
    object: String,
    stack: String,
    security: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tcp: Vec<String>,
}

pub(crate) fn describe(listener: &Listener) -> Port {
    let Listener { address, port, stat_prefix, stack, security, trusted_hops, .. } = listener;
    let at = address.map_or(String::new(), |address| format!("{address} "));
    let streams = listener.max_concurrent_streams;
    let streams = streams.map_or(String::new(), |streams| format!(", {streams} streams"));
    let spoken = [("PROXY", stack.proxy_protocol), ("TLS", stack.tls), ("HTTP", stack.http)];
    let spoken: Vec<&str> = spoken.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let key = listener.key.as_ref();
    Port {
        listener: format!("{at}{port} as {stat_prefix}"),
        object: key.map_or("none".to_owned(), ToString::to_string),
        stack: if spoken.is_empty() { "TCP".to_owned() } else { spoken.join(", ") },
        security: format!("{security:?}, {trusted_hops} trusted hops{streams}"),
        hosts: listener.hosts.iter().map(|host| virtual_host(host)).collect(),
        tcp: listener.tcp.iter().map(|group| tcp(group)).collect(),
    }
}

pub(crate) fn selector(selector: &Selector) -> String {
    let labels: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(", ")
}

fn virtual_host(host: &VirtualHost) -> String {
    let port = host.port.map_or(String::new(), |port| format!(":{port}"));
    let by = match host.selector.is_empty() {
        true => String::new(),
        false => format!(", routes with {}", selector(&host.selector)),
    };
    let closed = if host.closed { ", closed" } else { "" };
    let tls = tls(host.tls.as_deref());
    let name = config::host(&host.name);
    format!("host {name}{port}, {tls}, insecure {:?}{by}{closed}", host.insecure)
}

fn tls(tls: Option<&Termination>) -> String {
    let Some(tls) = tls else { return "no TLS".to_owned() };
    let name = tls.certificate.names.first().map_or("?", |name| name);
    let clients = match &tls.clients {
        Some(clients) if clients.required => ", clients' certificates demanded",
        Some(_) => ", clients' certificates checked",
        None => "",
    };
    format!("TLS as {name}{clients}")
}

fn tcp(group: &TcpGroup) -> String {
    let name = group.sni.as_ref().map_or("all".to_owned(), config::host);
    let legs: Vec<String> = group
        .legs
        .iter()
        .map(|leg| format!("{}..{} to {}", leg.share.from, leg.share.to, leg.cluster.name))
        .collect();
    format!("{name}, {}: {}", tls(group.tls.as_deref()), legs.join(", "))
}
