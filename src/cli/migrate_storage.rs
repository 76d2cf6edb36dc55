//! `nuncio migrate-storage`: what is stored in an older version is stored in v3alpha1.

use anyhow::Context as _;

use super::{CliError, Context, FAILED, OK};
use crate::app;
use crate::convert::ConvertedKind;
use crate::migrate::{Outcome, migrate};

/// Store all resources as getambassador.io/v3alpha1.
///
/// Emissary stores v2. Once the definitions store v3alpha1 (chart nuncio-crds with
/// enableLegacyVersions), this writes every resource back as it is, so that the API server stores
/// it anew, and then takes the older versions off the definitions' lists of stored versions. After
/// that, enableLegacyVersions can be turned off.
///
/// It changes no resource and may be run again at any time. It asks the cluster of KUBECONFIG, and
/// needs the rights to update these resources and the status of definitions.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio migrate-storage --dry-run
  nuncio migrate-storage")]
pub(super) struct Arguments {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start")?;
    let client = runtime.block_on(app::connect(&context.environment))?;
    let mut code = OK;
    for kind in ConvertedKind::ALL {
        let outcome = runtime.block_on(migrate(&client, kind, arguments.dry_run));
        let text = match &outcome {
            Ok(outcome) => text_of(outcome),
            Err(error) => Some(format!("failed: {error}")),
        };
        if matches!(outcome, Err(_) | Ok(Outcome::Failed { .. } | Outcome::StoresOther(_))) {
            code = FAILED;
        }
        if let Some(text) = text {
            writeln!(context.out, "{}: {text}", kind.plural)?;
        }
    }
    Ok(code)
}

/// What to say of a kind; nothing where the cluster hasn't got it.
fn text_of(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::NoDefinition => return None,
        Outcome::Done => "stored as v3alpha1".to_owned(),
        Outcome::StoresOther(version) => format!(
            "the definition stores {version}; install the chart nuncio-crds with \
             enableLegacyVersions first"
        ),
        Outcome::Planned { objects, versions } => {
            format!("{objects} to write back, stored as {}", versions.join(" or "))
        }
        Outcome::Moved { objects, dropped } => {
            format!("{objects} written back; no longer stored: {}", dropped.join(", "))
        }
        Outcome::Failed { objects, failures, count } => {
            let named = failures.join("\n  ");
            let others = match count.saturating_sub(failures.len()) {
                0 => String::new(),
                others => format!("\n  and {others} more"),
            };
            format!("{objects} written back, {count} could not be:\n  {named}{others}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named_and_counted() {
        let failures = vec!["shop/a: no".to_owned()];
        let text = text_of(&Outcome::Failed { objects: 3, failures, count: 2 }).unwrap();
        assert_eq!(text, "3 written back, 2 could not be:\n  shop/a: no\n  and 1 more");
        assert_eq!(text_of(&Outcome::NoDefinition), None);
        let dropped = vec!["v1".to_owned(), "v2".to_owned()];
        let text = text_of(&Outcome::Moved { objects: 3, dropped }).unwrap();
        assert_eq!(text, "3 written back; no longer stored: v1, v2");
    }
}
