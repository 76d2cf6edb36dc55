//! Bytes: listeners, connections, the way of a request to its upstream and back.
//!
//! ```text
//! server ─ worker (one thread, one accept queue, one pool) ─ connection ─ service
//!                                                                          │
//!     filters: record ► strict ► forwarded ► dispatch ─┬─ the gateway's own answers
//!                                                      └─ forward ► upstream (resolve, pool)
//! ```
//!
//! Nothing on a request's path is shared between workers but the published values.

mod access_log;
mod body;
mod connection;
mod dispatch;
mod drain;
mod error;
mod exchange;
mod filters;
mod forward;
mod grpc;
mod io;
mod kept;
mod log_format;
mod mirror;
mod options;
mod server;
mod service;
mod timer;
mod tunnel;
mod upgrade;
mod upstream;
mod worker;

pub use crate::telemetry::metrics::Metrics;
pub use filters::grpc_web::{Encoder as GrpcWebEncoder, NotBase64, TextDecoder};
pub use options::{AccessLogFormat, Limits, LogSink, ProxyOptions, ReadyCheck, StaticName};
pub use server::Proxy;
