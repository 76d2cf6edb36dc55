//! From raw objects to statements, reusing what an unchanged object said before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::raw::Raw;
use crate::model::key::{CarrierKind, Kind};
use crate::model::object::Object;
use crate::model::service::Service;
use crate::source::observed::ObservedStatuses;
use crate::source::parse::{
    ParseSettings, annotation_of, parse_annotation, parse_endpoint_slice, parse_resource,
    parse_service, parse_too_deep,
};
use crate::source::{Collection, ObservedCondition, ObservedStatus, Statement, StatementId};

/// Converts the objects of one collection and remembers, of each, what it said last.
#[derive(Debug)]
pub(super) struct Converter {
    collection: Collection,
    settings: Arc<ParseSettings>,
    observed: ObservedStatuses,
    known: HashMap<StatementId, Known>,
    /// While a list runs: what it hasn't named yet.
    unlisted: HashMap<StatementId, Known>,
}

/// What an object said last.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    /// Of everything that `objects` were parsed from.
    fingerprint: u64,
    objects: Vec<Arc<Object>>,
    service: Option<Arc<Service>>,
    observed: Option<Arc<ObservedStatus>>,
}

impl Converter {
    pub(super) fn new(
        collection: Collection,
        settings: Arc<ParseSettings>,
        observed: ObservedStatuses,
    ) -> Self {
        let (known, unlisted) = (HashMap::new(), HashMap::new());
        Self { collection, settings, observed, known, unlisted }
    }

    /// The identity of an object's statement.
    pub(super) fn id(&self, raw: &Raw) -> StatementId {
        StatementId {
            collection: self.collection,
            namespace: raw.namespace().into(),
            name: raw.name().into(),
        }
    }

    /// What the object says now; `None` if it was said in this list or since, and nothing that
    /// anybody reads has changed.
    pub(super) fn put(&mut self, raw: Raw) -> Option<Statement> {
        let id = self.id(&raw);
        let said = self.known.remove(&id);
        let before = said.clone().or_else(|| self.unlisted.remove(&id)).unwrap_or_default();
        let now = match self.collection {
            Collection::Services => self.read_carrier(&raw.body, CarrierKind::Service, before),
            Collection::Ingresses => self.read_carrier(&raw.body, CarrierKind::Ingress, before),
            Collection::EndpointSlices => {
                let endpoints =
                    parse_endpoint_slice(&raw.body, &self.settings).into_iter().collect();
                return Some(Statement { endpoints, ..silence(id) });
            }
            Collection::Files => return None,
            resources => match resources.kind() {
                Some(kind) => self.read_resource(kind, raw, before),
                None => return None,
            },
        };
        let news = match said {
            Some(said) => !is_same(&said, &now),
            // Most Ingresses have nothing to say to us.
            None => !now.objects.is_empty() || now.service.is_some(),
        };
        let statement = news.then(|| Statement {
            objects: now.objects.clone(),
            services: now.service.iter().cloned().collect(),
            ..silence(named_by(&now, id.clone()))
        });
        self.known.insert(named_by(&now, id), now);
        statement
    }

    /// Forgets an object that is gone.
    pub(super) fn delete(&mut self, id: &StatementId) {
        if let Some(known) = self.known.remove(id) {
            self.forget(&known);
        }
    }

    /// A new list begins: each of its objects is to be said, changed or not.
    pub(super) fn begin_list(&mut self) {
        self.unlisted.extend(self.known.drain());
    }

    /// The list is complete: what it didn't name is gone.
    pub(super) fn end_list(&mut self) {
        for known in std::mem::take(&mut self.unlisted).into_values() {
            self.forget(&known);
        }
    }

    /// Whether nothing of the collection is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.unlisted.is_empty()
    }

    fn forget(&self, known: &Known) {
        if self.collection.kind().is_some() {
            for object in &known.objects {
                self.observed.remove(&object.key);
            }
        }
    }

    fn read_resource(&self, kind: Kind, raw: Raw, before: Known) -> Known {
        let Raw { mut body, is_too_deep, .. } = raw;
        // The status is no part of what the object says: our own writes come back here.
        let status = body.as_object_mut().and_then(|object| object.remove("status"));
        let observed = observed_status(&status.unwrap_or_default());
        let fingerprint = fingerprint(&(&body, is_too_deep));
        let objects = if before.fingerprint == fingerprint && !before.objects.is_empty() {
            before.objects
        } else if is_too_deep {
            vec![Arc::new(parse_too_deep(kind, &body, &self.settings))]
        } else {
            vec![Arc::new(parse_resource(kind, &body, &self.settings))]
        };
        let observed = match before.observed {
            Some(same) if *same == observed => same,
            _ => {
                let observed = self.observed.share(observed);
                for object in &objects {
                    self.observed.put(object.key.clone(), Arc::clone(&observed));
                }
                observed
            }
        };
        Known { fingerprint, objects, service: None, observed: Some(observed) }
    }

    fn read_carrier(&self, body: &Value, kind: CarrierKind, before: Known) -> Known {
        let metadata = &body["metadata"];
        let (fingerprint, objects) = match annotation_of(kind, body) {
            None => (0, Vec::new()),
            Some((text, carrier)) => {
                let inherited = ["uid", "generation", "creationTimestamp", "labels"];
                let fingerprint = fingerprint(&(text, inherited.map(|field| &metadata[field])));
                let objects = if before.fingerprint == fingerprint {
                    before.objects
                } else {
                    parse_annotation(text, &carrier, &self.settings)
                };
                (fingerprint, objects)
            }
        };
        let service = match kind {
            CarrierKind::Ingress => None,
            CarrierKind::Service => match (before.service, parse_service(body)) {
                (Some(before), Some(now)) if *before == now => Some(before),
                (_, now) => now.map(Arc::new),
            },
        };
        Known { fingerprint, objects, service, observed: None }
    }
}

/// The same identity, by the texts that the object itself has: one copy is kept of them.
fn named_by(known: &Known, id: StatementId) -> StatementId {
    match known.objects.first() {
        Some(object) if object.key.namespace == id.namespace && object.key.name == id.name => {
            let (namespace, name) = (&object.key.namespace, &object.key.name);
            StatementId { namespace: Arc::clone(namespace), name: Arc::clone(name), ..id }
        }
        _ => id,
    }
}

/// Whether both say the same. The status is no part of that: it is what we say.
fn is_same(one: &Known, other: &Known) -> bool {
    one.fingerprint == other.fingerprint && one.service == other.service
}

fn silence(id: StatementId) -> Statement {
    let (objects, services, endpoints) = (Vec::new(), Vec::new(), Vec::new());
    Statement { id, objects, services, endpoints, secrets: Vec::new() }
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Reads `status` of any of our kinds; what has another shape is left out.
pub(crate) fn observed_status(status: &Value) -> ObservedStatus {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    ObservedStatus {
        state: text(&status["state"]),
        reason: text(&status["reason"]),
        observed_generation: status["observedGeneration"].as_i64(),
        conditions: conditions
            .map(|condition| {
                let field = |name: &str| text(&condition[name]).unwrap_or_default();
                ObservedCondition {
                    kind: field("type"),
                    status: field("status"),
                    reason: field("reason"),
                    message: field("message"),
                    observed_generation: condition["observedGeneration"].as_i64(),
                    last_transition_time: field("lastTransitionTime"),
                }
            })
            .collect(),
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
