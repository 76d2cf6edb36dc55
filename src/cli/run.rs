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
///
/// NUNCIO_ADMISSION_SERVICE, the name of a Service in its own namespace, turns on the admission
/// webhook that answers behind it, on NUNCIO_ADMISSION_PORT (8444).
/// NUNCIO_ADMISSION_SECRET names the Secret of its certificate, NUNCIO_ADMISSION_WEBHOOK the
/// ValidatingWebhookConfiguration. NUNCIO_ADMISSION_CERTIFICATE=external leaves both to others, such
/// as cert-manager. NUNCIO_ADMISSION_ANNOTATIONS is Warn or Deny.
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
