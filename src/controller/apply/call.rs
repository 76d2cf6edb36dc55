//! One write: what is sent, how long it may take, and what the answer means.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, Request, Status};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Written;
use crate::source::kubernetes::{bounded, explain, permission};

/// Our name in `metadata.managedFields`.
pub(in crate::controller) const FIELD_MANAGER: &str = "nuncio";
/// A write that takes longer is given up and planned again.
const DEADLINE: Duration = Duration::from_secs(5);

/// A write to one object.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::controller) struct Write {
    /// The object's namespace.
    pub(in crate::controller) namespace: Arc<str>,
    /// The object's name.
    pub(in crate::controller) name: Arc<str>,
    /// What to do with it.
    pub(in crate::controller) operation: Operation,
}

/// What to do with an object.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::controller) enum Operation {
    /// Server-side apply of these fields of `status`.
    Status(Value),
    /// Server-side apply of these fields (`metadata` and `spec`), creating the object.
    Apply {
        /// The fields.
        body: Value,
        /// Comes back with the answer, so that the caller knows what was applied.
        fingerprint: u64,
    },
    /// Deletion of the object with this uid, and of no other.
    Delete {
        /// `metadata.uid`.
        uid: String,
    },
}

/// Why a write failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The API server doesn't answer, or asks for patience.
    Unreachable(String),
    /// We lack the permission.
    Forbidden(String),
    /// The kind has no definition or no status.
    Unsupported(String),
    /// This object alone is refused.
    Rejected(String),
}

pub(super) async fn execute(
    client: Client,
    resource: ApiResource,
    write: Write,
) -> Result<Written, Failure> {
    let api = Api::namespaced_with(client, &write.namespace, &resource);
    match tokio::time::timeout(DEADLINE, send(&api, &resource, &write)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Unreachable("no answer within five seconds".to_owned())),
    }
}

async fn send(
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    write: &Write,
) -> Result<Written, Failure> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = match &write.operation {
        Operation::Status(status) => {
            let patch = Patch::Apply(json!({
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": &*write.name, "namespace": &*write.namespace},
                "status": status,
            }));
            let object = patch_status(api, &write.name, &params, &patch).await;
            if is_not_found(&object) && !serves_status(api, resource).await {
                return Err(Failure::Unsupported("it has no status subresource".to_owned()));
            }
            object.map(|object| Written::Status(Box::new(object)))
        }
        Operation::Apply { body, fingerprint } => {
            let mut body = body.clone();
            body["apiVersion"] = json!(resource.api_version);
            body["kind"] = json!(resource.kind);
            body["metadata"]["name"] = json!(&*write.name);
            body["metadata"]["namespace"] = json!(&*write.namespace);
            let object = api.patch(&write.name, &params, &Patch::Apply(body)).await;
            object.map(|object| Written::Applied(Box::new(object), *fingerprint))
        }
        Operation::Delete { uid } => {
            let only = Preconditions { uid: Some(uid.clone()), resource_version: None };
            let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
            api.delete(&write.name, &params).await.map(|_| Written::Gone)
        }
    };
    written.or_else(|error| read_error(&write.operation, resource, &error))
}

/// Writes a status. The answer is the whole object, and the status of one that is nested too
/// deeply must be written like any other.
async fn patch_status(
    api: &Api<DynamicObject>,
    name: &str,
    params: &PatchParams,
    patch: &Patch<Value>,
) -> kube::Result<DynamicObject> {
    let request = Request::new(api.resource_url()).patch_subresource("status", name, params, patch);
    let request = request.map_err(kube::Error::BuildRequest)?;
    let answer = api.clone().into_client().request_text(request).await?;
    let (object, _) = bounded::read(&mut serde_json::Deserializer::from_str(&answer))
        .map_err(kube::Error::SerdeError)?;
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}

fn is_not_found<T>(result: &kube::Result<T>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 404)
}

/// Whether the kind has a status. The API server answers a write to a status that doesn't exist
/// as it does for an object that is gone; discovery, which everybody may ask, tells them apart.
async fn serves_status(api: &Api<DynamicObject>, resource: &ApiResource) -> bool {
    let client = api.clone().into_client();
    let status = format!("{}/status", resource.plural);
    match client.list_api_group_resources(&resource.api_version).await {
        Ok(list) => list.resources.iter().any(|resource| resource.name == status),
        // The kind is gone altogether, or the API server is.
        Err(error) => !is_not_found::<()>(&Err(error)),
    }
}

/// What an error means for a write.
fn read_error(
    operation: &Operation,
    resource: &ApiResource,
    error: &kube::Error,
) -> Result<Written, Failure> {
    let kube::Error::Api(status) = error else {
        return Err(Failure::Unreachable(explain(error)));
    };
    let namespace_ends = status.message.contains("being terminated") || is_of_namespace(status);
    // Told as a refusal, though no permission would help.
    let definition_ends = status.message.contains("custom resource definition is terminating");
    match (status.code, operation) {
        (403 | 405, _) if definition_ends => {
            Err(Failure::Unsupported("its definition is being deleted".to_owned()))
        }
        (404 | 409, Operation::Delete { .. }) => Ok(Written::Gone),
        (403 | 404, _) if namespace_ends => Ok(Written::Gone),
        (404, Operation::Status(_)) => Ok(Written::Gone),
        (404, _) => Err(Failure::Unsupported(status.message.clone())),
        (403, _) => {
            Err(Failure::Forbidden(format!("{}; {}", status.message, needed(operation, resource))))
        }
        // The answer of a definition that doesn't declare a field, given with the code 500.
        _ if status.message.contains("field not declared in schema") => {
            Ok(Written::Undeclared(status.message.clone()))
        }
        (429 | 500..=599, _) => Err(Failure::Unreachable(status.message.clone())),
        _ => Err(Failure::Rejected(status.message.clone())),
    }
}

fn is_of_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

fn needed(operation: &Operation, resource: &ApiResource) -> String {
    let ApiResource { plural, group, .. } = resource;
    let permission = match operation {
        Operation::Status(_) => permission(&["patch"], &format!("{plural}/status"), group),
        Operation::Apply { .. } => permission(&["create", "patch"], plural, group),
        Operation::Delete { .. } => permission(&["delete"], plural, group),
    };
    format!("{permission} to the gateway's role")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_means_what_to_do_next() {
        let status = || Operation::Status(json!({}));
        let apply = || Operation::Apply { body: json!({}), fingerprint: 0 };
        let delete = || Operation::Delete { uid: "u".to_owned() };
        let cases = [
            (404, "mappings \"x\" not found", delete(), "gone"),
            (409, "uid mismatch", delete(), "gone"),
            (404, "the server could not find the requested resource", apply(), "unsupported"),
            (
                403,
                "unable to create new content in namespace x because it is being terminated",
                apply(),
                "gone",
            ),
            (403, "mappings is forbidden", status(), "forbidden"),
            (
                403,
                "mappings \"x\" is forbidden: create not allowed while custom resource definition is terminating",
                apply(),
                "unsupported",
            ),
            (
                500,
                "failed to create typed patch object: .status.conditions: field not declared in schema",
                status(),
                "undeclared",
            ),
            (500, "etcdserver: request timed out", status(), "unreachable"),
            (429, "slow down", apply(), "unreachable"),
            (422, "spec.index: Invalid value", apply(), "rejected"),
        ];
        for (code, message, operation, expected) in cases {
            let error = Status::failure(message, "").with_code(code).boxed();
            let result = read_error(&operation, &resource(), &kube::Error::Api(error));
            let got = match result {
                Ok(Written::Gone) => "gone",
                Ok(Written::Undeclared(_)) => "undeclared",
                Ok(Written::Status(_) | Written::Applied(..)) => "object",
                Err(Failure::Unreachable(_)) => "unreachable",
                Err(Failure::Forbidden(text)) => {
                    let end = "add verb patch on resource mappings/status in API group g to the gateway's role";
                    assert!(text.ends_with(end), "{text}");
                    "forbidden"
                }
                Err(Failure::Unsupported(_)) => "unsupported",
                Err(Failure::Rejected(_)) => "rejected",
            };
            assert_eq!(got, expected, "{code} {message}");
        }
    }

    fn resource() -> ApiResource {
        ApiResource {
            group: "g".into(),
            version: "v1".into(),
            api_version: "g/v1".into(),
            kind: "Mapping".into(),
            plural: "mappings".into(),
        }
    }
}
