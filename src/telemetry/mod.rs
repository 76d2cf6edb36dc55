//! What the gateway tells about itself: metric names and labels in one place.

pub mod metrics;
mod render;
