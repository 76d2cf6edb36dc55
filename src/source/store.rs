//! Holds the latest statement of every raw object and derives the snapshot from them.
