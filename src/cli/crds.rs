//! `nuncio crds`: the CustomResourceDefinitions.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{CliError, Context, OK};
use crate::crd;

/// Print the CustomResourceDefinitions that the gateway reads.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio crds | kubectl apply --server-side -f -
  nuncio crds --output-dir crds/")]
pub(super) struct Arguments {
    /// Write one file for each kind into this directory instead
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let Some(directory) = &arguments.output_dir else {
        context.out.write_all(crd::yaml().as_bytes())?;
        return Ok(OK);
    };
    fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
    for definition in crd::all() {
        let spec = &definition.spec;
        let path = directory.join(format!("{}_{}.yaml", spec.group, spec.names.plural));
        fs::write(&path, crd::document(&definition))
            .with_context(|| format!("can't write {}", path.display()))?;
        writeln!(context.out, "{}", path.display())?;
    }
    Ok(OK)
}
