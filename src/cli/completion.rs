//! `nuncio completion`: completions for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, CliError, Context, OK};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  source <(nuncio completion bash)
  nuncio completion zsh > ~/.zfunc/_nuncio
  nuncio completion fish > ~/.config/fish/completions/nuncio.fish")]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "nuncio", &mut script);
    context.out.write_all(&script)?;
    Ok(OK)
}
