//! Holds the latest statement of every raw object and derives the snapshot from them.
//!
//! Pure bookkeeping: no IO and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::entry::{Entry, Others};
use super::versions::{Marks, Version, Versions};
use super::{Collection, Event, Statement, StatementId};
use crate::model::cluster::ServiceRef;
use crate::model::key::{ObjectKey, ServiceKey};
use crate::model::object::Object;
use crate::model::secret::{LastGood, SecretState};
use crate::model::service::{EndpointSlice, Endpoints, OwnZone, Service, build_endpoints};
use crate::model::snapshot::{Defaults, Services, Snapshot};
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;

/// The latest statement of every raw object.
#[derive(Debug)]
pub struct Store {
    statements: HashMap<StatementId, Entry>,
    /// Statements that this store waits to be put again, for collections that are being listed.
    unconfirmed: BTreeMap<Collection, HashSet<StatementId>>,
    /// Collections whose first list is not complete yet.
    awaited: BTreeSet<Collection>,
    snapshot: Snapshot,
    /// Slices by Service, under the statement and position that they came in.
    slices: HashMap<ServiceKey, BTreeMap<(StatementId, usize), EndpointSlice>>,
    endpoints: Arc<Endpoints>,
    /// The zone whose endpoints are preferred, as far as it is known. A pod never leaves it.
    zone: Option<Arc<str>>,
    changes: Changes,
    marks: Marks,
    /// Whether all objects come from files, which then hold all Secrets too.
    only_files: bool,
}

/// What has changed since it was last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// The snapshot: a build is due.
    pub snapshot: bool,
    /// The endpoints: they are to be published.
    pub endpoints: bool,
}

impl Changes {
    /// These and those.
    pub fn and(self, other: Self) -> Self {
        Self {
            snapshot: self.snapshot || other.snapshot,
            endpoints: self.endpoints || other.endpoints,
        }
    }
}

impl Store {
    /// An empty store that waits for the lists of `collections`.
    pub fn new(defaults: Defaults, collections: impl IntoIterator<Item = Collection>) -> Self {
        let awaited: BTreeSet<Collection> = collections.into_iter().collect();
        Self {
            only_files: awaited.iter().all(|collection| *collection == Collection::Files),
            statements: HashMap::new(),
            unconfirmed: BTreeMap::new(),
            marks: Marks::new(awaited.iter().copied()),
            awaited,
            zone: match &defaults.zone {
                OwnZone::Named(zone) => Some(Arc::clone(zone)),
                OwnZone::Found | OwnZone::Ignored => None,
            },
            snapshot: Snapshot { defaults, ..Snapshot::default() },
            slices: HashMap::new(),
            endpoints: Arc::default(),
            // The first build is always due, even of nothing.
            changes: Changes { snapshot: true, endpoints: true },
        }
    }

    /// Whether every collection has been listed once.
    pub fn is_synced(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The collections whose first list is not complete yet.
    pub fn awaited(&self) -> impl Iterator<Item = Collection> {
        self.awaited.iter().copied()
    }

    /// The inputs of a build.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// All ready endpoints.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// The zone that the gateway runs in, where it is known and wanted.
    pub fn zone(&self) -> Option<&Arc<str>> {
        self.zone.as_ref()
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// What another process must have taken in to know what this store holds.
    pub fn needed(&self) -> Versions {
        self.marks.needed()
    }

    /// How far this store has come in each collection.
    pub fn complete(&self) -> Versions {
        self.marks.complete()
    }

    /// Takes note of what a build wants. Where objects come from files only, a Secret that none of
    /// them holds doesn't exist; says whether that is news, and so another build due.
    pub fn want(&mut self, wanted: &BTreeSet<PemSource>) -> bool {
        if !self.only_files {
            return false;
        }
        self.forget_last_good(|source| !wanted.contains(source));
        let missing: Vec<PemSource> = wanted
            .iter()
            .filter(|source| matches!(source, PemSource::Secret(_)) && !self.is_read(source))
            .cloned()
            .collect();
        let news = !missing.is_empty();
        for source in missing {
            self.put_pem(source, Some(SecretState::Missing));
        }
        news
    }

    /// Whether something is known of a Secret or a file.
    pub fn is_read(&self, source: &PemSource) -> bool {
        match source {
            PemSource::Secret(key) => self.snapshot.secrets.contains_key(key),
            files => self.snapshot.pem_files.contains_key(files),
        }
    }

    /// Takes one event in.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Init(collection) => {
                self.marks.begin_list(collection);
                let ids = self.statements.keys().filter(|id| id.collection == collection);
                let ids = ids.cloned().collect();
                self.unconfirmed.insert(collection, ids);
            }
            Event::Put(statement) => {
                if let Some(ids) = self.unconfirmed.get_mut(&statement.id.collection) {
                    ids.remove(&statement.id);
                }
                self.put(statement);
            }
            Event::Delete(id) => self.remove(&id),
            Event::Listed(collection) => {
                self.end_list(collection);
                self.marks.forget(collection);
            }
            Event::Versioned(version, event) => self.apply_versioned(version, event),
            Event::Pem(source, state) => {
                if state.is_none() {
                    self.forget_last_good(|other| *other == source);
                }
                self.put_pem(source, state);
            }
            Event::Now(now) => {
                self.changes.snapshot |= self.snapshot.now != now;
                self.snapshot.now = now;
            }
            Event::Observed(observations) => {
                self.changes.snapshot |= self.snapshot.observations != observations;
                self.snapshot.observations = observations;
            }
        }
    }

    fn apply_versioned(&mut self, version: Version, event: Option<Box<Event>>) {
        match event.map(|event| *event) {
            Some(Event::Listed(collection)) => {
                self.end_list(collection);
                self.marks.end_list(version);
            }
            event => {
                self.marks.take(version);
                event.into_iter().for_each(|event| self.apply(event));
            }
        }
    }

    fn end_list(&mut self, collection: Collection) {
        for id in self.unconfirmed.remove(&collection).unwrap_or_default() {
            self.remove(&id);
        }
        self.awaited.remove(&collection);
    }

    fn put(&mut self, statement: Statement) {
        let Statement { id, objects, services, endpoints, secrets } = statement;
        let Entry { objects: known, others } = self.statements.remove(&id).unwrap_or_default();
        let old = others.map(|others| *others).unwrap_or_default();
        self.replace_objects(&known, &objects);
        self.replace_services(&old.services, &services);
        let sliced: Vec<_> = endpoints.iter().map(|slice| slice.service.clone()).collect();
        self.replace_slices(&id, &old.sliced, endpoints);
        let named = secrets.iter().map(|(key, _)| key).collect();
        self.forget_secrets(&old.secrets, &named);
        for (key, state) in &secrets {
            self.put_pem(PemSource::Secret(key.clone()), Some(state.clone()));
        }
        let any = !(services.is_empty() && sliced.is_empty() && secrets.is_empty());
        let others = any.then(|| Box::new(Others { services, sliced, secrets }));
        self.statements.insert(id, Entry { objects: objects.into(), others });
    }

    fn remove(&mut self, id: &StatementId) {
        if let Some(Entry { objects, others }) = self.statements.remove(id) {
            self.replace_objects(&objects, &[]);
            let Some(old) = others else { return };
            self.replace_services(&old.services, &[]);
            self.replace_slices(id, &old.sliced, Vec::new());
            self.forget_secrets(&old.secrets, &BTreeSet::new());
        }
    }

    fn replace_objects(&mut self, old: &[Arc<Object>], new: &[Arc<Object>]) {
        let kept: HashSet<&ObjectKey> = new.iter().map(|object| &*object.key).collect();
        for object in old.iter().filter(|object| !kept.contains(&*object.key)) {
            self.changes.snapshot |= self.snapshot.objects.remove(&object.key).is_some();
        }
        for object in new {
            let known = self.snapshot.objects.get(&object.key);
            if known.is_none_or(|known| !Arc::ptr_eq(known, object) && known != object) {
                self.snapshot.objects.insert(Arc::clone(object));
                self.changes.snapshot = true;
            }
        }
    }

    fn replace_services(&mut self, old: &[Arc<Service>], new: &[Arc<Service>]) {
        for service in old.iter().filter(|old| !new.iter().any(|new| new.key == old.key)) {
            self.services().by_key.remove(&service.key);
            self.changes.snapshot = true;
            self.rebuild_endpoints(&service.key);
        }
        for service in new {
            if self.snapshot.services.by_key.get(&service.key) != Some(service) {
                self.services().by_key.insert(service.key.clone(), Arc::clone(service));
                self.changes.snapshot = true;
                self.rebuild_endpoints(&service.key);
            }
        }
    }

    fn replace_slices(&mut self, id: &StatementId, old: &[ServiceKey], new: Vec<EndpointSlice>) {
        let mut touched: BTreeSet<ServiceKey> = old.iter().cloned().collect();
        for key in old {
            if let Some(slices) = self.slices.get_mut(key) {
                slices.retain(|(owner, _), _| owner != id);
            }
        }
        for (position, slice) in new.into_iter().enumerate() {
            if let Some(zone) = &slice.own_zone {
                self.learn_zone(zone, &mut touched);
            }
            touched.insert(slice.service.clone());
            let of_service = self.slices.entry(slice.service.clone()).or_default();
            of_service.insert((id.clone(), position), slice);
        }
        for key in touched {
            if self.slices.get(&key).is_some_and(BTreeMap::is_empty) {
                self.slices.remove(&key);
            }
            self.rebuild_endpoints(&key);
        }
    }

    /// Takes note of where the gateway's pod is; all Services are looked at anew where it is news.
    fn learn_zone(&mut self, zone: &Arc<str>, touched: &mut BTreeSet<ServiceKey>) {
        let is_wanted = self.snapshot.defaults.zone == OwnZone::Found;
        if is_wanted && self.zone.as_ref() != Some(zone) {
            self.zone = Some(Arc::clone(zone));
            touched.extend(self.slices.keys().cloned());
        }
    }

    /// What is known of a Secret or a file from now on.
    fn put_pem(&mut self, source: PemSource, state: Option<SecretState>) {
        if let Some(SecretState::Present(contents)) = &state {
            let known = self.snapshot.last_good.get(&source);
            let good = known.unwrap_or(&LastGood::default()).and(contents);
            if known != Some(&good) {
                Arc::make_mut(&mut self.snapshot.last_good).insert(source.clone(), good);
            }
        }
        let changed = match source {
            PemSource::Secret(key) => replace(&mut self.snapshot.secrets, key, state),
            files => replace(&mut self.snapshot.pem_files, files, state),
        };
        self.changes.snapshot |= changed;
    }

    /// Lets go of what nobody asks for any more.
    fn forget_last_good(&mut self, is_over: impl Fn(&PemSource) -> bool) {
        if self.snapshot.last_good.keys().any(&is_over) {
            Arc::make_mut(&mut self.snapshot.last_good).retain(|source, _| !is_over(source));
        }
    }

    /// Takes Secrets back that a statement no longer holds; another may hold them too.
    fn forget_secrets(&mut self, old: &[(SecretKey, SecretState)], kept: &BTreeSet<&SecretKey>) {
        for (key, _) in old.iter().filter(|(key, _)| !kept.contains(key)) {
            let others = self.statements.values().filter_map(|entry| entry.others.as_ref());
            let others = others.flat_map(|others| &others.secrets);
            let other = others.filter(|(other, _)| other == key).map(|(_, state)| state.clone());
            let other = other.last();
            self.put_pem(PemSource::Secret(key.clone()), other);
        }
    }

    /// The Services, to be changed: copied where a build still holds them.
    fn services(&mut self) -> &mut Services {
        Arc::make_mut(&mut self.snapshot.services)
    }

    /// Derives the endpoints of one Service anew.
    fn rebuild_endpoints(&mut self, key: &ServiceKey) {
        let none = BTreeMap::new();
        let slices = self.slices.get(key).unwrap_or(&none);
        let new = match self.snapshot.services.by_key.get(key) {
            Some(service) => build_endpoints(service, &slices.values(), self.zone.as_deref()),
            None => Vec::new(),
        };
        let any = new.iter().any(|(_, addresses)| !addresses.is_empty());
        if any != self.snapshot.services.with_endpoints.contains(key) {
            let with_endpoints = &mut self.services().with_endpoints;
            let _ = match any {
                true => with_endpoints.insert(key.clone()),
                false => with_endpoints.remove(key),
            };
            self.changes.snapshot = true;
        }
        let old: Vec<(&ServiceRef, _)> = self.endpoints.of_service(key).collect();
        if old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| (a.0, a.1) == (&b.0, &b.1)) {
            return;
        }
        let stale: Vec<ServiceRef> =
            old.into_iter().map(|(reference, _)| reference.clone()).collect();
        let endpoints = Arc::make_mut(&mut self.endpoints);
        for reference in stale {
            endpoints.by_service.remove(&reference);
        }
        endpoints.by_service.extend(new);
        self.changes.endpoints = true;
    }
}

/// Sets or removes a value, and says whether that changed anything.
fn replace<K: Ord + Clone>(
    map: &mut Arc<BTreeMap<K, SecretState>>,
    key: K,
    state: Option<SecretState>,
) -> bool {
    if map.get(&key) == state.as_ref() {
        return false;
    }
    let map = Arc::make_mut(map);
    match state {
        Some(state) => map.insert(key, state),
        None => map.remove(&key),
    };
    true
}

#[cfg(test)]
#[path = "store_secrets_tests.rs"]
mod secrets_tests;

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
