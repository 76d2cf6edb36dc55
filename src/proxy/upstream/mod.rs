//! Upstreams: where a cluster's addresses come from, and the connections to them.

pub(crate) mod connect;
pub(crate) mod dns;
pub(crate) mod names;
pub(crate) mod target;
