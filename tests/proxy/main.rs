//! The data plane on real sockets, with hand-made tables and no controller.
#![allow(missing_docs, reason = "a test crate")]

mod support;

mod basics;
