//! What is to be done for a definition. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::convert::Version;

/// What a definition says of storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// The version that objects are written in.
    pub(super) storage: String,
    /// The versions that objects were ever written in.
    pub(super) versions: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// Everything is held in v3alpha1.
    Nothing,
    /// It stores another version, so that moving would be in vain.
    StoresOther(String),
    /// Every object is to be written back in this version.
    Move { version: String },
}

impl Stored {
    /// Reads a definition.
    pub(super) fn read(definition: &CustomResourceDefinition) -> Self {
        let stored = definition.spec.versions.iter().find(|version| version.storage);
        let status = definition.status.as_ref();
        Self {
            storage: stored.map(|version| version.name.clone()).unwrap_or_default(),
            versions: status.and_then(|it| it.stored_versions.clone()).unwrap_or_default(),
        }
    }
}

/// The task for a definition.
pub(super) fn plan(stored: &Stored) -> Task {
    if stored.storage != Version::V3Alpha1.name() {
        return Task::StoresOther(stored.storage.clone());
    }
    if stored.versions.iter().all(|version| *version == stored.storage) {
        return Task::Nothing;
    }
    Task::Move { version: stored.storage.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_versions_on_the_list_make_work() {
        let stored = |storage: &str, versions: &[&str]| Stored {
            storage: storage.to_owned(),
            versions: versions.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert_eq!(plan(&stored("v3alpha1", &["v3alpha1"])), Task::Nothing);
        assert_eq!(plan(&stored("v3alpha1", &[])), Task::Nothing);
        let version = "v3alpha1".to_owned();
        assert_eq!(plan(&stored("v3alpha1", &["v2", "v3alpha1"])), Task::Move { version });
        assert_eq!(plan(&stored("v2", &["v2"])), Task::StoresOther("v2".into()));
    }
}
