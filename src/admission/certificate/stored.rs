//! The Secret that holds the certificate, and the webhook configuration and definitions that say
//! whom the API server trusts: what counts of each, and how it is written.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pair::{Pair, PairError};

/// Names of Kubernetes' own for a certificate and its key; cert-manager writes these too.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Who has signed it, where cert-manager wrote it.
const AUTHORITY: &str = "ca.crt";
/// The pair that comes next, until the API server trusts it.
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
/// The certificate before, while a replica may still serve it.
const OLD_CERTIFICATE: &str = "old.crt";

/// What the Secret holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// Its `resourceVersion`: who replaces it must have seen it.
    pub(super) version: String,
    /// The pair to serve.
    pub(super) current: Current,
    /// The pair that comes next.
    pub(super) next: Option<Result<Pair, PairError>>,
    /// The certificate before, as PEM.
    pub(super) old: Option<String>,
    /// Who has signed the current one, as PEM.
    pub(super) authority: Option<Vec<u8>>,
}

/// The pair to serve, as far as there is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Current {
    /// Nothing yet: the Secret was made to be filled.
    Empty,
    /// Something that is no pair.
    Broken(PairError),
    /// A pair.
    Pair(Pair),
}

impl Stored {
    /// Reads a Secret as it was seen. Nothing that it may hold makes this fail.
    pub(super) fn read(secret: &Secret) -> Self {
        let data = secret.data.as_ref();
        let bytes = |name: &str| data.and_then(|data| data.get(name)).map(|bytes| &bytes.0[..]);
        let pair = |certificate, key| match (bytes(certificate), bytes(key)) {
            (None, None) => None,
            (certificate, key) => {
                Some(Pair::parse(certificate.unwrap_or_default(), key.unwrap_or_default()))
            }
        };
        Self {
            version: secret.metadata.resource_version.clone().unwrap_or_default(),
            current: match pair(CERTIFICATE, KEY) {
                None => Current::Empty,
                Some(Ok(pair)) => Current::Pair(pair),
                Some(Err(error)) => Current::Broken(error),
            },
            next: pair(NEXT_CERTIFICATE, NEXT_KEY),
            old: bytes(OLD_CERTIFICATE).map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            authority: bytes(AUTHORITY).map(<[u8]>::to_vec),
        }
    }
}

/// The pairs that a Secret is to hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content<'a> {
    /// The pair to serve.
    pub(super) current: &'a Pair,
    /// The pair that comes next.
    pub(super) next: Option<&'a Pair>,
    /// The certificate before, as PEM.
    pub(super) old: Option<&'a str>,
}

impl Content<'_> {
    /// The Secret with this content; its metadata stays what others made it.
    pub(super) fn write(&self, mut secret: Secret) -> Secret {
        let mut data = BTreeMap::new();
        let mut put = |name: &str, text: &str| {
            data.insert(name.to_owned(), ByteString(text.as_bytes().to_vec()));
        };
        put(CERTIFICATE, &self.current.certificate);
        put(KEY, self.current.key.expose());
        if let Some(next) = self.next {
            put(NEXT_CERTIFICATE, &next.certificate);
            put(NEXT_KEY, next.key.expose());
        }
        if let Some(old) = self.old {
            put(OLD_CERTIFICATE, old);
        }
        secret.data = Some(data);
        secret.string_data = None;
        secret
    }
}

/// Whom the API server trusts, as far as it calls us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trusted {
    /// The `resourceVersion` of the ValidatingWebhookConfiguration.
    version: String,
    /// Its webhooks by name, each with its `caBundle`.
    webhooks: Vec<(String, Vec<u8>)>,
    /// The definitions whose objects we convert.
    definitions: Vec<TrustingDefinition>,
}

/// A definition whose objects we convert.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TrustingDefinition {
    name: String,
    /// Its `resourceVersion`.
    version: String,
    bundle: Vec<u8>,
}

/// What is read of a CustomResourceDefinition: its schemas are large.
#[derive(Debug, Clone, Serialize, Deserialize, kube::Resource)]
#[resource(inherit = CustomResourceDefinition)]
pub(super) struct Definition {
    metadata: ObjectMeta,
    spec: DefinitionSpec,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct DefinitionSpec {
    #[serde(default)]
    conversion: Option<CustomResourceConversion>,
}

impl Definition {
    /// How it stands, if it has its objects converted by this Service.
    fn trusting(&self, service: (&str, &str)) -> Option<TrustingDefinition> {
        let webhook = self.spec.conversion.as_ref()?.webhook.as_ref()?;
        let client = webhook.client_config.as_ref()?;
        let named = client.service.as_ref()?;
        ((named.namespace.as_str(), named.name.as_str()) == service).then(|| TrustingDefinition {
            name: self.metadata.name.clone().unwrap_or_default(),
            version: self.metadata.resource_version.clone().unwrap_or_default(),
            bundle: client.ca_bundle.clone().unwrap_or_default().0,
        })
    }
}

impl Trusted {
    /// Reads a configuration as it was seen.
    pub(super) fn read(configuration: &ValidatingWebhookConfiguration) -> Self {
        let webhooks = configuration.webhooks.iter().flatten();
        Self {
            version: configuration.metadata.resource_version.clone().unwrap_or_default(),
            webhooks: webhooks
                .map(|webhook| {
                    let bundle = webhook.client_config.ca_bundle.clone();
                    (webhook.name.clone(), bundle.unwrap_or_default().0)
                })
                .collect(),
            definitions: Vec::new(),
        }
    }

    /// As [`Trusted::read`], with those of the definitions that name the Service (namespace and
    /// name); `None` where nothing calls us.
    pub(super) fn read_all<'a>(
        configuration: Option<&ValidatingWebhookConfiguration>,
        definitions: impl Iterator<Item = &'a Definition>,
        service: (&str, &str),
    ) -> Option<Self> {
        let mut trusted = configuration.map(Self::read);
        let definitions: Vec<_> = definitions.filter_map(|it| it.trusting(service)).collect();
        if !definitions.is_empty() {
            trusted.get_or_insert_default().definitions = definitions;
        }
        trusted
    }

    /// Whether all that calls us trusts exactly this.
    pub(super) fn is(&self, bundle: &str) -> bool {
        self.is_in_configuration(bundle)
            && self.definitions.iter().all(|definition| definition.bundle == bundle.as_bytes())
    }

    /// Whether every webhook of the configuration trusts exactly this.
    pub(super) fn is_in_configuration(&self, bundle: &str) -> bool {
        self.webhooks.iter().all(|(_, trusted)| trusted == bundle.as_bytes())
    }

    /// The patch, for server-side apply, that makes every webhook trust exactly this. It names the
    /// version that was seen: a configuration that is gone isn't made anew.
    pub(super) fn patch(&self, name: &str, bundle: &str) -> Value {
        let bundle = json!(ByteString(bundle.as_bytes().to_vec()));
        let webhooks = self
            .webhooks
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}));
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name, "resourceVersion": self.version},
            "webhooks": webhooks.collect::<Value>(),
        })
    }

    /// For each definition that trusts something else, its name and the merge patch that makes it
    /// trust exactly this. It names the version that was seen: of one that was turned to another
    /// converter nothing is overwritten.
    pub(super) fn definition_patches(&self, bundle: &str) -> Vec<(String, Value)> {
        let encoded = json!(ByteString(bundle.as_bytes().to_vec()));
        let stale = self.definitions.iter().filter(|it| it.bundle != bundle.as_bytes());
        stale
            .map(|definition| {
                let client = json!({"caBundle": encoded});
                let patch = json!({
                    "metadata": {"resourceVersion": definition.version},
                    "spec": {"conversion": {"webhook": {"clientConfig": client}}},
                });
                (definition.name.clone(), patch)
            })
            .collect()
    }
}
