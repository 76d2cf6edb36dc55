//! `nuncio check`: is what stands in these files right?

use std::path::PathBuf;

use serde_json::{Value, json};

use super::check_text::{self, Summary};
use super::offline::Offline;
use super::{CliError, Context, FAILED, OK, Output};
use crate::admin::diagnostics;
use crate::settings::Flags;

/// Check files, and say what is wrong where.
///
/// Reads what `nuncio serve` would read and gives the verdict on every object. Fails if anything
/// is not served as it was written; fields that have no effect yet are only noted. Certificates are
/// read as the gateway reads them: from Secrets among the files, and from files of this machine that
/// TLSContexts and Hosts name. Whether the Services exist can't be seen from files.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio check manifests/
  nuncio check mapping.yaml service.yaml --output json
  kubectl get mappings,services -A -o yaml | nuncio check -
  nuncio check hosts.yaml tls-secret.yaml

Exit codes: 0 all right, 1 errors were found, 2 the command was used wrongly.")]
pub(super) struct Arguments {
    /// Files or directories; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to print what was found
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let settings = context.settings(&Flags::default())?;
    let offline = Offline::load(&arguments.paths, &settings)
        .map_err(|error| CliError::Usage(format!("{error:#}")))?;
    let summary = Summary::of(&offline.build.reports, offline.others);
    let text = match arguments.output {
        Output::Text => format_text(&offline, &summary, context.terminal),
        Output::Json => format_json(&offline, &summary),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(if summary.with_errors == 0 { OK } else { FAILED })
}

fn format_text(offline: &Offline, summary: &Summary, terminal: bool) -> String {
    let mut out = String::new();
    for report in offline.build.reports.iter() {
        let file = offline.file(&report.object.key);
        out.push_str(&check_text::format_report(report, file, terminal));
    }
    out.push_str(&summary.to_string());
    out
}

fn format_json(offline: &Offline, summary: &Summary) -> String {
    let objects = offline.build.reports.iter().map(|report| {
        let mut object = diagnostics::object(report);
        object["file"] = offline.file(&report.object.key).map(|file| file.path).into();
        object["ok"] = (!check_text::is_wrong(report)).into();
        object
    });
    let page = json!({
        "objects": objects.collect::<Value>(),
        "summary": {
            "objects": summary.objects,
            "with_errors": summary.with_errors,
            "of_other_gateways": summary.others,
        },
    });
    format!("{page:#}\n")
}
