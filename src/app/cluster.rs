//! Finds the cluster: the kubeconfig, or the pod's service account.

use kube::config::{InferConfigError, KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};

use crate::settings::Environment;
use crate::source::kubernetes;

/// Why there is no cluster to ask. None of this heals by waiting.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCluster {
    #[error("the file of KUBECONFIG={path:?} can't be used: {error}")]
    Named { path: String, error: String },
    #[error(
        "the pod's service account can't be read: {0}; does the pod set automountServiceAccountToken: false?"
    )]
    Pod(String),
    #[error("no cluster is configured: run in a pod, or set KUBECONFIG to a file ({0})")]
    None(String),
    #[error("the cluster's configuration can't be used: {0}")]
    Client(String),
}

/// A client of the configured cluster. Doesn't ask it anything yet.
pub(super) async fn connect(environment: &Environment) -> Result<Client, NoCluster> {
    let config = configuration(environment).await?;
    let server = config.cluster_url.to_string();
    let client = kubernetes::client(config)
        .map_err(|error| NoCluster::Client(kubernetes::explain(&error)))?;
    tracing::info!(server, "asking the API server");
    Ok(client)
}

/// A file that is named must be right: another cluster instead would be a surprise.
async fn configuration(environment: &Environment) -> Result<Config, NoCluster> {
    let is_set = |name| environment.get(name).filter(|value: &&String| !value.is_empty());
    if let Some(path) = is_set("KUBECONFIG") {
        let config = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
        return config
            .map_err(|error| NoCluster::Named { path: path.clone(), error: explain_file(&error) });
    }
    Config::infer()
        .await
        .map_err(|error| explain_none(&error, is_set("KUBERNETES_SERVICE_HOST").is_some()))
}

fn explain_none(error: &InferConfigError, in_pod: bool) -> NoCluster {
    // Its parts are private; its text has both, and its cause is the kubeconfig's.
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if !in_pod {
        return NoCluster::None(first_line(&cause));
    }
    let text = error.to_string();
    let part =
        text.split("in-cluster: (").nth(1).and_then(|rest| rest.split("), kubeconfig").next());
    NoCluster::Pod(first_line(part.unwrap_or(&text)))
}

/// The innermost cause says enough, now that the file is named.
fn explain_file(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::CurrentContextNotSet => "it names no current-context".to_owned(),
        other => first_line(&other.to_string()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
