//! One GET of a gateway, for the commands that ask one.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A gateway on the other end of the world answers sooner.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than ten thousand candidates need.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Asks the gateway at `base` (`http://HOST:PORT`; without a port `default_port`) for `path`, and
/// gives the status and the body. Fails if it doesn't answer within 10 s.
pub(super) fn fetch(
    base: &Uri,
    default_port: u16,
    path: &str,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start")?;
    let asked = async { tokio::time::timeout(TIMEOUT, get(base, default_port, path)).await };
    runtime.block_on(asked).map_err(|_| anyhow!("{base} doesn't answer"))?
}

async fn get(base: &Uri, default_port: u16, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let host = base.host().with_context(|| format!("{base} names no host"))?;
    if base.scheme_str().is_some_and(|scheme| scheme != "http") {
        bail!("{base}: only http is spoken here");
    }
    let port = base.port_u16().unwrap_or(default_port);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((address, port))
        .await
        .with_context(|| format!("can't connect to {host}:{port}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let request = http::Request::get(path)
        .header(http::header::HOST, format!("{host}:{port}"))
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|error| anyhow!(error))?;
    Ok((head.status, body.to_bytes()))
}
