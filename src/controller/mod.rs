//! Kubernetes' write side, and the loop between events and what is served.

pub mod rebuild;
