//! Kubernetes' write side: what the gateway says about the objects it serves.

mod apply;
pub mod lease;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
