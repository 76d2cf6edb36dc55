//! The Kubernetes API as a source: collections, listed and watched, each object converted
//! at once into a statement.
//!
//! What happens when the API server is away, refuses, or lacks a definition is in `watch`.

pub(crate) mod bounded;
mod convert;
mod explain;
mod raw;
mod secrets;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use kube::{Api, Client};
use kube_runtime::watcher::Config;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use convert::observed_status;
pub use explain::{explain, explain_watch, permission};
pub use secrets::{SecretOptions, SecretProgress, SecretWatch, run as run_secrets};
pub use state::{CollectionState, SourceState};

use super::observed::ObservedStatuses;
use super::parse::ParseSettings;
use super::{Collection, Event};
use convert::Converter;
use explain::Kind;
use raw::Raw;
use watch::{Scope, Watch};

/// The API server ends a watch after this many seconds, and the watcher leaves one that is silent
/// for five more: the limit for a half-open connection.
const WATCH_SECONDS: u32 = 290;
/// How long a connection to the API server may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Which part of the cluster is watched, and how it is read.
#[derive(Debug, Clone, Default)]
pub struct KubernetesOptions {
    /// The only namespace to watch (`AMBASSADOR_SINGLE_NAMESPACE`); `None` watches all.
    pub single_namespace: Option<String>,
    /// `AMBASSADOR_LABEL_SELECTOR`: only objects with these labels. EndpointSlices have the
    /// labels of their Service.
    pub label_selector: Option<String>,
    /// `AMBASSADOR_FIELD_SELECTOR`: only objects with these fields.
    pub field_selector: Option<String>,
    /// What parsing needs to know.
    pub parse: ParseSettings,
}

/// What the source tells besides its events. Both are handles; clone them for their readers.
#[derive(Debug, Clone, Default)]
pub struct KubernetesHandles {
    /// How each collection is doing.
    pub state: SourceState,
    /// The statuses that stand in the cluster.
    pub observed: ObservedStatuses,
}

/// A watched collection: what it is called, and how many objects to list at a time.
struct Watched {
    collection: Collection,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    resource: &'static str,
    page: u32,
}

const WATCHED: [Watched; 11] = [
    resource(Collection::Mappings, "Mapping", "mappings", "mappings.getambassador.io"),
    resource(Collection::TcpMappings, "TCPMapping", "tcpmappings", "tcpmappings.getambassador.io"),
    resource(Collection::Listeners, "Listener", "listeners", "listeners.getambassador.io"),
    resource(Collection::Hosts, "Host", "hosts", "hosts.getambassador.io"),
    resource(Collection::TlsContexts, "TLSContext", "tlscontexts", "tlscontexts.getambassador.io"),
    resource(Collection::Modules, "Module", "modules", "modules.getambassador.io"),
    resource(
        Collection::KubernetesServiceResolvers,
        "KubernetesServiceResolver",
        "kubernetesserviceresolvers",
        "kubernetesserviceresolvers.getambassador.io",
    ),
    resource(
        Collection::KubernetesEndpointResolvers,
        "KubernetesEndpointResolver",
        "kubernetesendpointresolvers",
        "kubernetesendpointresolvers.getambassador.io",
    ),
    Watched {
        collection: Collection::Services,
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        resource: "services",
        page: 500,
    },
    Watched {
        collection: Collection::Ingresses,
        group: "networking.k8s.io",
        version: "v1",
        kind: "Ingress",
        plural: "ingresses",
        resource: "ingresses.networking.k8s.io",
        page: 500,
    },
    Watched {
        collection: Collection::EndpointSlices,
        group: "discovery.k8s.io",
        version: "v1",
        kind: "EndpointSlice",
        plural: "endpointslices",
        resource: "endpointslices.discovery.k8s.io",
        // Each may hold a thousand addresses.
        page: 100,
    },
];

/// What is listed before anything is served.
pub fn collections() -> impl Iterator<Item = Collection> {
    WATCHED.iter().map(|watched| watched.collection)
}

/// A collection of custom resources of Emissary's.
const fn resource(
    collection: Collection,
    kind: &'static str,
    plural: &'static str,
    resource: &'static str,
) -> Watched {
    let (group, version) = ("getambassador.io", "v3alpha1");
    Watched { collection, group, version, kind, plural, resource, page: 500 }
}

/// Watches our kinds, Services, Ingresses and EndpointSlices and sends what they say, until the
/// receiver of `events` is gone. Errors of the API server never end it.
pub async fn run(
    client: Client,
    options: KubernetesOptions,
    handles: KubernetesHandles,
    events: mpsc::Sender<Event>,
) {
    let settings = Arc::new(options.parse.clone());
    let mut tasks = JoinSet::new();
    for watched in &WATCHED {
        let converter =
            Converter::new(watched.collection, Arc::clone(&settings), handles.observed.clone());
        let watch = Watch {
            api: api(&client, &options, watched),
            config: config(&options, watched),
            collection: watched.collection,
            kind: Kind { group: watched.group, version: watched.version, plural: watched.plural },
            resource: watched.resource,
            scope: Scope(options.single_namespace.clone()),
            state: handles.state.clone(),
            events: events.clone(),
        };
        tasks.spawn(watch.run(converter));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a watch ended by a defect; its collection is no longer followed");
        }
    }
}

/// A client whose requests and watches can't hang on a connection that is half open.
///
/// # Errors
/// If the configuration of TLS or authentication can't be used.
pub fn client(mut config: kube::Config) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT_DEADLINE);
    // Longer than a watch lasts, so that it never ends a healthy one.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH_SECONDS) + 10));
    config.reset_reader_on_write = true;
    Client::try_from(config)
}

fn api(client: &Client, options: &KubernetesOptions, watched: &Watched) -> Api<Raw> {
    let api_version = match watched.group {
        "" => watched.version.to_owned(),
        group => format!("{group}/{}", watched.version),
    };
    let resource = ApiResource {
        group: watched.group.to_owned(),
        version: watched.version.to_owned(),
        api_version,
        kind: watched.kind.to_owned(),
        plural: watched.plural.to_owned(),
    };
    match &options.single_namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn config(options: &KubernetesOptions, watched: &Watched) -> Config {
    Config {
        label_selector: options.label_selector.clone(),
        field_selector: options.field_selector.clone(),
        timeout: Some(WATCH_SECONDS),
        page_size: Some(watched.page),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests;
