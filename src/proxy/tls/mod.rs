//! TLS towards clients: the only place of the proxy that knows rustls' server side.
//!
//! ```text
//! ClientHello ─► server name ─► Termination ─► ServerConfig (one for all workers) ─► stream
//! ```

mod client;
mod config;
mod configs;
mod handshake;
mod session;
mod subject;

pub(crate) use client::forward_client_certificate;
pub(crate) use configs::{Speaks, TlsConfigs};
pub(crate) use handshake::{Greeting, TlsStream, accept, greet, refuse};
pub(crate) use session::Session;
