//! The inputs of a build at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::key::ServiceKey;
use super::object::Object;
use super::secret::{LastGood, SecretState};
use super::service::{OwnZone, Service};
use super::sorted::Sorted;
use super::tls::SecretKey;
use super::written::PemSource;

/// Everything that a build may look at.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All objects, accepted or rejected.
    pub objects: Sorted<Arc<Object>>,
    /// All Services. Shared, so that two builds can see by the address that none has changed.
    pub services: Arc<Services>,
    /// The Secrets that the last build wanted, as far as they have been read.
    pub secrets: Arc<BTreeMap<SecretKey, SecretState>>,
    /// The files that the last build wanted, as far as they have been read; only
    /// [`PemSource::Files`].
    pub pem_files: Arc<BTreeMap<PemSource, SecretState>>,
    /// What could be used last of each of these Secrets and files, since the process began.
    pub last_good: Arc<BTreeMap<PemSource, LastGood>>,
    /// What serving has found out.
    pub observations: Arc<Observations>,
    /// The time in seconds since 1970, moved on only when a certificate's time comes: 0 is not
    /// told.
    pub now: i64,
    /// Settings that have meaning.
    pub defaults: Defaults,
}

/// What only those who serve can know. An input of the next build, so that it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observations {
    /// Addresses and ports that can't be listened on, each with what is wrong, for people.
    pub failed_listeners: BTreeMap<(Option<IpAddr>, u16), Arc<str>>,
}

/// The Services that objects may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// All of them.
    pub by_key: BTreeMap<ServiceKey, Arc<Service>>,
    /// Those that have a ready endpoint on some port.
    pub with_endpoints: BTreeSet<ServiceKey>,
}

/// Settings of the process that decide what objects mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// `AMBASSADOR_ID`.
    pub ambassador_id: String,
    /// Whether `services` is the whole truth, so that a missing Service can be told. It isn't
    /// for a directory of files, which may name Services of a cluster that nobody can see.
    pub services_known: bool,
    /// The port that is listened on while no Listener object exists.
    pub http_port: u16,
    /// The gateway's own namespace (`AMBASSADOR_NAMESPACE`); empty where it has none.
    pub namespace: String,
    /// A label selector holds where all its labels do. Emissary: on unless
    /// `DISABLE_STRICT_LABEL_SELECTORS`, which also lets a host alone attach a route.
    pub strict_selectors: bool,
    /// The gateway's own zone.
    pub zone: OwnZone,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            ambassador_id: "default".into(),
            services_known: false,
            http_port: 8080,
            namespace: String::new(),
            strict_selectors: true,
            zone: OwnZone::Found,
        }
    }
}
