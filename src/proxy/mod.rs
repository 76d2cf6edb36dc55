//! Bytes: listeners, connections, the way of a request to its upstream and back.
//!
//! ```text
//! server ─ listen (which ports are open)
//!    │
//!  worker (one thread, one accept queue a port, one pool) ─ accept (PROXY, TLS) ─┬─ tcp
//!                                                                                │
//!                                                          connection ─ service ─┘
//!                                                                         │
//!     filters: record ► compress ► strict ► forwarded ► admit ► dispatch ─┬─ own answers
//!                                                                         └─ forward ► upstream
//! ```
//!
//! Nothing on a request's path is shared between workers but the published values.

mod accept;
mod access_log;
mod body;
mod choose;
mod coding;
mod connection;
mod connections;
mod cors;
mod dispatch;
mod drain;
mod error;
mod exchange;
mod filters;
mod forward;
mod gather;
mod grpc;
mod io;
mod kept;
mod listen;
mod log_format;
mod mirror;
mod options;
pub mod overload;
mod pieces;
mod policy;
mod port;
mod proxy_protocol;
mod serve;
mod server;
mod service;
mod tcp;
mod timer;
mod tls;
mod tunnel;
mod upgrade;
mod upstream;
mod worker;

pub use crate::telemetry::metrics::Metrics;
pub use filters::grpc_web::{Encoder as GrpcWebEncoder, NotBase64, TextDecoder};
pub use options::{AccessLogFormat, Limits, LogSink, ProxyOptions, ReadyCheck, StaticName};
pub use server::Proxy;
