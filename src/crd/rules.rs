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
