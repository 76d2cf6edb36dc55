//! Status of the custom resources: planned as a difference, written by the lease's holder.

pub mod plan;
pub mod writer;
