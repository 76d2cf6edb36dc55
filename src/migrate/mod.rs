//! Moves what the cluster holds in an older version to the one that its definition stores now.
//!
//! The API server writes an object in the stored version each time that somebody writes it, and
//! keeps a list of the versions that it ever wrote (`status.storedVersions`). A version on that
//! list can't be taken out of the definition. So each object is read and written back as it is,
//! and then the list is cut.
//!
//! It may be ended and begun again at any moment. Who writes an object in between has done its
//! part of the work.

mod plan;

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use self::plan::{Stored, Task, plan};
use crate::convert::ConvertedKind;

/// Objects are listed so many at a time.
const PAGE: u32 = 250;
/// How long one request may take: conversion by a webhook takes up to 30 s.
const DEADLINE: Duration = Duration::from_secs(60);
/// Owns nothing: what is written back is what was read.
const FIELD_MANAGER: &str = "nuncio-migrate-storage";
/// So many failures of one kind are named.
const NAMED: usize = 5;

/// What became of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The cluster has no such definition.
    NoDefinition,
    /// Nothing is held in another version.
    Done,
    /// The definition doesn't store v3alpha1.
    StoresOther(String),
    /// It would be moved (a dry run): objects, and the versions that are on the list.
    Planned {
        /// How many objects there are.
        objects: usize,
        /// The versions that were ever stored.
        versions: Vec<String>,
    },
    /// All is held in the stored version.
    Moved {
        /// How many objects were written back.
        objects: usize,
        /// The versions that aren't stored any more.
        dropped: Vec<String>,
    },
    /// Some objects couldn't be written; the list stays.
    Failed {
        /// How many objects were written back.
        objects: usize,
        /// The first failures, each with the object's name.
        failures: Vec<String>,
        /// How many there are.
        count: usize,
    },
}

/// Why a kind couldn't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The API server didn't answer in time.
    #[error("the API server doesn't answer")]
    Timeout,
    /// It refused.
    #[error("{0}")]
    Api(#[from] kube::Error),
    /// While objects were written back, somebody changed what the definition stores.
    #[error("the definition was changed meanwhile; run it again")]
    Changed,
}

/// Moves all objects of a kind.
///
/// # Errors
/// If the definition or the list of objects can't be read, or the definition's status not be
/// written. What was moved by then stays moved.
pub async fn migrate(
    client: &Client,
    kind: &ConvertedKind,
    dry_run: bool,
) -> Result<Outcome, MigrateError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let Some(definition) = timed(definitions.get_opt(&kind.definition())).await? else {
        return Ok(Outcome::NoDefinition);
    };
    let stored = Stored::read(&definition);
    let version = match plan(&stored) {
        Task::Nothing => return Ok(Outcome::Done),
        Task::StoresOther(version) => return Ok(Outcome::StoresOther(version)),
        Task::Move { version } => version,
    };
    let resource = ApiResource {
        group: definition.spec.group.clone(),
        version: version.clone(),
        api_version: format!("{}/{version}", definition.spec.group),
        kind: kind.name.to_owned(),
        plural: kind.plural.to_owned(),
    };
    let tally = write_back(client, &resource, dry_run).await?;
    if dry_run {
        return Ok(Outcome::Planned { objects: tally.objects, versions: stored.versions });
    }
    if tally.count > 0 {
        let Tally { objects, failures, count } = tally;
        return Ok(Outcome::Failed { objects, failures, count });
    }
    cut_list(&definitions, kind, &stored).await?;
    let dropped = stored.versions.into_iter().filter(|it| *it != version).collect();
    Ok(Outcome::Moved { objects: tally.objects, dropped })
}

/// How far the objects of a kind came.
#[derive(Debug, Default)]
struct Tally {
    objects: usize,
    failures: Vec<String>,
    count: usize,
}

/// Writes every object back as it is; in a dry run only counts them.
async fn write_back(
    client: &Client,
    resource: &ApiResource,
    dry_run: bool,
) -> Result<Tally, MigrateError> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let mut tally = Tally::default();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = timed(all.list(&page)).await?;
        for object in &list.items {
            tally.objects += 1;
            if !dry_run && let Err(error) = write_one(client, resource, object).await {
                tally.objects -= 1;
                tally.count += 1;
                if tally.failures.len() < NAMED {
                    tally.failures.push(format!("{}: {error}", name_of(object)));
                }
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(tally),
        }
    }
}

async fn write_one(
    client: &Client,
    resource: &ApiResource,
    object: &DynamicObject,
) -> Result<(), MigrateError> {
    let meta = &object.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), dry_run: false };
    let name = meta.name.as_deref().unwrap_or_default();
    match timed(api.replace(name, &params, object)).await {
        // Somebody else has written it, and so in the stored version; or it is gone.
        Err(MigrateError::Api(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

fn name_of(object: &DynamicObject) -> String {
    let meta = &object.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&meta.namespace), part(&meta.name))
}

/// Cuts the list of stored versions, unless the definition stores something else by now.
async fn cut_list(
    definitions: &Api<CustomResourceDefinition>,
    kind: &ConvertedKind,
    seen: &Stored,
) -> Result<(), MigrateError> {
    let now = timed(definitions.get(&kind.definition())).await?;
    if Stored::read(&now) != *seen {
        return Err(MigrateError::Changed);
    }
    let patch = json!({
        "metadata": {"resourceVersion": now.metadata.resource_version},
        "status": {"storedVersions": [seen.storage]},
    });
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let (name, patch) = (kind.definition(), Patch::Merge(patch));
    match timed(definitions.patch_status(&name, &params, &patch)).await {
        Err(MigrateError::Api(kube::Error::Api(status))) if status.code == 409 => {
            Err(MigrateError::Changed)
        }
        other => other.map(|_| ()),
    }
}

async fn timed<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, MigrateError> {
    let answered = tokio::time::timeout(DEADLINE, request).await;
    Ok(answered.map_err(|_| MigrateError::Timeout)??)
}

#[cfg(test)]
mod tests;
