//! The data plane on real sockets, with hand-made tables and no controller.
#![allow(missing_docs, clippy::panic, reason = "a test crate: a panic is how it says no")]

mod basics;
mod compression;
mod cors;
mod dns;
mod drain;
mod http_policy;
mod lifecycle;
mod streams;
mod strictness;
mod support;
mod upgrades;
mod upstreams;
