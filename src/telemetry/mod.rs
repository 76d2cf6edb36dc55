//! What the process says about itself.

pub mod logging;
pub mod process;
pub mod timings;
