//! Changes objects through the API server, without a process for each change.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::Value;

/// One request to the API server.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) verb: Verb,
    /// The whole, or for a change what of it is changed.
    pub(crate) object: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    /// As a merge patch.
    Change,
    Delete,
}

/// Makes steps in one namespace.
#[derive(Clone)]
pub(crate) struct Writer {
    client: kube::Client,
    namespace: String,
}

impl Writer {
    pub(crate) async fn connect(namespace: &str) -> Self {
        let client = kube::Client::try_default().await.expect("KUBECONFIG is valid");
        Self { client, namespace: namespace.to_owned() }
    }

    /// Makes one step.
    pub(crate) async fn make(&self, step: &Step) -> kube::Result<()> {
        let object = &step.object;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource(object));
        let name = object["metadata"]["name"].as_str().expect("it has a name");
        match step.verb {
            Verb::Create => {
                let object = serde_json::from_value(object.clone()).expect("an object");
                api.create(&PostParams::default(), &object).await?;
            }
            Verb::Change => {
                api.patch(name, &PatchParams::default(), &Patch::Merge(object)).await?;
            }
            Verb::Delete => {
                api.delete(name, &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }
}

fn resource(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().expect("it says what it is");
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("kind"));
    ApiResource::from_gvk_with_plural(&kind, &format!("{}s", text("kind").to_lowercase()))
}
