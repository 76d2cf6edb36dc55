//! `nuncio ready`: do gateways take requests?

use http::Uri;

use super::fetch::fetch;
use super::{CliError, Context, FAILED, OK};

/// Where both the admin port and the port for requests tell.
const PATH: &str = "/ambassador/v0/check_ready";
/// That of plaintext HTTP, as everywhere.
const DEFAULT_PORT: u16 = 80;

/// Ask gateways whether they are ready.
///
/// Takes the address of an admin port, or of a port for requests. Exits with 1 where one isn't
/// ready or doesn't answer. `helm test` runs it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio ready
  nuncio ready http://nuncio.nuncio http://nuncio-admin.nuncio:8877")]
pub(super) struct Arguments {
    /// Whom to ask, as http://HOST:PORT
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8877")]
    gateways: Vec<Uri>,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let mut code = OK;
    for gateway in &arguments.gateways {
        let answer = match fetch(gateway, DEFAULT_PORT, PATH) {
            Ok((status, _)) if status.is_success() => "ready".to_owned(),
            Ok((status, body)) => {
                code = FAILED;
                format!("not ready: {status} {}", String::from_utf8_lossy(&body).trim())
            }
            Err(error) => {
                code = FAILED;
                format!("not ready: {error:#}")
            }
        };
        writeln!(context.out, "{gateway} {answer}")?;
    }
    Ok(code)
}
