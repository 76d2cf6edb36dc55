//! `nuncio demo`: a gateway with built-in upstreams and two manifests, to try things on.

mod upstreams;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{CliError, Context, OK};
use crate::app::{self, Source};
use crate::proxy::StaticName;
use crate::settings::{Flags, Settings};
use upstreams::Upstreams;

/// Where the manifests stand in the repository.
const DIRECTORY: &str = "examples/demo";
/// The manifests, for those who start elsewhere.
const MANIFESTS: [(&str, &str); 2] = [
    ("httpbin.yaml", include_str!("../../../examples/demo/httpbin.yaml")),
    ("tfserving.yaml", include_str!("../../../examples/demo/tfserving.yaml")),
];
/// A demonstration is nobody else's business.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Start a gateway with two small upstreams and two manifests, to try things on.
///
/// Serves examples/demo, or a copy of it in the folder for temporary files where there is none.
/// httpbin.org:80 and test.kubeflow:8000 are played by the program itself: nothing leaves this
/// machine. Prints what to try.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  nuncio demo
  nuncio demo --http-port 9080 --admin-port 9877")]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn execute(arguments: &Arguments, context: &mut Context<'_>) -> Result<u8, CliError> {
    let mut flags = arguments.flags.clone();
    flags.listen_address.get_or_insert(LOCALHOST);
    flags.admin_address.get_or_insert(LOCALHOST);
    // Nobody sends requests on behalf of others here: Ctrl-C ends at once.
    flags.drain_delay.get_or_insert(0);
    let upstreams = Upstreams::start().context("the upstreams can't be started")?;
    flags.resolve.extend([
        static_name("httpbin.org", 80, upstreams.echo),
        static_name("test.kubeflow", 8000, upstreams.model),
    ]);
    let settings = context.settings(&flags)?;
    let directory = find_or_write(Path::new(DIRECTORY), &std::env::temp_dir())?;
    context.out.write_all(format_welcome(&settings, &directory).as_bytes())?;
    context.out.flush()?;
    app::run(settings, Source::Files(vec![directory]))?;
    Ok(OK)
}

fn static_name(host: &str, port: u16, address: SocketAddr) -> StaticName {
    StaticName { host: host.into(), port, address }
}

/// The manifests' directory, or a copy of it below `temporary`. A copy that is there already
/// keeps what was edited in it.
fn find_or_write(directory: &Path, temporary: &Path) -> anyhow::Result<PathBuf> {
    if directory.is_dir() {
        return Ok(directory.to_owned());
    }
    let copy = temporary.join("nuncio-demo");
    fs::create_dir_all(&copy).with_context(|| format!("can't make {}", copy.display()))?;
    for (name, text) in MANIFESTS {
        let path = copy.join(name);
        if !path.exists() {
            fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        }
    }
    Ok(copy)
}

/// What to try.
fn format_welcome(settings: &Settings, directory: &Path) -> String {
    let client = SocketAddr::new(reachable(settings.listen_address), settings.http_port);
    let admin = SocketAddr::new(reachable(settings.admin.ip()), settings.admin.port());
    let httpbin = directory.join(MANIFESTS[0].0);
    let mut out = format!("Serving {} on http://{client}\n", directory.display());
    let mut line = |text: &str| writeln!(out, "{text}").expect("writing to a String can't fail");
    if directory != Path::new(DIRECTORY) {
        line(&format!("(a copy: there is no {DIRECTORY} in this directory)"));
    }
    line("\nTry:");
    line(&format!("  curl http://{client}/httpbin/headers"));
    line(&format!(
        "  curl -X POST -d '{{\"instances\": [1.0, 2.0, 5.0]}}' http://{client}/models/test/"
    ));
    line(&format!("  curl http://{client}/models/test/         (404: the route takes POST only)"));
    line(&format!("  curl http://{admin}/ambassador/v0/check_ready"));
    line(&format!("  curl 'http://{admin}/ambassador/v0/diag/?json=true'"));
    line(&format!("  nuncio explain --admin http://{admin} GET http://{client}/httpbin/headers"));
    line(&format!(
        "\nThen change `prefix: /httpbin/` in {} to `prefix: /bin/`,\nand ask for /bin/headers: it is served as soon as the file is saved.\n",
        httpbin.display()
    ));
    out
}

/// The address that a client on this machine uses.
fn reachable(address: IpAddr) -> IpAddr {
    if address.is_unspecified() { LOCALHOST } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_manifests_are_used_or_copied_and_edits_are_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let here = temporary.path().join("examples/demo");
        let copy = find_or_write(&here, temporary.path()).unwrap();
        assert_eq!(copy, temporary.path().join("nuncio-demo"));
        fs::write(copy.join("httpbin.yaml"), "edited").unwrap();
        find_or_write(&here, temporary.path()).unwrap();
        assert_eq!(fs::read_to_string(copy.join("httpbin.yaml")).unwrap(), "edited");
        let other = fs::read_to_string(copy.join("tfserving.yaml")).unwrap();
        assert!(other.contains("/model/test/:predict"));

        fs::create_dir_all(&here).unwrap();
        assert_eq!(find_or_write(&here, temporary.path()).unwrap(), here);
    }

    #[test]
    fn the_welcome_names_what_listens() {
        let flags = Flags { http_port: Some(9080), ..Flags::default() };
        let settings = Settings::parse(&flags, Default::default(), 1).unwrap();
        let text = format_welcome(&settings, Path::new(DIRECTORY));
        assert!(text.contains("curl http://127.0.0.1:9080/httpbin/headers"), "{text}");
        assert!(text.contains("http://127.0.0.1:8877/ambassador/v0/check_ready"), "{text}");
        assert!(text.contains("examples/demo/httpbin.yaml") && !text.contains("a copy"), "{text}");
    }
}
