//! Events on their way from a source to the rebuild loop: each gets its moment of arrival, and
//! for files it is noted which file holds which object.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::admin::seconds_now;
use crate::controller::rebuild::Arrival;
use crate::model::key::ObjectKey;
use crate::source::Event;

/// The file that each object was written in. A document of an annotation doesn't know: its key
/// names the Service that carries it.
#[derive(Debug, Clone, Default)]
pub(super) struct FileIndex(Arc<Mutex<Index>>);

#[derive(Debug, Default)]
struct Index {
    files: HashMap<Arc<ObjectKey>, Arc<str>>,
    objects: HashMap<Arc<str>, Vec<Arc<ObjectKey>>>,
}

impl FileIndex {
    /// The file of an object.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.0.lock().files.get(key).cloned()
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Put(statement) => {
                let keys = statement.objects.iter().map(|object| object.key.clone()).collect();
                self.0.lock().put(&statement.id.name, keys);
            }
            Event::Delete(id) => self.0.lock().put(&id.name, Vec::new()),
            Event::Init(_)
            | Event::Listed(_)
            | Event::Versioned(..)
            | Event::Pem(..)
            | Event::Now(_)
            | Event::Observed(_) => {}
        }
    }
}

impl Index {
    fn put(&mut self, file: &Arc<str>, keys: Vec<Arc<ObjectKey>>) {
        for key in self.objects.remove(file).unwrap_or_default() {
            // It may have moved to another file meanwhile.
            if self.files.get(&key) == Some(file) {
                self.files.remove(&key);
            }
        }
        for key in &keys {
            self.files.insert(key.clone(), Arc::clone(file));
        }
        if !keys.is_empty() {
            self.objects.insert(Arc::clone(file), keys);
        }
    }
}

/// Runs until one end is gone.
pub(super) async fn run(
    mut events: mpsc::Receiver<Event>,
    arrivals: mpsc::Sender<Arrival>,
    files: Option<FileIndex>,
) -> anyhow::Result<()> {
    while let Some(event) = events.recv().await {
        if let Some(files) = &files {
            files.note(&event);
        }
        // A certificate that was made a moment ago must not be judged by the time at which
        // something was last told of another.
        if brings_certificates(&event)
            && arrivals.send(Event::Now(seconds_now()).into()).await.is_err()
        {
            break;
        }
        if arrivals.send(event.into()).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn brings_certificates(event: &Event) -> bool {
    match event {
        Event::Pem(_, state) => state.is_some(),
        Event::Put(statement) => !statement.secrets.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Kind, Origin};

    fn key(name: &str) -> Arc<ObjectKey> {
        let origin = Origin::Resource;
        let namespace = "default".into();
        Arc::new(ObjectKey { kind: Kind::Mapping, namespace, name: name.into(), origin })
    }

    #[test]
    fn objects_are_found_in_the_file_that_holds_them_last() {
        let mut index = Index::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a.yaml".into(), "b.yaml".into());
        index.put(&a, vec![key("x"), key("y")]);
        index.put(&b, vec![key("y")]);
        index.put(&a, vec![key("x")]);
        assert_eq!(index.files.get(&key("x")), Some(&a));
        assert_eq!(index.files.get(&key("y")), Some(&b), "it moved");
        index.put(&a, vec![]);
        index.put(&b, vec![]);
        assert!(index.files.is_empty() && index.objects.is_empty());
    }
}
