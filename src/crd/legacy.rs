//! The versions v1 and v2 of a definition, for clusters that still hold or write them.
//!
//! Their schemas are made from v3alpha1's: the same fields under their older names, and a field
//! that may be written in more ways is left without a type, as in Emissary's definitions. What is
//! checked of values is checked in every version alike, but for the rules in CEL, which name
//! fields by v3alpha1's names.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use crate::convert::{ConvertedKind, GROUP, Version, of_kind};

/// Where the gateway converts; Emissary's path.
pub const CONVERSION_PATH: &str = "/webhooks/crd-convert";

/// Who converts, and between which versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// The namespace of the Service of the gateway's webhooks.
    pub namespace: String,
    /// The name of that Service.
    pub service: String,
    /// Whether v1 is served beside v2.
    pub v1: bool,
}

/// A definition that serves older versions too, where its kind has any. v3alpha1 is stored.
pub fn with_legacy_versions(
    definition: &CustomResourceDefinition,
    legacy: &Legacy,
) -> CustomResourceDefinition {
    let mut json = serde_json::to_value(definition).expect("a definition can be written as JSON");
    let versions = legacy_versions(definition);
    let wanted = versions.into_iter().filter(|version| legacy.v1 || version["name"] != "v1");
    let mut wanted = wanted.peekable();
    if wanted.peek().is_some() {
        if let Some(served) = json["spec"]["versions"].as_array_mut() {
            served.extend(wanted);
        }
        json["spec"]["conversion"] = conversion(&legacy.namespace, &legacy.service);
    }
    serde_json::from_value(json).expect("with more versions it is still a definition")
}

/// How the API server is told to ask the gateway. There is no `caBundle`: the gateway sets it.
pub fn conversion(namespace: &str, service: &str) -> Value {
    json!({
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": {
                "service": {
                    "name": service, "namespace": namespace, "path": CONVERSION_PATH, "port": 443,
                },
            },
            "conversionReviewVersions": ["v1"],
        },
    })
}

/// The entries of `spec.versions` for v2 and, where there is one, v1; none where the kind has no
/// older versions.
pub fn legacy_versions(definition: &CustomResourceDefinition) -> Vec<Value> {
    let Some(kind) = of_kind(&definition.spec.names.kind) else { return Vec::new() };
    let current = definition.spec.versions.first().filter(|_| definition.spec.group == GROUP);
    let Some(current) = current else { return Vec::new() };
    let current = serde_json::to_value(current).expect("a version can be written as JSON");
    let older = [Version::V2, Version::V1].into_iter();
    let older = older.filter(|version| kind.has_v1 || *version != Version::V1);
    older.map(|version| older_version(current.clone(), kind, version)).collect()
}

fn older_version(mut current: Value, kind: &ConvertedKind, version: Version) -> Value {
    current["name"] = json!(version.name());
    current["storage"] = json!(false);
    current["deprecated"] = json!(true);
    current["deprecationWarning"] = json!(format!(
        "{} is an older version of {}; write {}",
        version.api_version(),
        kind.name,
        Version::V3Alpha1.api_version()
    ));
    without_rules(&mut current);
    let spec = &mut current["schema"]["openAPIV3Schema"]["properties"]["spec"];
    if let Some(properties) = spec.get_mut("properties").and_then(Value::as_object_mut) {
        older_fields(properties, kind);
    }
    current
}

fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("x-kubernetes-validations");
            map.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// From v3alpha1's fields to v2's.
fn older_fields(fields: &mut Map<String, Value>, kind: &ConvertedKind) {
    for crumb in ["v2ExplicitTLS", "v2BoolHeaders", "v2BoolQueryParameters"] {
        fields.remove(crumb);
    }
    open(fields.get_mut("ambassador_id"));
    if kind.name == "Host"
        && let Some(id) = fields.get("ambassador_id").cloned()
    {
        fields.insert("ambassadorId".into(), id);
    }
    if kind.tls.is_some() {
        open(fields.get_mut("tls"));
    }
    for path in kind.lists {
        open(at(fields, path));
    }
    if kind.name == "Mapping" {
        older_mapping(fields);
    }
    for (legacy, current) in kind.renamed {
        let (parent, names) = match (legacy.rsplit_once('.'), current.rsplit_once('.')) {
            (Some((parent, legacy)), Some((_, current))) => {
                let inner = at(fields, parent).and_then(|field| field.get_mut("properties"));
                (inner.and_then(Value::as_object_mut), (legacy, current))
            }
            _ => (Some(&mut *fields), (*legacy, *current)),
        };
        if let Some(parent) = parent
            && let Some(field) = parent.remove(names.1)
        {
            parent.insert(names.0.to_owned(), field);
        }
    }
}

fn older_mapping(fields: &mut Map<String, Value>) {
    fields.remove("hostname");
    for map in ["headers", "query_parameters", "add_request_headers", "add_response_headers"] {
        open(fields.get_mut(map).and_then(|field| field.get_mut("additionalProperties")));
    }
    open(at(fields, "cors.origins"));
    if let Some(Value::Object(cors)) =
        fields.get_mut("cors").and_then(|it| it.get_mut("properties"))
    {
        cors.remove("v2CommaSeparatedOrigins");
    }
    // Domains, groups, labels: of a label v2 has more shapes than a schema can tell.
    let groups =
        fields.get_mut("labels").and_then(|it| it.pointer_mut("/additionalProperties/items"));
    open(groups.and_then(|group| group.pointer_mut("/additionalProperties/items")));
}

/// The schema at a path such as `cors.methods`.
fn at<'a>(fields: &'a mut Map<String, Value>, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => fields.get_mut(path),
        Some((first, rest)) => {
            at(fields.get_mut(first)?.get_mut("properties")?.as_object_mut()?, rest)
        }
    }
}

/// Takes the type off a schema: a value of any shape.
fn open(schema: Option<&mut Value>) {
    let Some(schema) = schema else { return };
    let description = schema.get("description").cloned();
    *schema = json!({"x-kubernetes-preserve-unknown-fields": true});
    if let Some(description) = description {
        schema["description"] = description;
    }
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
