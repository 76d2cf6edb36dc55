//! Meaning, and nothing else: no IO, no clock, no async.
//!
//! ```text
//! Snapshot ──build──► Build { GatewayConfig, Reports }
//! ```
//!
//! Objects arrive parsed (see `source::parse`); [`build`] merges them. What is wrong becomes a
//! [`report::Report`], never an error.

pub mod build;
pub mod cluster;
pub mod common;
pub mod config;
pub mod date;
pub mod key;
pub mod listener;
pub mod object;
pub mod policy;
pub mod regex;
pub mod report;
pub mod route;
pub mod secret;
pub mod service;
pub mod snapshot;
pub mod sorted;
pub mod template;
pub mod tls;
pub mod written;

pub use build::{Build, build};
