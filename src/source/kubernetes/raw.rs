//! An object as the API server sends it, without the parts that nobody reads.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::bounded;

/// Any object. Reading one never fails, so that an object of a wrong shape still arrives under
/// its name and can be reported.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    /// Only what the watch needs: name, namespace and resource version.
    meta: ObjectMeta,
    /// The object, pruned.
    pub(super) body: Value,
    /// Whether its spec is nested too deeply to be read whole.
    pub(super) is_too_deep: bool,
}

impl Raw {
    /// `metadata.namespace`, empty where there is none.
    pub(super) fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.resourceVersion`, where it is a number.
    pub(super) fn version(&self) -> Option<u64> {
        self.meta.resource_version.as_deref()?.parse().ok()
    }

    /// `metadata.name`.
    pub(super) fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut body, is_cut) = bounded::read_object(deserializer)?;
        let text = |field: &str| body["metadata"][field].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        prune(&mut body);
        // What stands in the spec lies one level below it. Others' parts of the object may be cut.
        let is_too_deep = is_cut && bounded::reaches(&body["spec"], bounded::LEVELS - 1);
        Ok(Self { meta, body, is_too_deep })
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// Drops what is large and never read, one object at a time, so that a page of a list stays small.
fn prune(body: &mut Value) {
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if let Some(endpoints) = body.get_mut("endpoints").and_then(Value::as_array_mut) {
        for endpoint in endpoints.iter_mut().filter_map(Value::as_object_mut) {
            endpoint.retain(|field, _| field == "addresses" || field == "conditions");
        }
    }
}
