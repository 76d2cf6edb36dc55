//! The data plane on real sockets, with hand-made tables and no controller.
#![allow(missing_docs, clippy::panic, reason = "a test crate: a panic is how it says no")]

mod basics;
mod compression;
mod cors;
mod dns;
mod drain;
mod http_policy;
mod lifecycle;
mod ports;
mod streams;
mod strictness;
mod support;
mod tcp;
mod tls;
mod tls_support;
mod upgrades;
mod upstreams;
