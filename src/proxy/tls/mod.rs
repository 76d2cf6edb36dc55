//! TLS towards clients: the only place of the proxy that knows rustls' server side. What objects ask
//! of TLS means the same towards upstreams.
//!
//! ```text
//! ClientHello ─► server name ─► Termination ─► ServerConfig (one for all workers) ─► stream
//! ```

mod client;
mod config;
mod configs;
mod handshake;
mod parameters;
mod session;
mod subject;

pub(crate) use client::forward_client_certificate;
pub(crate) use configs::{Speaks, TlsConfigs};
pub(crate) use handshake::{Greeting, TlsStream, accept, greet, refuse};
pub(crate) use parameters::{build_provider, build_versions};
pub(crate) use session::Session;
