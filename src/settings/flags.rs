//! The flags of the serving commands, and the forms of their values.

use std::net::IpAddr;

use crate::proxy::{AccessLogFormat, StaticName};
use crate::telemetry::logging::Level;

/// With less the process itself would be too much.
const LEAST_BUDGET: u64 = 16 << 20;

/// The flags that every serving command has.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Address for clients' connections [AMBASSADOR_ENVOY_BIND_ADDRESS; default 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub listen_address: Option<IpAddr>,
    /// Port for plaintext HTTP [default 8080]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// Address of the admin port [AMBASSADOR_HEALTHCHECK_BIND_ADDRESS; default 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_address: Option<IpAddr>,
    /// Port for health, metrics and diagnostics [AMBASSADOR_HEALTHCHECK_BIND_PORT; default 8877]
    #[arg(long, value_name = "PORT")]
    pub admin_port: Option<u16>,
    /// Number of worker threads for requests [ENVOY_CONCURRENCY; default: one per core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Memory that the gateway may use, such as 256Mi: its limits follow from it, and near it load
    /// is shed [NUNCIO_MEMORY_BUDGET; default: the container's limit]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory_budget: Option<u64>,
    /// Clients' connections at a time [NUNCIO_MAX_CONNECTIONS; default: as the budget allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_connections: Option<u64>,
    /// Requests upstream at a time [NUNCIO_MAX_REQUESTS; default: as the budget allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_requests: Option<u64>,
    /// Use ADDR:PORT for upstream HOST:PORT instead of asking DNS, as curl's --resolve; repeatable
    #[arg(long, value_name = "HOST:PORT=ADDR:PORT", value_parser = parse_static_name)]
    pub resolve: Vec<StaticName>,
    /// Let others than localhost see the diagnostics [NUNCIO_DIAGNOSTICS_ALLOW_NON_LOCAL]
    #[arg(long)]
    pub diagnostics_allow_non_local: bool,
    /// Seconds to keep serving as not ready after SIGTERM [NUNCIO_DRAIN_DELAY; default 5]
    #[arg(long, value_name = "SECONDS")]
    pub drain_delay: Option<u64>,
    /// error, warn, info, debug or trace [AES_LOG_LEVEL; default info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// Log in JSON [AMBASSADOR_JSON_LOGGING]
    #[arg(long)]
    pub json_logging: bool,
    /// Access log on standard output: text, json or off [NUNCIO_ACCESS_LOG; default text]
    #[arg(long, value_name = "FORMAT", value_parser = parse_access_log)]
    pub access_log: Option<AccessLogFormat>,
}

/// `HOST:PORT=ADDR:PORT`.
pub fn parse_static_name(text: &str) -> Result<StaticName, String> {
    let shape = || format!("{text:?} is not of the form HOST:PORT=ADDR:PORT");
    let (name, address) = text.split_once('=').ok_or_else(shape)?;
    let (host, port) = name.rsplit_once(':').ok_or_else(shape)?;
    if host.is_empty() {
        return Err(shape());
    }
    let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
    let address =
        address.parse().map_err(|_| format!("{address:?} is not an IP address and a port"))?;
    Ok(StaticName { host: host.to_ascii_lowercase().into(), port, address })
}

/// A number of bytes as Kubernetes writes it: `268435456`, `256Mi`, `1Gi`, `300M`.
pub(super) fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    const ALLOWED: &str = "must be a number of bytes of at least 16Mi, such as 268435456 or 256Mi";
    const UNITS: [(&str, u64); 6] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (digits, size) = unit.unwrap_or((text, 1));
    let number: u64 = digits.parse().map_err(|_| ALLOWED)?;
    let bytes = number.checked_mul(size).ok_or(ALLOWED)?;
    if bytes < LEAST_BUDGET { Err(ALLOWED) } else { Ok(bytes) }
}

pub(super) fn parse_access_log(text: &str) -> Result<AccessLogFormat, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Ok(AccessLogFormat::Text),
        "json" => Ok(AccessLogFormat::Json),
        "off" => Ok(AccessLogFormat::Off),
        _ => Err("must be text, json or off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes() {
        for (text, bytes) in [
            ("134217728", 128 << 20),
            ("128Mi", 128 << 20),
            ("2Gi", 2 << 30),
            ("300M", 300_000_000),
            ("20000Ki", 20_000 << 10),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "Mi", "-1", "15Mi", "1.5Gi", "12 Mi", "99999999999Gi", "128mb"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn static_names() {
        let name = parse_static_name("HTTPBIN.org:80=127.0.0.1:9").unwrap();
        assert_eq!((&*name.host, name.port), ("httpbin.org", 80));
        assert_eq!(name.address.to_string(), "127.0.0.1:9");
        assert!(parse_static_name("a:80=[::1]:9").is_ok());
        for bad in
            ["", "a", "a:80", "a=127.0.0.1:9", ":80=127.0.0.1:9", "a:x=127.0.0.1:9", "a:80=b:9"]
        {
            assert!(parse_static_name(bad).is_err(), "{bad}");
        }
    }
}
