//! The protocols that a Mapping lets its clients upgrade to: `allow_upgrade`, `use_websocket`.

use std::sync::Arc;

use crate::model::object::Severity;

use super::fields::{Field, Fields, Problems};

const WEBSOCKET: &str = "websocket";

/// The protocols in lower case, in the order of the text; `None` where nothing is written.
///
/// What is wrong costs the protocol it names, so that an upgrade is refused rather than tunnelled
/// by mistake.
pub(super) fn parse_upgrades(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Arc<[Arc<str>]>> {
    let mut protocols: Vec<Arc<str>> = Vec::new();
    let mut add = |name: String| {
        if !protocols.iter().any(|known| **known == *name) {
            protocols.push(name.into());
        }
    };
    let list = fields.get("allow_upgrade");
    let items = list.as_ref().map(|list| list.texts(Severity::Warning, problems));
    for item in items.into_iter().flatten() {
        if let Some(name) = parse_protocol(&item, problems) {
            add(name);
        }
    }
    let websocket = fields.get("use_websocket");
    if fields.flag("use_websocket", false, Severity::Warning, problems) {
        add(WEBSOCKET.to_owned());
    }
    (list.is_some() || websocket.is_some()).then(|| protocols.into())
}

/// One protocol as the Upgrade header names it (RFC 9110 section 7.8).
fn parse_protocol(item: &Field<'_>, problems: &mut Problems) -> Option<String> {
    let name = item.node.as_text()?.trim().to_ascii_lowercase();
    let message = match name.as_str() {
        "h2c" => "h2c is not tunnelled, because its requests would pass by every route and rule; \
             remove it (a client may speak HTTP/2 to the gateway itself)"
            .to_owned(),
        "connect" | "connect-udp" => {
            format!("{name} is not an upgrade that is served; remove it")
        }
        _ if is_protocol(&name) => return Some(name),
        _ => format!(
            "\"{name}\" can't stand in an Upgrade header and is ignored; write a protocol such as \
             websocket or spdy/3.1"
        ),
    };
    problems.add(Severity::Warning, item, message);
    None
}

/// `token ["/" token]`.
fn is_protocol(name: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let mut parts = name.splitn(2, '/');
    parts.all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_tokens() {
        for (name, expected) in [
            ("websocket", true),
            ("spdy/3.1", true),
            ("", false),
            ("a b", false),
            ("a/", false),
            ("/a", false),
            ("a/b/c", false),
            ("a,b", false),
        ] {
            assert_eq!(is_protocol(name), expected, "{name}");
        }
    }
}
