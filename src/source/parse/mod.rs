//! From what users wrote (`crd`) to what it means (`model`). Pure: no IO, and the environment
//! that `$VAR` refers to is an argument.
//!
//! Nothing here fails: an object that can't be read is an [`Object`] whose content is rejected.
//!
//! ```text
//! text ──yaml──► Node ──document──► envelope (kind, name, …) ──mapping──► Route
//! JSON of the API ──► Node ─────────────┘
//! ```

mod action;
mod balance;
mod cluster;
mod cors;
pub(super) mod document;
mod duration;
mod effect;
mod expand;
mod fields;
mod file;
mod headers;
mod health;
mod host;
mod known;
mod kubernetes;
mod legacy;
mod listener;
mod mapping;
mod matching;
mod module;
pub(super) mod node;
mod outlier;
mod read;
mod resolver;
mod resource;
mod retry;
mod secret;
mod service;
mod suggest;
mod tcp_mapping;
mod tls;
mod tls_context;
mod tls_names;
mod upgrade;
mod words;
pub(super) mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::{Carrier, Kind};
use crate::model::object::Object;

pub use self::effect::{Effect, Key};
pub use self::file::parse_file;
pub(super) use self::file::unreadable_file;
pub(super) use self::kubernetes::{created_of, labels_of};
pub use self::kubernetes::{parse_endpoint_slice, parse_service};
pub(in crate::source) use self::secret::MAX_BYTES as MAX_SECRET_BYTES;
#[cfg(test)]
pub(crate) use self::secret::testing as secret_testing;
pub use self::secret::{parse_pem_files, parse_secret, parse_secret_values};
pub use super::annotation::{annotation_of, parse_annotation};

/// What parsing needs to know of the process.
#[derive(Debug, Clone, Default)]
pub struct ParseSettings {
    /// The namespace of the gateway (`AMBASSADOR_NAMESPACE`): Mappings in it name Services
    /// without being qualified, and the namespace `_automatic_` stands for it.
    pub namespace: String,
    /// The gateway's own pod (`POD_NAME`), by which it finds its zone; `None` outside a cluster.
    pub pod: Option<String>,
    /// Variables for `$VAR` and `${VAR}`; empty turns expansion off.
    pub environment: BTreeMap<String, String>,
}

/// What a document inherits from the Service or Ingress that carries it.
#[derive(Debug, Clone)]
pub struct CarrierMeta {
    /// The carrier.
    pub carrier: Arc<Carrier>,
    /// Its `metadata.generation`, where it has one.
    pub generation: Option<i64>,
    /// Its creation, in seconds since 1970.
    pub created: Option<i64>,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// The keys of Module `ambassador` (`spec.config`), with what becomes of each; those of its `gzip`
/// stand behind them as `gzip.…`.
pub fn module_keys() -> impl Iterator<Item = (&'static str, Key)> {
    let gzip = module::keys::GZIP.iter().map(|key| ("gzip.", *key));
    module::keys::KEYS.iter().map(|key| ("", *key)).chain(gzip)
}

/// The object of a custom resource whose spec is nested so deeply that it isn't read.
pub(crate) fn parse_too_deep(
    kind: Kind,
    raw: &serde_json::Value,
    settings: &ParseSettings,
) -> Object {
    resource::parse_too_deep(kind, raw, settings)
}

/// Parses one custom resource, given whole as the API server sends it.
pub fn parse_resource(kind: Kind, raw: &serde_json::Value, settings: &ParseSettings) -> Object {
    resource::parse_resource(kind, raw, settings)
}
