//! `ip_allow` and `ip_deny`: who may ask at all.
//!
//! What can't be read never opens: a broken rule of a list of those who may ask allows nobody, and
//! one of those who may not refuses everybody, since nobody can tell whom it meant.

use ipnet::IpNet;

use crate::model::object::Severity;
use crate::model::policy::{IpRule, IpRules, IpSource};

use crate::source::parse::fields::{Field, Problems};
use crate::source::parse::node::{Node, Value};

/// Said wherever a mistake closes the gateway.
const CLOSED: &str = "until it is put right, every request is refused with 403";

/// What `config` says; `None` is no rule.
pub(super) fn parse_addresses(config: &Field<'_>, problems: &mut Problems) -> Option<IpRules> {
    match (config.child("ip_allow"), config.child("ip_deny")) {
        (None, None) => None,
        (Some(allow), None) => {
            let (rules, _) = parse_rules(&allow, "it allows nobody", problems);
            if rules.is_empty() {
                let message = format!("names no address that may ask; {CLOSED}");
                problems.add(Severity::Warning, &allow, message);
            }
            Some(IpRules { allow: true, rules })
        }
        (None, Some(deny)) => {
            let (rules, whole) = parse_rules(&deny, CLOSED, problems);
            if !whole {
                return Some(IpRules::CLOSED);
            }
            (!rules.is_empty()).then_some(IpRules { allow: false, rules })
        }
        (Some(_), Some(deny)) => {
            let message = format!("ip_allow and ip_deny exclude each other; {CLOSED}");
            problems.add(Severity::Warning, &deny, message);
            Some(IpRules::CLOSED)
        }
    }
}

/// The rules that can be read, and whether they are all.
fn parse_rules(
    field: &Field<'_>,
    consequence: &str,
    problems: &mut Problems,
) -> (Vec<IpRule>, bool) {
    let Value::List(items) = &field.node.value else {
        let message = format!(
            "expected a list like [{{remote: 192.0.2.0/24}}], found {}; {consequence}",
            field.node.describe()
        );
        problems.add(Severity::Warning, field, message);
        return (Vec::new(), false);
    };
    let (mut rules, mut whole) = (Vec::new(), true);
    for (index, node) in items.iter().enumerate() {
        let path = format!("{}[{index}]", field.path);
        let location = node.location.or(field.location);
        match parse_rule(node) {
            Ok(rule) => rules.push(rule),
            Err(message) => {
                whole = false;
                let item = Field { path, location, node };
                problems.add(Severity::Warning, &item, format!("{message}; {consequence}"));
            }
        }
    }
    (rules, whole)
}

/// `{peer: …}` or `{remote: …}`, with an address or a range.
fn parse_rule(node: &Node) -> Result<IpRule, String> {
    let shape = || "expected one of peer and remote with a range, like remote: 192.0.2.0/24";
    let [entry] = node.as_map().unwrap_or_default() else { return Err(shape().to_owned()) };
    let source = match entry.key.as_str() {
        "peer" => IpSource::Peer,
        "remote" => IpSource::Remote,
        _ => return Err(shape().to_owned()),
    };
    let text = entry.value.as_text().unwrap_or_default();
    let network = parse_network(text)
        .ok_or_else(|| format!("\"{text}\" is neither an address nor a range like 192.0.2.0/24"))?;
    Ok(IpRule { source, network })
}

/// Bits behind the range's length are no mistake in Envoy; they count for nothing. An address of
/// version 4 in version 6's clothes is one of version 4, as connections show them.
fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().ok()?;
    let mapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| IpNet::new(address.into(), v6.prefix_len() - 96).ok()),
        _ => None,
    };
    Some(mapped.unwrap_or(network).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.7/24", Some("192.0.2.0/24")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("::1", Some("::1/128")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("192.0.2.0/33", None),
            ("192.0.2", None),
            ("example.com", None),
            ("", None),
        ] {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }
}
