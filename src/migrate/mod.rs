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
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, Resource as _};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use self::plan::{Stored, Task, plan};
use crate::convert::ConvertedKind;

/// Objects are listed so many at a time.
const PAGE: u32 = 250;
/// How long one request may take: conversion by a webhook takes up to 30 s.
const DEADLINE: Duration = Duration::from_secs(60);
/// Owns nothing: what is written back is what was read, and of definitions it gives up what it gets.
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
    /// It answered something else than a list.
    #[error("the list of objects can't be read: {0}")]
    NoList(#[from] serde_json::Error),
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

/// Takes all versions but the stored one out of a definition, and its conversion with them: in one
/// write, so that nothing is ever read in another version without being converted. Returns the
/// names of what was taken out.
///
/// A chart could do it too, but for the `caBundle` in the conversion: that isn't the chart's, and
/// a conversion of nothing else is invalid.
///
/// # Errors
/// If the definition can't be read or written, or a version is still on the list of the stored
/// ones.
pub async fn drop_older(
    client: &Client,
    kind: &ConvertedKind,
) -> Result<Vec<String>, MigrateError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = kind.definition();
    let Some(definition) = timed(definitions.get_opt(&name)).await? else {
        return Ok(Vec::new());
    };
    if !matches!(plan(&Stored::read(&definition)), Task::Nothing) {
        return Err(MigrateError::Changed);
    }
    let (kept, older): (Vec<_>, Vec<_>) =
        definition.spec.versions.iter().cloned().partition(|version| version.storage);
    if older.is_empty() {
        // It may have been ended between the two writes.
        disown(&definitions, &definition).await?;
        return Ok(Vec::new());
    }
    let patch = json!({
        "metadata": {"resourceVersion": definition.metadata.resource_version},
        "spec": {"conversion": {"strategy": "None", "webhook": null}, "versions": kept},
    });
    let written = timed(definitions.patch(&name, &params(), &Patch::Merge(patch))).await;
    disown(&definitions, &unless_changed(written)?).await?;
    Ok(older.into_iter().map(|version| version.name).collect())
}

/// Gives up what a write has made ours: whoever applies the definition next, as Helm 4 does, would
/// be refused for a conflict with somebody who is long gone.
async fn disown(
    definitions: &Api<CustomResourceDefinition>,
    definition: &CustomResourceDefinition,
) -> Result<(), MigrateError> {
    let entries = definition.metadata.managed_fields.as_deref().unwrap_or_default();
    let is_other = |manager: Option<&str>| manager != Some(FIELD_MANAGER);
    let others: Vec<_> =
        entries.iter().filter(|entry| is_other(entry.manager.as_deref())).collect();
    // An empty list would count as none given.
    if others.len() == entries.len() || others.is_empty() {
        return Ok(());
    }
    let version = &definition.metadata.resource_version;
    let patch = json!({"metadata": {"resourceVersion": version, "managedFields": others}});
    let name = definition.metadata.name.as_deref().unwrap_or_default();
    let written = timed(definitions.patch(name, &params(), &Patch::Merge(patch))).await;
    unless_changed(written).map(|_| ())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

/// How far the objects of a kind came.
#[derive(Debug, Default)]
struct Tally {
    objects: usize,
    failures: Vec<String>,
    count: usize,
}

/// A part of a list. Objects are kept as they were written: whatever they say goes back unread.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Box<RawValue>>,
}

/// What is read of an object.
#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    metadata: Names,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    namespace: String,
    name: String,
}

/// Writes every object back as it is; in a dry run only counts them.
async fn write_back(
    client: &Client,
    resource: &ApiResource,
    dry_run: bool,
) -> Result<Tally, MigrateError> {
    let mut tally = Tally::default();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = list(client, resource, &page).await?;
        for object in &list.items {
            tally.objects += 1;
            let Named { metadata } = serde_json::from_str(object.get()).unwrap_or_default();
            if !dry_run && let Err(error) = write_one(client, resource, &metadata, object).await {
                tally.objects -= 1;
                tally.count += 1;
                if tally.failures.len() < NAMED {
                    tally
                        .failures
                        .push(format!("{}/{}: {error}", metadata.namespace, metadata.name));
                }
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(tally),
        }
    }
}

/// The next part of the list. Where writing took so long that the list has changed too much to go
/// on with, the API server offers to go on with the list of now: what came meanwhile is stored as
/// it should be.
async fn list(
    client: &Client,
    resource: &ApiResource,
    page: &ListParams,
) -> Result<Page, MigrateError> {
    let request = Request::new(DynamicObject::url_path(resource, None));
    let send = async |page: &ListParams| {
        let request = request.list(page).map_err(kube::Error::BuildRequest)?;
        timed(client.request_text(request)).await
    };
    let text = match send(page).await {
        Err(MigrateError::Api(kube::Error::Api(status))) if status.code == 410 => {
            let token = status.metadata.as_ref().and_then(|list| list.continue_.clone());
            let Some(token) = token.filter(|token| !token.is_empty()) else {
                return Err(kube::Error::Api(status).into());
            };
            send(&page.clone().continue_token(&token)).await?
        }
        text => text?,
    };
    Ok(serde_json::from_str(&text)?)
}

async fn write_one(
    client: &Client,
    resource: &ApiResource,
    names: &Names,
    object: &RawValue,
) -> Result<(), MigrateError> {
    let path = DynamicObject::url_path(resource, Some(&names.namespace));
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), dry_run: false };
    let request = Request::new(path).replace(&names.name, &params, object.get().into());
    let request = request.map_err(kube::Error::BuildRequest)?;
    match timed(client.request_text(request)).await {
        // Somebody else has written it, and so in the stored version; or it is gone.
        Err(MigrateError::Api(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Ok(())
        }
        other => other.map(|_| ()),
    }
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
    let (name, patch) = (kind.definition(), Patch::Merge(patch));
    let written = timed(definitions.patch_status(&name, &params(), &patch)).await;
    disown(definitions, &unless_changed(written)?).await
}

fn unless_changed<T>(written: Result<T, MigrateError>) -> Result<T, MigrateError> {
    match written {
        Err(MigrateError::Api(kube::Error::Api(status))) if status.code == 409 => {
            Err(MigrateError::Changed)
        }
        other => other,
    }
}

async fn timed<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, MigrateError> {
    let answered = tokio::time::timeout(DEADLINE, request).await;
    Ok(answered.map_err(|_| MigrateError::Timeout)??)
}

#[cfg(test)]
mod tests;
