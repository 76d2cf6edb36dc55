//! A Mapping's host. v2 has `host` alone, and none of it means all hosts; v3alpha1 has `hostname`,
//! and none means no host.

use serde_json::{Value, json};

use super::Fields;

/// The v2 form of a Mapping without a host. Emissary's.
pub const SKIP_HOST: &str = "_skip_mapping_with_empty_host_";

const HOST: &str = "host";
const HOSTNAME: &str = "hostname";
const HOST_REGEX: &str = "host_regex";

pub(super) fn up(spec: &mut Fields) {
    // v2 has no hostname; where somebody wrote one all the same, it is narrower than all hosts.
    if text(spec, HOSTNAME).is_none_or(|name| !name.is_empty()) && spec.contains_key(HOSTNAME) {
        return;
    }
    if spec.get(HOST_REGEX).and_then(Value::as_bool) == Some(true) {
        return;
    }
    match text(spec, HOST) {
        Some(SKIP_HOST) => {
            spec.remove(HOST);
            spec.remove(HOSTNAME);
        }
        Some("") => {
            spec.remove(HOST);
            spec.insert(HOSTNAME.into(), json!("*"));
        }
        Some(_) => {
            if let Some(host) = spec.remove(HOST) {
                spec.insert(HOSTNAME.into(), host);
            }
        }
        None if spec.get(HOST).is_none_or(Value::is_null) => {
            spec.remove(HOST);
            spec.insert(HOSTNAME.into(), json!("*"));
        }
        None => {}
    }
}

pub(super) fn down(spec: &mut Fields) {
    match text(spec, HOSTNAME) {
        Some("") => {
            spec.remove(HOSTNAME);
        }
        Some(name) => {
            let is_any = name == "*";
            let host = spec.remove(HOSTNAME);
            spec.remove(HOST);
            if let (Some(host), false) = (host, is_any) {
                spec.insert(HOST.into(), host);
            }
            // It speaks of a host that counts for nothing beside a hostname.
            if spec.contains_key(HOST_REGEX) {
                spec.insert(HOST_REGEX.into(), json!(false));
            }
            return;
        }
        None if spec.get(HOSTNAME).is_none_or(Value::is_null) => {
            spec.remove(HOSTNAME);
        }
        // Nobody understands it; v2 carries it along.
        None => return,
    }
    let is_regex = spec.get(HOST_REGEX).and_then(Value::as_bool) == Some(true);
    match text(spec, HOST) {
        Some("*") if !is_regex => {
            spec.remove(HOST);
        }
        Some(host) if !host.is_empty() => {}
        None if spec.get(HOST).is_some_and(|host| !host.is_null()) => {}
        _ if is_regex => {}
        _ => {
            spec.insert(HOST.into(), json!(SKIP_HOST));
        }
    }
}

fn text<'a>(spec: &'a Fields, name: &str) -> Option<&'a str> {
    spec.get(name)?.as_str()
}
