//! What users write in Kubernetes: the custom resources, their schemas and descriptions. No logic.
//!
//! The structs exist for their schemas. Values are read by `source::parse`, which complains about
//! one field where serde would refuse the whole object.

mod annotated;
mod host;
mod legacy;
mod listener;
mod mapping;
mod mapping_types;
mod module;
mod resolver;
mod rules;
mod selector;
mod status;
mod tcp_mapping;
mod tls_context;
mod tls_settings;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use self::annotated::{AnnotatedResource, AnnotatedResourceSpec, CarrierRef};
pub use self::host::{AcmeProvider, Host, HostSpec, InsecurePolicy, PreviewUrl, RequestPolicy};
pub use self::legacy::{
    CONVERSION_PATH, Legacy, conversion, legacy_versions, with_legacy_versions,
};
pub use self::listener::{HostBinding, Listener, ListenerSpec, NamespaceBinding};
pub use self::mapping::{Mapping, MappingSpec};
pub use self::mapping_types::{
    AddedHeader, CircuitBreaker, Cookie, Cors, Docs, KeepAlive, LoadBalancer, RegexMap,
    RetryBackOff, RetryPolicy, V2ExplicitTls,
};
pub use self::module::{Module, ModuleSpec};
pub use self::resolver::{
    KubernetesEndpointResolver, KubernetesEndpointResolverSpec, KubernetesServiceResolver,
    KubernetesServiceResolverSpec,
};
pub use self::selector::{LabelSelector, LocalReference, SecretReference};
pub use self::status::{Condition, ConditionStatus, HostStatus, ObjectStatus};
pub use self::tcp_mapping::{TCPMapping, TcpMappingSpec};
pub use self::tls_context::{TLSContext, TlsContextSpec};
pub use self::tls_settings::TlsSettings;

/// The definitions of all custom resources, in the order in which they are printed.
pub fn all() -> Vec<CustomResourceDefinition> {
    let all = [
        Mapping::crd(),
        Host::crd(),
        Listener::crd(),
        TLSContext::crd(),
        TCPMapping::crd(),
        Module::crd(),
        KubernetesServiceResolver::crd(),
        KubernetesEndpointResolver::crd(),
        AnnotatedResource::crd(),
    ];
    all.into_iter().map(tidied).collect()
}

/// The definitions as one YAML text of several documents.
pub fn yaml() -> String {
    all().iter().map(document).collect()
}

/// One definition as a YAML document, `---` included.
pub fn document(crd: &CustomResourceDefinition) -> String {
    let body = serde_saphyr::to_string(crd).expect("a definition holds nothing but JSON's types");
    format!("---\n{body}")
}

/// Takes `nullable` out: without it the API server drops nulls before it validates, as under
/// Emissary's definitions, so that `rewrite: null` and an enum that is null are accepted.
/// Descriptions become one line, which `kubectl explain` wraps by itself.
fn tidied(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut json = serde_json::to_value(crd).expect("a definition can be written as JSON");
    tidy(&mut json);
    for version in json["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        // A resolver says nothing but its kind: as under Emissary's definitions, it needs no spec.
        if schema["properties"]["spec"]["required"].is_null() {
            schema.as_object_mut().map(|schema| schema.remove("required"));
        }
    }
    serde_json::from_value(json).expect("a definition without `nullable` is a definition")
}

fn tidy(json: &mut serde_json::Value) {
    use serde_json::Value as Json;
    match json {
        Json::Object(map) => {
            if map.get("nullable").is_some_and(Json::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Json::String(description)) = map.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            map.values_mut().for_each(tidy);
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The schema of an object whose fields are nobody's business.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// The schema of a field that is text in Emissary's definition, and an object in ours.
fn anything(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// The schema of a list of such objects.
fn any_objects(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}

#[cfg(test)]
mod tests;
