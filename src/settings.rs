//! Flags and environment → [`Settings`]. A flag beats its variable, a variable its default, and
//! the environment is an argument. Every bad value is reported, not only the first.
//!
//! `AMBASSADOR_UPDATE_MAPPING_STATUS` has no switch here: status is always written, because it is
//! planned as a difference and costs nothing where nothing changed (Emissary's default is off).

mod admission;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::model::snapshot::Defaults;
use crate::proxy::{AccessLogFormat, StaticName};
use crate::source::parse::ParseSettings;
use crate::telemetry::logging::{Format, Level};
pub use admission::{AdmissionSettings, AnnotationPolicy, CertificateSource};

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Emissary's: objects without an `ambassador_id` speak to this gateway.
const AMBASSADOR_ID: &str = "default";
/// Emissary's, for a gateway that wasn't told where it lives.
const NAMESPACE: &str = "default";
/// Emissary's, for a cluster that has no id.
const CLUSTER_ID: &str = "00000000-0000-0000-0000-000000000000";
/// Every address: a pod's clients come from elsewhere.
const LISTEN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The plaintext port of Emissary's chart (Service port 80 → 8080).
const HTTP_PORT: u16 = 8080;
/// Emissary's admin port, which probes and dashboards name.
const ADMIN_PORT: u16 = 8877;
/// Long enough for every kube-proxy and load balancer to see that the pod is not ready, and half
/// of what a pod's usual 30 s of grace leaves.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// With the delay it stays within a pod's usual 30 s of grace. Emissary's 600 s can't be reached
/// there: its pods are killed first.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Variables of Emissary's that steer machinery that isn't here.
const NO_EFFECT: [&str; 14] = [
    "AMBASSADOR_AMBEX_NO_RATELIMIT",
    "AMBASSADOR_AMBEX_SNAPSHOT_COUNT",
    "AMBASSADOR_CERTS_SINGLE_NAMESPACE",
    "AMBASSADOR_CONFIG_BASE_DIR",
    "AMBASSADOR_DIAGD_BIND_PORT",
    "AMBASSADOR_ENVOY_BASE_ID",
    "AMBASSADOR_FAST_RECONFIGURE",
    "AMBASSADOR_ISTIO_SECRET_DIR",
    "AMBASSADOR_KNATIVE_SUPPORT",
    "AMBASSADOR_READY_PORT",
    "AMBASSADOR_RECONFIG_MAX_DELAY",
    "AMBASSADOR_SNAPSHOT_COUNT",
    "AMBASSADOR_UPDATE_MAPPING_STATUS",
    "STATSD_ENABLED",
];

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

/// Everything that the process was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `AMBASSADOR_ID`: objects that name it are ours.
    pub ambassador_id: String,
    /// `AMBASSADOR_CLUSTER_ID`, a label of `ambassador_diagnostics_info`.
    pub cluster_id: String,
    /// `AMBASSADOR_NAMESPACE`: the gateway's own namespace.
    pub namespace: String,
    /// `AMBASSADOR_SINGLE_NAMESPACE`, set to anything: only the own namespace is watched.
    pub single_namespace: bool,
    /// `AMBASSADOR_LABEL_SELECTOR` for what is watched.
    pub label_selector: Option<String>,
    /// `AMBASSADOR_FIELD_SELECTOR` for what is watched.
    pub field_selector: Option<String>,
    /// The name that the Lease holder goes by: the pod's.
    pub identity: String,
    /// Address for clients' connections.
    pub listen_address: IpAddr,
    /// Port for plaintext HTTP while no Listener says otherwise.
    pub http_port: u16,
    /// Where health, metrics and diagnostics are served.
    pub admin: SocketAddr,
    /// Whether others than localhost see the diagnostics.
    pub diagnostics_allow_non_local: bool,
    /// Worker threads.
    pub workers: usize,
    /// Upstream names that aren't asked of DNS.
    pub static_names: Vec<StaticName>,
    /// How long requests are served after SIGTERM before connections are closed.
    pub drain_delay: Duration,
    /// How long requests may then take to end (`AMBASSADOR_DRAIN_TIME`, seconds).
    pub drain_time: Duration,
    /// `AES_LOG_LEVEL`, or debug where `AMBASSADOR_DEBUG` is set.
    pub log_level: Level,
    /// `AMBASSADOR_JSON_LOGGING`.
    pub log_format: Format,
    /// The form of the access log.
    pub access_log: AccessLogFormat,
    /// The admission webhook; `None` where it isn't served.
    pub admission: Option<AdmissionSettings>,
    /// All variables, for `$VAR` in objects.
    pub environment: Environment,
}

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

impl Settings {
    /// Reads the environment, beneath the flags. `cores` is the default number of workers.
    pub fn parse(
        flags: &Flags,
        environment: Environment,
        cores: usize,
    ) -> Result<Self, SettingsError> {
        let mut read = Reader { environment: &environment, bad: Vec::new() };
        let log_level = flags.log_level.unwrap_or_else(|| read.log_level());
        let admin_address = flags
            .admin_address
            .unwrap_or_else(|| read.address("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS"));
        let admin_port = flags.admin_port.unwrap_or_else(|| {
            read.value("AMBASSADOR_HEALTHCHECK_BIND_PORT", "a port, 0 to 65535", ADMIN_PORT)
        });
        let json = flags.json_logging || read.flag("AMBASSADOR_JSON_LOGGING");
        let settings = Self {
            ambassador_id: read.text("AMBASSADOR_ID").unwrap_or(AMBASSADOR_ID).to_owned(),
            cluster_id: read.text("AMBASSADOR_CLUSTER_ID").unwrap_or(CLUSTER_ID).to_owned(),
            namespace: read.text("AMBASSADOR_NAMESPACE").unwrap_or(NAMESPACE).to_owned(),
            // Emissary's rule: any text turns it on, "false" included.
            single_namespace: read.text("AMBASSADOR_SINGLE_NAMESPACE").is_some(),
            label_selector: read.text("AMBASSADOR_LABEL_SELECTOR").map(str::to_owned),
            field_selector: read.text("AMBASSADOR_FIELD_SELECTOR").map(str::to_owned),
            identity: read
                .text("POD_NAME")
                .or(read.text("HOSTNAME"))
                .map_or_else(|| format!("nuncio-{}", std::process::id()), str::to_owned),
            listen_address: flags
                .listen_address
                .unwrap_or_else(|| read.address("AMBASSADOR_ENVOY_BIND_ADDRESS")),
            http_port: flags.http_port.unwrap_or(HTTP_PORT),
            admin: SocketAddr::new(admin_address, admin_port),
            diagnostics_allow_non_local: flags.diagnostics_allow_non_local
                || read.flag("NUNCIO_DIAGNOSTICS_ALLOW_NON_LOCAL"),
            workers: flags
                .workers
                .unwrap_or_else(|| read.value("ENVOY_CONCURRENCY", "a number of threads", cores)),
            static_names: flags.resolve.clone(),
            drain_delay: flags.drain_delay.map_or_else(
                || read.seconds("NUNCIO_DRAIN_DELAY", DRAIN_DELAY),
                Duration::from_secs,
            ),
            drain_time: read.seconds("AMBASSADOR_DRAIN_TIME", DRAIN_TIME),
            log_level,
            log_format: if json { Format::Json } else { Format::Text },
            access_log: flags.access_log.unwrap_or_else(|| read.access_log()),
            admission: AdmissionSettings::parse(&mut read),
            environment: BTreeMap::new(),
        };
        match read.bad {
            bad if bad.is_empty() => {
                // Envoy takes 0 as "one per core" too.
                let workers = if settings.workers == 0 { cores } else { settings.workers };
                Ok(Self { workers: workers.max(1), environment, ..settings })
            }
            bad => Err(SettingsError(bad)),
        }
    }

    /// What parsing needs to know.
    pub fn parsing(&self) -> ParseSettings {
        ParseSettings { namespace: self.namespace.clone(), environment: self.environment.clone() }
    }

    /// What building needs to know; `services_known` says whether a cluster is watched.
    pub fn defaults(&self, services_known: bool) -> Defaults {
        Defaults {
            ambassador_id: self.ambassador_id.clone(),
            services_known,
            http_port: self.http_port,
        }
    }

    /// Variables of Emissary's that are set and steer machinery that isn't here.
    pub fn variables_without_effect(&self) -> Vec<&'static str> {
        NO_EFFECT.into_iter().filter(|name| self.environment.contains_key(*name)).collect()
    }
}

/// Looks variables up and collects what is wrong with them. Empty is unset.
struct Reader<'a> {
    environment: &'a Environment,
    bad: Vec<BadValue>,
}

impl<'a> Reader<'a> {
    fn text(&self, variable: &str) -> Option<&'a str> {
        self.environment.get(variable).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn value<T: FromStr>(&mut self, variable: &'static str, allowed: &'static str, or: T) -> T {
        self.parsed(variable, allowed, |text| text.parse().ok()).unwrap_or(or)
    }

    /// `None` where the variable is unset or wrong.
    fn parsed<T>(
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

    fn address(&mut self, variable: &'static str) -> IpAddr {
        self.value(variable, "an IP address", LISTEN_ADDRESS)
    }

    fn seconds(&mut self, variable: &'static str, or: Duration) -> Duration {
        Duration::from_secs(self.value(variable, "a whole number of seconds", or.as_secs()))
    }

    fn access_log(&mut self) -> AccessLogFormat {
        self.parsed("NUNCIO_ACCESS_LOG", "text, json or off", |text| parse_access_log(text).ok())
            .unwrap_or(AccessLogFormat::Text)
    }

    /// Emissary's `parse_bool`, but what is neither yes nor no is told.
    fn flag(&mut self, variable: &'static str) -> bool {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
            "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
            _ => None,
        };
        self.parsed(variable, "true or false", parse).unwrap_or(false)
    }

    /// `AMBASSADOR_DEBUG` lists parts of Emissary; whatever it says means debug.
    fn log_level(&mut self) -> Level {
        let or = if self.text("AMBASSADOR_DEBUG").is_some() { Level::Debug } else { Level::Info };
        self.value("AES_LOG_LEVEL", "one of error, warn, info, debug, trace", or)
    }
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

fn parse_access_log(text: &str) -> Result<AccessLogFormat, &'static str> {
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

    fn parse(flags: &Flags, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let environment =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Settings::parse(flags, environment, 4)
    }

    #[test]
    fn defaults_are_emissarys() {
        let settings = parse(&Flags::default(), &[("HOSTNAME", "pod-1")]).unwrap();
        assert_eq!(settings.ambassador_id, "default");
        assert_eq!(settings.namespace, "default");
        assert!(!settings.single_namespace);
        assert_eq!(settings.admin.to_string(), "0.0.0.0:8877");
        assert_eq!((settings.http_port, settings.workers), (8080, 4));
        assert_eq!((settings.log_level, settings.log_format), (Level::Info, Format::Text));
        assert_eq!(settings.identity, "pod-1");
        assert_eq!(settings.defaults(true).ambassador_id, "default");
    }

    #[test]
    fn variables_are_read_and_flags_beat_them() {
        let variables = [
            ("AMBASSADOR_ID", "edge"),
            ("AMBASSADOR_SINGLE_NAMESPACE", "false"),
            ("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS", "::1"),
            ("AMBASSADOR_HEALTHCHECK_BIND_PORT", "9000"),
            ("AMBASSADOR_DRAIN_TIME", " 7 "),
            ("AMBASSADOR_JSON_LOGGING", "1"),
            ("AMBASSADOR_DEBUG", "entrypoint-trace"),
            ("ENVOY_CONCURRENCY", "0"),
            ("AMBASSADOR_SNAPSHOT_COUNT", "4"),
        ];
        let settings = parse(&Flags::default(), &variables).unwrap();
        assert_eq!(settings.ambassador_id, "edge");
        assert!(settings.single_namespace, "any text turns it on");
        assert_eq!(settings.admin.to_string(), "[::1]:9000");
        assert_eq!(settings.drain_time, Duration::from_secs(7));
        assert_eq!((settings.log_level, settings.log_format), (Level::Debug, Format::Json));
        assert_eq!(settings.workers, 4);
        assert_eq!(settings.variables_without_effect(), ["AMBASSADOR_SNAPSHOT_COUNT"]);

        let flags = Flags {
            admin_port: Some(1),
            workers: Some(2),
            log_level: Some(Level::Trace),
            ..Flags::default()
        };
        let settings = parse(&flags, &variables).unwrap();
        assert_eq!((settings.admin.port(), settings.workers), (1, 2));
        assert_eq!(settings.log_level, Level::Trace);
    }

    #[test]
    fn every_bad_value_is_told() {
        let error = parse(
            &Flags::default(),
            &[
                ("AES_LOG_LEVEL", "loud"),
                ("AMBASSADOR_DRAIN_TIME", "-1"),
                ("AMBASSADOR_ENVOY_BIND_ADDRESS", "localhost"),
                ("AMBASSADOR_HEALTHCHECK_BIND_PORT", "70000"),
                ("AMBASSADOR_JSON_LOGGING", "perhaps"),
                ("ENVOY_CONCURRENCY", "many"),
            ],
        )
        .unwrap_err()
        .to_string();
        assert_eq!(error.lines().count(), 6, "{error}");
        assert!(error.contains(r#"AES_LOG_LEVEL="loud": must be one of error, warn"#), "{error}");
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
