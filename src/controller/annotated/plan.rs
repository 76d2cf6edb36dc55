//! PURE: which AnnotatedResources there should be, and what is to be written of each.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::controller::apply::{Operation, Write};
use crate::controller::replicas::Standing;
use crate::controller::status::plan::{Finding, StatusForm, plan};
use crate::model::key::{Carrier, CarrierKind, Origin};
use crate::model::object::Object;
use crate::model::report::Report;
use crate::model::sorted::Sorted;
use crate::source::ObservedStatus;

/// The label that says whose objects these are.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "nuncio");
/// The label that tells the objects of one gateway from another's.
pub(super) const GATEWAY: &str = "nuncio.dev/gateway";

/// The longest name that is made, in bytes (DNS-1123 allows 253).
const MAX_NAME: usize = 180;

/// Which AnnotatedResource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

/// An AnnotatedResource that there should be.
#[derive(Debug, Clone)]
pub(super) struct Desired {
    pub(super) report: Arc<Report>,
    /// Of its spec and owner.
    pub(super) fingerprint: u64,
}

/// What is wanted of an AnnotatedResource now.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    pub(super) desired: &'a Desired,
    /// What its status may say of the replicas; `None` for nothing yet.
    pub(super) standing: Option<Standing>,
}

/// An AnnotatedResource that there is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Existing {
    pub(super) uid: String,
    /// `metadata.resourceVersion` as a number: how new this is.
    pub(super) version: u64,
    pub(super) generation: Option<i64>,
    /// Of its spec and owner, as they stand.
    pub(super) fingerprint: u64,
    /// The `fingerprint` of what we wrote to make it so: the API server may prune or rewrite.
    pub(super) made_from: Option<u64>,
    pub(super) status: Arc<ObservedStatus>,
}

/// What is the same for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// The label's value that says which gateway writes them.
    pub(super) gateway: &'a str,
    /// What their definition knows.
    pub(super) form: StatusForm,
}

/// The AnnotatedResources of all documents of annotations in `reports`, for the gateway
/// `gateway`. Entries of `before` whose report is the same are taken over.
pub(super) fn plan_desired(
    reports: &Sorted<Arc<Report>>,
    gateway: &str,
    before: &BTreeMap<Subject, Desired>,
) -> BTreeMap<Subject, Desired> {
    let mut twins: HashMap<u64, u32> = HashMap::new();
    let mut desired = BTreeMap::new();
    for report in reports.iter() {
        let Origin::Annotation { carrier, .. } = &report.object.key.origin else { continue };
        if carrier.uid.is_empty() {
            continue;
        }
        let identity = identity(&report.object, carrier, gateway);
        // Reports stand in key order: of two documents with one name, the first is the first.
        let twin = twins.entry(identity).or_insert(0);
        let name =
            object_name(&report.object, carrier, stable_hash(identity, &[&twin.to_string()]));
        *twin += 1;
        let subject = Subject { namespace: Arc::clone(&carrier.namespace), name: name.into() };
        let known =
            before.get(&subject).filter(|known| Arc::ptr_eq(&known.report.object, &report.object));
        let fingerprint = known.map_or_else(
            || fingerprint(&spec(&report.object, carrier, StatusForm::Conditions), &owner(carrier)),
            |known| known.fingerprint,
        );
        desired.insert(subject, Desired { report: Arc::clone(report), fingerprint });
    }
    desired
}

/// What is to be written of one AnnotatedResource now; `None` if it stands as it should.
///
/// The spec comes first, so that its generation is the one that the status then speaks of.
pub(super) fn plan_annotated(
    subject: &Subject,
    wanted: Option<Wanted<'_>>,
    existing: Option<&Existing>,
    terms: Terms<'_>,
    now: jiff::Timestamp,
) -> Option<Write> {
    let operation = match (wanted, existing) {
        (None, None) => return None,
        (None, Some(existing)) => Operation::Delete { uid: existing.uid.clone() },
        (Some(wanted), Some(existing)) if is_current(wanted.desired, existing) => {
            let finding = Finding { report: &wanted.desired.report, standing: &wanted.standing? };
            let (status, generation) = (Some(&*existing.status), existing.generation);
            let patch = plan(finding, status, generation, terms.form, now)?;
            Operation::Status(serde_json::to_value(patch).ok()?)
        }
        (Some(Wanted { desired, .. }), _) => {
            let Origin::Annotation { carrier, .. } = &desired.report.object.key.origin else {
                return None;
            };
            let body = json!({
                "metadata": {
                    "labels": {MANAGED_BY.0: MANAGED_BY.1, GATEWAY: terms.gateway},
                    "ownerReferences": owner(carrier),
                },
                "spec": spec(&desired.report.object, carrier, terms.form),
            });
            Operation::Apply { body, fingerprint: desired.fingerprint }
        }
    };
    let (namespace, name) = (Arc::clone(&subject.namespace), Arc::clone(&subject.name));
    Some(Write { namespace, name, operation })
}

fn is_current(desired: &Desired, existing: &Existing) -> bool {
    existing.fingerprint == desired.fingerprint || existing.made_from == Some(desired.fingerprint)
}

/// Of a spec and the owners beside it.
pub(super) fn fingerprint(spec: &Value, owners: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    (spec, owners).hash(&mut hasher);
    hasher.finish()
}

fn spec(object: &Object, carrier: &Carrier, form: StatusForm) -> Value {
    let Origin::Annotation { index, .. } = &object.key.origin else { return Value::Null };
    let mut spec = json!({
        "carrier": {"kind": carrier.kind.as_str(), "name": &*carrier.name},
        "index": index,
        "kind": object.key.kind.as_str(),
        "name": &*object.key.name,
        "namespace": &*object.key.namespace,
    });
    if let Some(location) = object.location {
        spec["line"] = json!(location.line);
    }
    // A document that can't be parsed has no JSON; one that isn't an object is no configuration.
    let document = object.document.as_deref().and_then(|text| serde_json::from_str(text).ok());
    if let Some(document @ Value::Object(_)) = document {
        if form == StatusForm::Conditions {
            summarize(&document, &mut spec);
        }
        spec["document"] = document;
    }
    spec
}

/// Copies what `kubectl get` shows: its columns can't look in two places, and a document's fields
/// stand at its top or below `spec`.
fn summarize(document: &Value, spec: &mut Value) {
    let fields = document.get("spec").filter(|inner| inner.is_object()).unwrap_or(document);
    for (column, names) in
        [("host", &["hostname", "host"][..]), ("prefix", &["prefix"]), ("service", &["service"])]
    {
        if let Some(text) = names.iter().find_map(|name| fields[*name].as_str()) {
            spec[column] = json!(text);
        }
    }
}

fn owner(carrier: &Carrier) -> Value {
    let api_version = match carrier.kind {
        CarrierKind::Service => "v1",
        CarrierKind::Ingress => "networking.k8s.io/v1",
    };
    json!([{
        "apiVersion": api_version,
        "kind": carrier.kind.as_str(),
        "name": &*carrier.name,
        "uid": &*carrier.uid,
        "controller": false,
        "blockOwnerDeletion": false,
    }])
}

/// What stays the same when a document moves within its annotation.
fn identity(object: &Object, carrier: &Carrier, gateway: &str) -> u64 {
    let key = &object.key;
    stable_hash(
        FNV_OFFSET,
        &[
            gateway,
            carrier.kind.as_str(),
            &carrier.namespace,
            &carrier.name,
            key.kind.as_str(),
            &key.namespace,
            &key.name,
        ],
    )
}

/// A DNS-1123 name that people recognise, made unique by `hash`.
fn object_name(object: &Object, carrier: &Carrier, hash: u64) -> String {
    let words = [carrier.kind.as_str(), &carrier.name, &object.key.name];
    let mut name = String::with_capacity(MAX_NAME + 10);
    for character in words.join("-").chars().take(MAX_NAME) {
        let character = character.to_ascii_lowercase();
        name.push(if character.is_ascii_alphanumeric() { character } else { '-' });
    }
    format!("{}-{:08x}", name.trim_end_matches('-'), hash as u32)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a over the texts and their borders. Names depend on it, so it must never change; the
/// standard library promises nothing of the kind for its own.
pub(in crate::controller) fn stable_hash(seed: u64, texts: &[&str]) -> u64 {
    texts.iter().fold(seed, |hash, text| {
        let bytes = text.bytes().chain(std::iter::once(0xff));
        bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
    })
}

/// A gateway's id as a label's value: it has at most 63 of a few characters.
pub(super) fn label_value(gateway: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = gateway.as_bytes();
    let fits = bytes.len() <= 63 && ends(bytes.first()) && ends(bytes.last());
    if fits && bytes.iter().all(|byte| allowed(*byte)) {
        gateway.to_owned()
    } else {
        format!("{:016x}", stable_hash(FNV_OFFSET, &[gateway]))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
