//! The data plane on real sockets, with hand-made tables and no controller.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test crate: a panic is how it says no, and its runtimes end with each test"
)]

mod balancing;
mod basics;
mod compression;
mod cors;
mod dns;
mod drain;
mod grpc;
mod health;
mod http2_upstreams;
mod http_policy;
mod lifecycle;
mod limits;
mod overload;
mod ports;
mod retries;
mod shadow;
mod streams;
mod strictness;
mod support;
mod tcp;
mod tls;
mod tls_support;
mod tls_upstreams;
mod upgrades;
mod upgrades_http2;
mod upstreams;
