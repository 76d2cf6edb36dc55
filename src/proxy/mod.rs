//! Bytes: listeners, connections, the way of a request to its upstream and back.
//!
//! ```text
//! server ─ worker (one thread, one accept queue, one pool) ─ connection ─ service
//!                                                                          │
//!     filters: record ► compress ► strict ► forwarded ► admit ► dispatch ─┬─ own answers
//!                                                                         └─ forward ► upstream (resolve, pool)
//! ```
//!
//! Nothing on a request's path is shared between workers but the published values.

mod access_log;
mod body;
mod coding;
mod connection;
mod cors;
mod dispatch;
mod drain;
mod error;
mod exchange;
mod filters;
mod forward;
mod gather;
mod io;
mod log_format;
mod options;
mod policy;
mod server;
mod service;
mod timer;
mod tunnel;
mod upgrade;
mod upstream;
mod worker;

pub use crate::telemetry::metrics::Metrics;
pub use options::{AccessLogFormat, Limits, LogSink, ProxyOptions, ReadyCheck, StaticName};
pub use server::Proxy;
