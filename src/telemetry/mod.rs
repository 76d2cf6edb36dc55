//! What the process says about itself: metric names and labels in one place, the log, and what
//! the kernel and the rebuild loop tell.

pub mod logging;
pub mod metrics;
pub mod process;
mod render;
pub mod timings;
