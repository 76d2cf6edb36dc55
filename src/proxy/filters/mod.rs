//! Filters: one tower layer a file, in the order in which a request meets them.

pub(crate) mod admit;
pub(crate) mod compress;
pub(crate) mod edits;
pub(crate) mod forwarded;
pub(crate) mod grpc_bridge;
pub(crate) mod grpc_web;
pub(crate) mod record;
pub(crate) mod strict;
