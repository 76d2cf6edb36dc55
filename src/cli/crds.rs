//! `nuncio crds`: the CustomResourceDefinitions.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{CliError, Context, OK};
use crate::crd;

/// Print the CustomResourceDefinitions that the gateway reads.
///
/// With the flags for older versions they are those of the chart nuncio-crds with the values of
/// the same names.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio crds | kubectl apply --server-side -f -
  nuncio crds --output-dir crds/
  nuncio crds --enable-legacy-versions --conversion-namespace edge")]
pub(super) struct Arguments {
    /// Write one file for each kind into this directory instead
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Serve getambassador.io/v2 too; the API server then has a gateway convert
    #[arg(long)]
    enable_legacy_versions: bool,
    /// Serve getambassador.io/v1 too
    #[arg(long, requires = "enable_legacy_versions")]
    enable_v1: bool,
    /// Namespace of the gateway that converts
    #[arg(
        long,
        value_name = "NAME",
        default_value = "nuncio",
        requires = "enable_legacy_versions"
    )]
    conversion_namespace: String,
    /// Service of its admission webhook
    #[arg(
        long,
        value_name = "NAME",
        default_value = "nuncio-admission",
        requires = "enable_legacy_versions"
    )]
    conversion_service: String,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let mut definitions = crd::all();
    if arguments.enable_legacy_versions {
        let legacy = crd::Legacy {
            namespace: arguments.conversion_namespace.clone(),
            service: arguments.conversion_service.clone(),
            v1: arguments.enable_v1,
        };
        for definition in &mut definitions {
            *definition = crd::with_legacy_versions(definition, &legacy);
        }
    }
    let Some(directory) = &arguments.output_dir else {
        for definition in &definitions {
            context.out.write_all(crd::document(definition).as_bytes())?;
        }
        return Ok(OK);
    };
    fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
    for definition in &definitions {
        let spec = &definition.spec;
        let path = directory.join(format!("{}_{}.yaml", spec.group, spec.names.plural));
        fs::write(&path, crd::document(definition))
            .with_context(|| format!("can't write {}", path.display()))?;
        writeln!(context.out, "{}", path.display())?;
    }
    Ok(OK)
}
