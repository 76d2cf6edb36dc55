//! The inputs of a build at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::key::{ObjectKey, ServiceKey};
use super::object::Object;
use super::service::Service;

/// Everything that a build may look at.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All objects, accepted or rejected.
    pub objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// All Services. Shared, so that two builds can see by the address that none has changed.
    pub services: Arc<Services>,
    /// Settings that have meaning.
    pub defaults: Defaults,
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
}

impl Default for Defaults {
    fn default() -> Self {
        Self { ambassador_id: "default".into(), services_known: false, http_port: 8080 }
    }
}
