//! The data plane on real sockets, with hand-made tables and no controller.
#![allow(missing_docs, reason = "a test crate")]

mod basics;
mod lifecycle;
mod streams;
mod strictness;
mod support;
mod upstreams;
