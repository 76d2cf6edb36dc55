//! `nuncio serve`: a gateway on files, without a cluster.

use std::path::PathBuf;

use super::{CliError, Context, OK};
use crate::app::{self, Source};
use crate::settings::Flags;

/// Serve what stands in files, and follow their changes.
///
/// Reads every .yaml, .yml and .json file below the directories: Mappings, Services with
/// getambassador.io/config annotations, Ingresses, EndpointSlices. Other kinds are passed over.
/// A changed file is served at once; what was found of each object goes to the log and to
/// /ambassador/v0/diag/ on the admin port.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio serve examples/demo
  nuncio serve manifests/ --http-port 9080 --admin-port 9877 --workers 2
  nuncio serve manifests/ --resolve backend.test:80=127.0.0.1:9000")]
pub(super) struct Arguments {
    /// Directories of manifests
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn execute(arguments: Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let settings = context.settings(&arguments.flags)?;
    if let Some(missing) = arguments.directories.iter().find(|path| !path.exists()) {
        return Err(CliError::Usage(format!("{} does not exist", missing.display())));
    }
    app::run(settings, Source::Files(arguments.directories))?;
    Ok(OK)
}
