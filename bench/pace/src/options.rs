//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, Value, ValueExt};

const USAGE: &str = "pace --rate N --seconds N [--warm-up N] [--connections N] [--streams N | --new] \
                     [--bytes N] [--host NAME] ADDRESS:PORT PATH";

/// What to ask, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) host: String,
    /// Requests a second.
    pub(crate) rate: f64,
    /// How long requests become due after the warm-up.
    pub(crate) length: Duration,
    /// The same rate before that, which counts nowhere.
    pub(crate) warm_up: Duration,
    /// Connections that are kept; how many there may be at once, where each is new.
    pub(crate) connections: usize,
    pub(crate) form: Form,
    /// What an answer's body must hold, in bytes.
    pub(crate) bytes: usize,
}

/// How requests share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// HTTP/1.1, one request at a time on a connection that is kept.
    Kept,
    /// HTTP/1.1, a connection for each request.
    New,
    /// HTTP/2 without TLS, so many streams at once on a connection.
    Streams(usize),
}

/// What the command line says.
///
/// # Errors
/// Where it isn't as `USAGE` has it.
pub(crate) fn read() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut rate, mut seconds, mut warm_up, mut connections) = (0.0, 0.0, 0.0, 64);
    let (mut form, mut bytes, mut host, mut words) = (Form::Kept, 130, None, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rate") => rate = parser.value()?.parse()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("warm-up") => warm_up = parser.value()?.parse()?,
            Long("connections") => connections = parser.value()?.parse()?,
            Long("streams") => form = Form::Streams(parser.value()?.parse()?),
            Long("new") => form = Form::New,
            Long("bytes") => bytes = parser.value()?.parse()?,
            Long("host") => host = Some(parser.value()?.string()?),
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let [address, path] = &words[..] else { return Err(USAGE.into()) };
    if !(rate > 0.0 && seconds > 0.0 && warm_up >= 0.0) {
        return Err(USAGE.into());
    }
    Ok(Options {
        address: address.parse().map_err(|_| lexopt::Error::from(USAGE))?,
        path: path.clone(),
        host: host.unwrap_or_else(|| address.clone()),
        rate,
        length: Duration::from_secs_f64(seconds),
        warm_up: Duration::from_secs_f64(warm_up),
        connections,
        form,
        bytes,
    })
}
