//! What the process says about itself.

pub(crate) mod listeners;
pub mod logging;
pub mod metrics;
pub mod process;
mod render;
pub mod timings;
