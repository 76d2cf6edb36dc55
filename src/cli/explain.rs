//! `nuncio explain`: which route answers a request, why, and with which values.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::fetch::fetch;
use super::offline::Offline;
use super::{CliError, Context, FAILED, OK, Output, explain_text};
use crate::admin::explain::{Explanation, Question, Served, explain};
use crate::admin::seconds_now;
use crate::admin::values::Process;
use crate::routing::RouteTable;
use crate::settings::Flags;

/// Where the admin port is, unless its URL says.
const ADMIN_PORT: u16 = 8877;

/// Say which route answers a request, which ones it beat by what rule, what is sent upstream, and
/// where each value comes from that has a say in it.
///
/// Asks files (--config) or a running gateway (--admin); nothing is sent upstream. A URL without
/// a host asks for localhost; without a method it is GET. tls://NAME:PORT and tcp://HOST:PORT ask
/// who takes a connection. Exits with 1 where no route answers.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "nuncio explain [OPTIONS] [METHOD] <URL>",
    after_long_help = "\
Examples:
  nuncio explain --config examples/demo GET http://localhost/httpbin/headers
  nuncio explain --config manifests/ POST https://example.com/api -H 'x-user: ada' --all
  nuncio explain --config manifests/ tls://db.example.com:6379
  kubectl port-forward deploy/nuncio 8877 &
  nuncio explain --admin http://127.0.0.1:8877 GET http://example.com/"
)]
pub(super) struct Arguments {
    /// The request's method, and its URL or a path alone
    #[arg(required = true, num_args = 1..=2, value_name = "REQUEST")]
    request: Vec<String>,
    /// A header of the request; repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Ask files or directories; repeatable
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    config: Vec<PathBuf>,
    /// Ask the admin port of a running gateway [default: http://127.0.0.1:8877]
    #[arg(long, value_name = "URL")]
    admin: Option<Uri>,
    /// Show the defaults as well, and not only what somebody wrote; JSON always has them
    #[arg(long)]
    all: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let (method, url) = arguments.request();
    let question = Question::parse(method, url, &arguments.headers)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let explanation = if arguments.config.is_empty() {
        ask(arguments)?
    } else {
        let settings = context.settings(&Flags::default())?;
        let offline = Offline::load(&arguments.config, &settings)
            .map_err(|error| CliError::Usage(format!("{error:#}")))?;
        let table = RouteTable::compile(&offline.build.config, &RouteTable::default());
        let process = Process { verify_upstreams: settings.verify_upstreams };
        let served = Served { table: &table, build: &offline.build, process, now: seconds_now() };
        explain(&served, &question)
    };
    let text = match arguments.output {
        Output::Text => explain_text::format(&explanation, arguments.all),
        Output::Json => {
            let json = serde_json::to_string_pretty(&explanation);
            json.context("the answer can't be written as JSON")? + "\n"
        }
    };
    context.out.write_all(text.as_bytes())?;
    Ok(if explanation.answers.is_empty() { FAILED } else { OK })
}

impl Arguments {
    /// Method and URL.
    fn request(&self) -> (&str, &str) {
        match self.request.as_slice() {
            [method, url, ..] => (method, url),
            [url] => ("GET", url),
            [] => ("GET", ""),
        }
    }
}

/// Asks a running gateway.
fn ask(arguments: &Arguments) -> anyhow::Result<Explanation> {
    let default = Uri::from_static("http://127.0.0.1:8877");
    let admin = arguments.admin.as_ref().unwrap_or(&default);
    let (status, body) = fetch(admin, ADMIN_PORT, &request_path(arguments))?;
    if !status.is_success() {
        bail!("the admin port answered {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    serde_json::from_slice(&body).context("the admin port's answer is no explanation")
}

/// Path and query of the question.
fn request_path(arguments: &Arguments) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let headers: String =
        arguments.headers.iter().map(|header| format!("&header={}", encode(header))).collect();
    let (method, url) = arguments.request();
    format!("/ambassador/v0/diag/explain?method={}&url={}{headers}", encode(method), encode(url))
}
