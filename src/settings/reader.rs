//! Reads single variables of the environment, and collects what is wrong with them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use super::Environment;
use super::flags::{Flags, parse_access_log, parse_bytes};
use crate::model::service::OwnZone;
use crate::proxy::AccessLogFormat;
use crate::proxy::overload::Asked;
use crate::source::kubernetes::SecretWatch;
use crate::telemetry::logging::Level;

/// Every address: a pod's clients come from elsewhere.
const ANY_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// All that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(Vec<BadValue>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct BadValue {
    variable: &'static str,
    value: String,
    allowed: &'static str,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bad) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}={:?}: must be {}", bad.variable, bad.value, bad.allowed)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// Looks variables up and collects what is wrong with them. Empty is unset.
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    bad: Vec<BadValue>,
}

impl<'a> Reader<'a> {
    /// A reader that has found nothing wrong yet.
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, bad: Vec::new() }
    }

    /// Everything that was wrong with what was read.
    pub(super) fn finish(self) -> Result<(), SettingsError> {
        if self.bad.is_empty() { Ok(()) } else { Err(SettingsError(self.bad)) }
    }

    pub(super) fn text(&self, variable: &str) -> Option<&'a str> {
        self.environment.get(variable).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    pub(super) fn value<T: FromStr>(
        &mut self,
        variable: &'static str,
        allowed: &'static str,
        or: T,
    ) -> T {
        self.parsed(variable, allowed, |text| text.parse().ok()).unwrap_or(or)
    }

    /// `None` where the variable is unset or wrong.
    pub(super) fn parsed<T>(
        &mut self,
        variable: &'static str,
        allowed: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let value = parse(text);
        if value.is_none() {
            self.bad.push(BadValue { variable, value: text.to_owned(), allowed });
        }
        value
    }

    pub(super) fn address(&mut self, variable: &'static str) -> IpAddr {
        self.value(variable, "an IP address", ANY_ADDRESS)
    }

    pub(super) fn seconds(&mut self, variable: &'static str, or: Duration) -> Duration {
        Duration::from_secs(self.value(variable, "a whole number of seconds", or.as_secs()))
    }

    pub(super) fn access_log(&mut self) -> AccessLogFormat {
        self.parsed("NUNCIO_ACCESS_LOG", "text, json or off", |text| parse_access_log(text).ok())
            .unwrap_or(AccessLogFormat::Text)
    }

    /// What was said about memory, connections and requests.
    pub(super) fn asked(&mut self, flags: &Flags) -> Asked {
        const COUNT: &str = "a number, at least 1";
        let budget = |text: &str| parse_bytes(text).ok();
        let count = |text: &str| text.parse().ok().filter(|count| *count > 0);
        let bytes = "a number of bytes of at least 16Mi, such as 268435456 or 256Mi";
        Asked {
            budget: flags
                .memory_budget
                .or_else(|| self.parsed("NUNCIO_MEMORY_BUDGET", bytes, budget)),
            connections: flags
                .max_connections
                .or_else(|| self.parsed("NUNCIO_MAX_CONNECTIONS", COUNT, count)),
            requests: flags
                .max_requests
                .or_else(|| self.parsed("NUNCIO_MAX_REQUESTS", COUNT, count)),
        }
    }

    /// Whether upstreams are verified where no TLSContext says by whom.
    pub(super) fn verify_upstreams(&mut self) -> bool {
        let parse = |text: &str| match text {
            "require" => Some(true),
            "context" => Some(false),
            _ => None,
        };
        self.parsed("NUNCIO_UPSTREAM_TLS_VERIFY", "require or context", parse).unwrap_or(false)
    }

    /// The gateway's zone; `none` for one that wants no other treatment of its own zone.
    pub(super) fn zone(&self) -> OwnZone {
        match self.text("NUNCIO_ZONE") {
            None => OwnZone::Found,
            Some(text) if text.eq_ignore_ascii_case("none") => OwnZone::Ignored,
            Some(zone) => OwnZone::Named(zone.into()),
        }
    }

    pub(super) fn secret_watch(&mut self) -> SecretWatch {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "byname" => Some(SecretWatch::ByName),
            "all" => Some(SecretWatch::All),
            _ => None,
        };
        self.parsed("NUNCIO_SECRETS_WATCH", "ByName or All", parse).unwrap_or_default()
    }

    /// Emissary's `parse_bool`, but what is neither yes nor no is told.
    pub(super) fn flag(&mut self, variable: &'static str) -> bool {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
            "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
            _ => None,
        };
        self.parsed(variable, "true or false", parse).unwrap_or(false)
    }

    /// `AMBASSADOR_DEBUG` lists parts of Emissary; whatever it says means debug.
    pub(super) fn log_level(&mut self) -> Level {
        let or = if self.text("AMBASSADOR_DEBUG").is_some() { Level::Debug } else { Level::Info };
        self.value("AES_LOG_LEVEL", "one of error, warn, info, debug, trace", or)
    }
}
