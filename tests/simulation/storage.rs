//! What the simulated API server keeps: objects, and the history that watches are served from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Where an object lives. Plurals are unique among the kinds that a gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(plural: &str, namespace: &str, name: &str) -> Self {
        Self { plural: plural.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// A change, as a watch tells it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

/// A history that no longer reaches back to a version.
#[derive(Debug)]
pub(crate) struct Compacted;

/// All objects, and all changes since the last compaction.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    objects: BTreeMap<Key, Value>,
    history: Vec<Change>,
    version: u64,
    compacted: u64,
    /// At which version each generation was written.
    generations: BTreeMap<(Key, i64), u64>,
}

impl Storage {
    /// The version of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// At which version the present object got this generation, or its predecessor of that name.
    pub(crate) fn written_at(&self, key: &Key, generation: i64) -> u64 {
        self.generations.get(&(key.clone(), generation)).copied().unwrap_or_default()
    }

    /// The objects of a kind, of one namespace or all.
    pub(crate) fn list(&self, plural: &str, namespace: Option<&str>) -> Vec<(&Key, &Value)> {
        let of_namespace = |key: &Key| namespace.is_none_or(|namespace| key.namespace == namespace);
        self.objects.iter().filter(|(key, _)| key.plural == plural && of_namespace(key)).collect()
    }

    /// Writes everything but the status, which stays as it stands.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Value {
        let before = self.objects.get(key);
        let generation: i64 = match before {
            None => 1,
            Some(before) => {
                let generation = before["metadata"]["generation"].as_i64().unwrap_or_default();
                generation + i64::from(before["spec"] != object["spec"])
            }
        };
        let is_new = before
            .is_none_or(|before| before["metadata"]["generation"].as_i64() != Some(generation));
        let uid = before.map_or_else(
            || json!(format!("uid-{}-{}", key.name, self.version)),
            |before| before["metadata"]["uid"].clone(),
        );
        if let Some(status) = before.and_then(|before| before.get("status")) {
            object["status"] = status.clone();
        }
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.name);
        metadata["namespace"] = json!(key.namespace);
        metadata["generation"] = json!(generation);
        metadata["uid"] = uid;
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let object = self.store(key, object);
        if is_new {
            self.generations.insert((key.clone(), generation), self.version);
        }
        object
    }

    /// Writes the status alone; `None` if there is no such object.
    pub(crate) fn put_status(&mut self, key: &Key, status: &Value) -> Option<Value> {
        let mut object = self.objects.get(key)?.clone();
        object["status"] = status.clone();
        Some(self.store(key, object))
    }

    pub(crate) fn delete(&mut self, key: &Key) -> Option<Value> {
        let mut object = self.objects.remove(key)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.note(key, "DELETED", object.clone());
        Some(object)
    }

    /// Forgets the history: watches that are behind have to list anew.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.history.clear();
    }

    /// The first change after a version that `concerns` accepts.
    pub(crate) fn next_after(
        &self,
        version: u64,
        concerns: impl Fn(&Key) -> bool,
    ) -> Result<Option<&Change>, Compacted> {
        if version < self.compacted {
            return Err(Compacted);
        }
        let from = self.history.partition_point(|change| change.version <= version);
        Ok(self.history[from..].iter().find(|change| concerns(&change.key)))
    }

    /// An update that changes nothing is none, as in etcd.
    fn store(&mut self, key: &Key, mut object: Value) -> Value {
        let before = self.objects.get(key);
        if let Some(before) = before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if *before == object {
                return object;
            }
        }
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key.clone(), object.clone());
        self.note(key, kind, object.clone());
        object
    }

    fn note(&mut self, key: &Key, kind: &'static str, object: Value) {
        self.history.push(Change { version: self.version, key: key.clone(), kind, object });
    }
}
