//! `nuncio run`: the gateway of a cluster.

use super::{CliError, Context, OK};
use crate::app::{self, Source};
use crate::settings::Flags;

/// Serve a Kubernetes cluster.
///
/// Watches Mappings, Services with getambassador.io/config annotations, Ingresses and
/// EndpointSlices, serves what they ask for, and writes status. In a pod it uses the pod's
/// service account, elsewhere KUBECONFIG or ~/.kube/config.
///
/// Emissary's environment variables apply: AMBASSADOR_ID, AMBASSADOR_NAMESPACE,
/// AMBASSADOR_SINGLE_NAMESPACE, AMBASSADOR_LABEL_SELECTOR, AMBASSADOR_FIELD_SELECTOR,
/// AMBASSADOR_CLUSTER_ID, AMBASSADOR_DRAIN_TIME, AMBASSADOR_DEBUG, AES_LOG_LEVEL, and those named
/// at the options. Status is always written; AMBASSADOR_UPDATE_MAPPING_STATUS has no effect.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio run
  KUBECONFIG=~/.kube/test AMBASSADOR_ID=edge nuncio run --http-port 9080")]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let settings = context.settings(&arguments.flags)?;
    app::run(settings, Source::Cluster)?;
    Ok(OK)
}
