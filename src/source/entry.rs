//! What the store remembers of a statement.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::key::ServiceKey;
use crate::model::object::Object;
use crate::model::secret::SecretState;
use crate::model::service::Service;
use crate::model::tls::SecretKey;

/// What a statement contributed, to be taken back when it goes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// The objects that it holds.
    pub(super) objects: SmallVec<[Arc<Object>; 1]>,
    /// What custom resources, the most numerous, never have.
    pub(super) others: Option<Box<Others>>,
}

/// What a statement contributed beside objects.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// The Services that it defines.
    pub(super) services: Vec<Arc<Service>>,
    /// The Services that its EndpointSlices belong to.
    pub(super) sliced: Vec<ServiceKey>,
    /// The Secrets that it defines.
    pub(super) secrets: Vec<(SecretKey, SecretState)>,
}
