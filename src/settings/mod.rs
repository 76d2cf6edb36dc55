//! Flags and environment → [`Settings`]. A flag beats its variable, a variable its default, and
//! the environment is an argument. Every bad value is reported, not only the first.
//!
//! `AMBASSADOR_UPDATE_MAPPING_STATUS` has no switch here: status is always written, because it is
//! planned as a difference and costs nothing where nothing changed (Emissary's default is off).

mod admission;
mod flags;
mod reader;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use admission::{AdmissionSettings, AnnotationPolicy, CertificateSource};
pub use flags::{Flags, parse_static_name};
pub use reader::SettingsError;

use crate::model::service::OwnZone;
use crate::model::snapshot::Defaults;
use crate::model::tls::SecretKey;
use crate::proxy::overload::Asked;
use crate::proxy::{AccessLogFormat, StaticName};
use crate::source::kubernetes::SecretWatch;
use crate::source::parse::ParseSettings;
use crate::source::pem_files::IstioFiles;
use crate::telemetry::logging::{Format, Level};
use reader::Reader;

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Emissary's: objects without an `ambassador_id` speak to this gateway.
const AMBASSADOR_ID: &str = "default";
/// Emissary's, for a gateway that wasn't told where it lives.
const NAMESPACE: &str = "default";
/// Emissary's, for a cluster that has no id.
const CLUSTER_ID: &str = "00000000-0000-0000-0000-000000000000";
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
/// Longer than a replica takes that is merely busy or starts anew, and short enough for a pipeline
/// that waits: after that a status is written that names the replica.
const REPLICA_GRACE: Duration = Duration::from_secs(30);

/// Where Istio keeps certificates for a pod, in Emissary's manifests.
const ISTIO_DIRECTORY: &str = "/etc/istio-certs";
/// Emissary's name for them.
const ISTIO_SECRET: &str = "istio-certs";

/// Variables of Emissary's that steer machinery that isn't here.
const NO_EFFECT: [&str; 12] = [
    "AMBASSADOR_AMBEX_NO_RATELIMIT",
    "AMBASSADOR_AMBEX_SNAPSHOT_COUNT",
    "AMBASSADOR_CONFIG_BASE_DIR",
    "AMBASSADOR_DIAGD_BIND_PORT",
    "AMBASSADOR_ENVOY_BASE_ID",
    "AMBASSADOR_FAST_RECONFIGURE",
    "AMBASSADOR_KNATIVE_SUPPORT",
    "AMBASSADOR_READY_PORT",
    "AMBASSADOR_RECONFIG_MAX_DELAY",
    "AMBASSADOR_SNAPSHOT_COUNT",
    "AMBASSADOR_UPDATE_MAPPING_STATUS",
    "STATSD_ENABLED",
];

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
    /// `NUNCIO_ADMIN_SERVICE`: the Service of the admin port in the gateway's namespace, by which
    /// replicas find each other, and which tells this installation from others; `None` for a
    /// gateway that runs alone.
    pub admin_service: Option<String>,
    /// `NUNCIO_REPLICA_GRACE`, seconds: how long a status waits for replicas that don't confirm
    /// what it says.
    pub replica_grace: Duration,
    /// `NUNCIO_SECRETS_WATCH`: whether Secrets are followed one by one or all of them.
    pub secret_watch: SecretWatch,
    /// `AMBASSADOR_CERTS_SINGLE_NAMESPACE`, set to anything: Secrets of the own namespace only.
    pub certificates_single_namespace: bool,
    /// `AMBASSADOR_ISTIO_SECRET_DIR`: where Istio keeps its certificates, if it is there.
    pub istio_directory: PathBuf,
    /// Address for clients' connections.
    pub listen_address: IpAddr,
    /// Whether a label selector holds only where all its labels do; off by
    /// `DISABLE_STRICT_LABEL_SELECTORS`.
    pub strict_selectors: bool,
    /// Port for plaintext HTTP while no Listener says otherwise.
    pub http_port: u16,
    /// Where health, metrics and diagnostics are served.
    pub admin: SocketAddr,
    /// Whether others than localhost see the diagnostics.
    pub diagnostics_allow_non_local: bool,
    /// `NUNCIO_ZONE`: the zone whose endpoints are preferred where Kubernetes says so.
    pub zone: OwnZone,
    /// Worker threads.
    pub workers: usize,
    /// What was said about memory, connections and requests; the rest follows from the memory
    /// (`NUNCIO_MEMORY_BUDGET`, `NUNCIO_MAX_CONNECTIONS`, `NUNCIO_MAX_REQUESTS`).
    pub asked: Asked,
    /// Upstream names that aren't asked of DNS.
    pub static_names: Vec<StaticName>,
    /// `NUNCIO_UPSTREAM_TLS_VERIFY=require`: upstreams' certificates are verified also where no
    /// TLSContext names an authority.
    pub verify_upstreams: bool,
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

impl Settings {
    /// Reads the environment, beneath the flags. `cores` is the default number of workers.
    pub fn parse(
        flags: &Flags,
        environment: Environment,
        cores: usize,
    ) -> Result<Self, SettingsError> {
        let mut read = Reader::new(&environment);
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
            admin_service: read.text("NUNCIO_ADMIN_SERVICE").map(str::to_owned),
            replica_grace: read.seconds("NUNCIO_REPLICA_GRACE", REPLICA_GRACE),
            secret_watch: read.secret_watch(),
            certificates_single_namespace: read.text("AMBASSADOR_CERTS_SINGLE_NAMESPACE").is_some(),
            istio_directory: read
                .text("AMBASSADOR_ISTIO_SECRET_DIR")
                .unwrap_or(ISTIO_DIRECTORY)
                .into(),
            listen_address: flags
                .listen_address
                .unwrap_or_else(|| read.address("AMBASSADOR_ENVOY_BIND_ADDRESS")),
            strict_selectors: !read.flag("DISABLE_STRICT_LABEL_SELECTORS"),
            http_port: flags.http_port.unwrap_or(HTTP_PORT),
            admin: SocketAddr::new(admin_address, admin_port),
            diagnostics_allow_non_local: flags.diagnostics_allow_non_local
                || read.flag("NUNCIO_DIAGNOSTICS_ALLOW_NON_LOCAL"),
            workers: flags
                .workers
                .unwrap_or_else(|| read.value("ENVOY_CONCURRENCY", "a number of threads", cores)),
            asked: read.asked(flags),
            zone: read.zone(),
            static_names: flags.resolve.clone(),
            verify_upstreams: read.verify_upstreams(),
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
        read.finish()?;
        // Envoy takes 0 as "one per core" too.
        let workers = if settings.workers == 0 { cores } else { settings.workers };
        Ok(Self { workers: workers.max(1), environment, ..settings })
    }

    /// What parsing needs to know.
    pub fn parsing(&self) -> ParseSettings {
        ParseSettings {
            namespace: self.namespace.clone(),
            pod: Some(self.identity.clone()),
            environment: self.environment.clone(),
        }
    }

    /// Istio's certificates, and the Secret that they stand for.
    pub fn istio_files(&self) -> IstioFiles {
        let secret =
            SecretKey { namespace: self.namespace.as_str().into(), name: ISTIO_SECRET.into() };
        IstioFiles { directory: self.istio_directory.clone(), secret }
    }

    /// What building needs to know; `services_known` says whether a cluster is watched.
    pub fn defaults(&self, services_known: bool) -> Defaults {
        Defaults {
            ambassador_id: self.ambassador_id.clone(),
            services_known,
            http_port: self.http_port,
            namespace: self.namespace.clone(),
            strict_selectors: self.strict_selectors,
            zone: self.zone.clone(),
        }
    }

    /// Variables of Emissary's that are set and steer machinery that isn't here.
    pub fn variables_without_effect(&self) -> Vec<&'static str> {
        NO_EFFECT.into_iter().filter(|name| self.environment.contains_key(*name)).collect()
    }
}

#[cfg(test)]
mod tests;
