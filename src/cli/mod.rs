//! The command line: one file a subcommand. Formatting is pure and apart from reading and
//! writing. Exit codes: 0 ok, 1 something is wrong, 2 the command was used wrongly.

mod check;
mod check_text;
mod completion;
mod crds;
mod demo;
mod explain;
mod explain_text;
mod fetch;
mod migrate_storage;
mod offline;
mod ready;
mod run;
mod serve;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Environment, Flags, Settings, SettingsError};

/// Everything was in order.
const OK: u8 = 0;
/// Something is wrong: with what was checked, or with what was tried.
const FAILED: u8 = 1;
/// The command was used wrongly.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  nuncio demo                          a gateway with two upstreams, to try things on
  nuncio serve manifests/              a gateway on files, which follows their changes
  nuncio check manifests/              is what stands in these files right?
  nuncio explain --config manifests/ GET http://example.com/app/
  nuncio crds | kubectl apply -f -     the kinds that the gateway reads
  nuncio run                           the gateway of a cluster

Exit codes: 0 ok, 1 errors were found, 2 the command was used wrongly.";

/// A Kubernetes-native API gateway: Mappings in, requests out.
///
/// Reads Mapping resources and the getambassador.io/config annotations of Services, as
/// Ambassador and Emissary-ingress do, and serves what they ask for.
#[derive(Debug, Parser)]
#[command(name = "nuncio", version, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Check(check::Arguments),
    Explain(explain::Arguments),
    Ready(ready::Arguments),
    Crds(crds::Arguments),
    MigrateStorage(migrate_storage::Arguments),
    Completion(completion::Arguments),
}

/// How to print what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What a command gets besides its arguments.
struct Context<'a> {
    environment: Environment,
    out: &'a mut dyn Write,
    /// Whether `out` is a terminal, so that colours help.
    terminal: bool,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The environment or an argument is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// Nobody reads the output any more.
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl Context<'_> {
    /// The settings, given a command's flags.
    fn settings(&self, flags: &Flags) -> Result<Settings, SettingsError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Settings::parse(flags, self.environment.clone(), cores)
    }
}

/// Runs the command that the arguments name. The first argument is the program.
pub fn main(arguments: impl Iterator<Item = OsString>, environment: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, but not for the caller. If even the message
            // can't be written there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { OK });
        }
    };
    let mut stdout = io::stdout();
    let terminal = stdout.is_terminal() && !environment.contains_key("NO_COLOR");
    let mut context = Context { environment, out: &mut stdout, terminal };
    let code = match execute(cli.command, &mut context) {
        Ok(code) => code,
        // `nuncio check … | head` is no failure.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => OK,
        Err(error) => {
            for line in error.to_string().lines() {
                let _ = writeln!(io::stderr(), "error: {line}");
            }
            if matches!(error, CliError::Usage(_)) { USAGE } else { FAILED }
        }
    };
    ExitCode::from(code)
}

fn execute(command: Command, context: &mut Context<'_>) -> Result<u8, CliError> {
    match command {
        Command::Run(arguments) => run::execute(&arguments, context),
        Command::Serve(arguments) => serve::execute(arguments, context),
        Command::Demo(arguments) => demo::execute(&arguments, context),
        Command::Check(arguments) => check::execute(&arguments, context),
        Command::Explain(arguments) => explain::execute(&arguments, context),
        Command::Ready(arguments) => ready::execute(&arguments, context),
        Command::Crds(arguments) => crds::execute(&arguments, context),
        Command::MigrateStorage(arguments) => migrate_storage::execute(&arguments, context),
        Command::Completion(arguments) => completion::execute(&arguments, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_teaches() {
        for command in Cli::command().get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            assert!(help.contains("nuncio "), "{name} has no example:\n{help}");
            assert!(command.get_about().is_some(), "{name} has no description");
        }
    }

    #[test]
    fn wrong_use_is_told_from_failure() {
        let try_parse = |line: &str| Cli::try_parse_from(line.split(' '));
        for wrong in ["nuncio", "nuncio nope", "nuncio check", "nuncio serve", "nuncio explain"] {
            assert!(try_parse(wrong).is_err_and(|error| error.exit_code() == 2), "{wrong}");
        }
        for right in [
            "nuncio run",
            "nuncio demo --http-port 1",
            "nuncio check - a/",
            "nuncio serve a b --resolve x:80=127.0.0.1:1 --resolve y:80=127.0.0.1:2",
            "nuncio explain --admin http://127.0.0.1:8877 GET /x -H a:b -H c:d",
        ] {
            assert!(try_parse(right).is_ok(), "{right}: {:?}", try_parse(right));
        }
    }
}
