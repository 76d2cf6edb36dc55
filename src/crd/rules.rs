//! Rules in CEL, by which the API server refuses an object when it is applied.
//!
//! Only for what Emissary could not serve either: its users' manifests must stay acceptable.

use serde_json::{Value, json};

/// Rules over a Mapping's spec.
pub(super) fn mapping() -> Value {
    json!([
        {
            "rule": "size(self.service) > 0",
            "message": "service must name an upstream, such as quote, quote.shop:8080 or 10.0.0.1:80",
        },
        {
            // Emissary drops a Mapping whose literal host holds a star.
            "rule": "!has(self.host) || has(self.hostname) || self.host == '*' \
                     || (has(self.host_regex) && self.host_regex) || !self.host.contains('*')",
            "message": "host can't hold a *; write hostname for a wildcard, or set host_regex",
        },
    ])
}

/// Rules over a load balancer.
pub(super) fn load_balancer() -> Value {
    json!([{
        "rule": "!has(self.policy) || !(self.policy in ['ring_hash', 'maglev']) \
                 || [has(self.cookie), has(self.header), has(self.source_ip)].filter(one, one).size() == 1",
        "message": "ring_hash and maglev need exactly one of cookie, header and source_ip",
    }])
}

/// Rules over a Listener's spec.
pub(super) fn listener() -> Value {
    json!([
        {
            "rule": "(has(self.protocol) && size(self.protocol) > 0) \
                     || (has(self.protocolStack) && size(self.protocolStack) > 0)",
            "message": "one of protocol (such as HTTPS) and protocolStack (such as [TLS, HTTP, TCP]) has to be set",
        },
        {
            // Emissary refuses a stack that doesn't end with a transport.
            "rule": "!has(self.protocolStack) || size(self.protocolStack) == 0 \
                     || self.protocolStack[size(self.protocolStack) - 1] in ['TCP', 'UDP']",
            "message": "protocolStack has to end with TCP, as in [TLS, HTTP, TCP]",
        },
        {
            "rule": "has(self.hostBinding.namespace) || has(self.hostBinding.selector)",
            "message": "hostBinding needs namespace: {from: ALL} or {from: SELF}, or a selector",
        },
    ])
}

/// Rules over a Host's spec.
pub(super) fn host() -> Value {
    json!([{
        "rule": "!has(self.tls) || !has(self.tlsContext)",
        "message": "tls and tlsContext exclude each other",
    }])
}

/// Rules over a TLSContext's spec.
pub(super) fn tls_context() -> Value {
    let set = |name: &str| format!("(has(self.{name}) && size(self.{name}) > 0)");
    let (secret, chain, key) = (set("secret"), set("cert_chain_file"), set("private_key_file"));
    json!([
        {
            "rule": format!("!({secret} && {chain})"),
            "message": "secret and cert_chain_file exclude each other",
        },
        {
            "rule": format!("!{chain} || {key}"),
            "message": "cert_chain_file needs private_key_file beside it",
        },
    ])
}

/// Rules over a TCPMapping's spec.
pub(super) fn tcp_mapping() -> Value {
    json!([
        {
            "rule": "size(self.service) > 0",
            "message": "service must name an upstream, such as db.shop:5432",
        },
        {
            "rule": "self.port >= 1 && self.port <= 65535",
            "message": "port must be a number from 1 to 65535",
        },
    ])
}
