//! `Module`: what holds for the whole gateway.
//!
//! `ambassador` is the one with a meaning. A wrong key costs itself only: to refuse all of it
//! would lift its address rules, too.

mod access_log;
mod addresses;
mod certificate;
mod compression;
mod defaults;
mod http;
pub(crate) mod keys;
#[cfg(test)]
mod tests;

use crate::model::object::Severity;
use crate::model::written::GatewayDefaults;

use super::fields::{Field, Fields, Problems};
use super::known::Known;
use super::read::tell_keys;

const FIELDS: Known<'_> = Known {
    of: "a Module",
    effective: &["ambassador_id", "config"],
    elsewhere: &[],
    silent: &[],
    no_effect: &[],
    defaults: &[],
};

/// What the Module of this name asks for; `None` where it has no meaning here.
pub(super) fn parse_module(
    name: Option<&str>,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<GatewayDefaults> {
    FIELDS.tell(fields, problems);
    let Some(config) = fields.get("config") else {
        let message = "is missing; write the settings of the gateway as config: {…}";
        problems.add_at(Severity::Error, "config", fields.location, message);
        return None;
    };
    match name? {
        "ambassador" => parse_ambassador(&config, problems),
        "tls" => {
            refuse_tls(&config, problems);
            None
        }
        "authentication" => {
            let message = "Module authentication is not supported; write an AuthService with \
                           auth_service, path_prefix and allowed_headers of this config";
            problems.add(Severity::Unsupported, &config, message);
            None
        }
        other => {
            let message = format!(
                "a Module named {other} has no meaning; the gateway's settings are those of the \
                 Module named ambassador"
            );
            problems.add_at(Severity::Error, "name", fields.location, message);
            None
        }
    }
}

fn parse_ambassador(config: &Field<'_>, problems: &mut Problems) -> Option<GatewayDefaults> {
    if config.node.as_map().is_none() {
        let message = format!("expected a map of settings, found {}", config.node.describe());
        problems.add(Severity::Error, config, message);
        return None;
    }
    tell_keys(config, keys::KEYS, problems);
    let mut defaults = defaults::parse_defaults(config, problems);
    defaults.http = http::parse_http(config, problems).into();
    defaults.written = written(config, problems);
    Some(defaults)
}

/// The keys that are there, but for those that were ignored as a whole.
fn written(config: &Field<'_>, problems: &Problems) -> Vec<&'static str> {
    let is_read =
        |name: &&str| config.child(name).is_some_and(|field| !problems.is_told(&field.path));
    keys::KEYS.iter().map(|key| key.name).filter(is_read).collect()
}

/// The oldest way to say TLS, from before there were Hosts: each part has its own place now.
fn refuse_tls(config: &Field<'_>, problems: &mut Problems) {
    let mut told = false;
    for (part, instead) in [
        ("server", "write a Host with spec.tlsSecret.name"),
        (
            "client",
            "write a TLSContext with spec.ca_secret and name it in the Host's spec.tlsContext",
        ),
        ("upstream", "write a TLSContext with spec.secret and name it in the Mapping's spec.tls"),
    ] {
        let Some(field) = config.child(part) else { continue };
        told = true;
        let secret = field.child("secret").and_then(|secret| secret.node.as_text());
        let message = match secret {
            Some(secret) => format!("is not read from Module tls; {instead}: {secret}"),
            None => format!("is not read from Module tls; {instead}"),
        };
        problems.add(Severity::Unsupported, &field, message);
    }
    if !told {
        let message = "Module tls is not read; write Hosts and TLSContexts";
        problems.add(Severity::Unsupported, config, message);
    }
}
