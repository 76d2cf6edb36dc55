//! What the gateway does so that it is never killed for its memory: limits that follow from a
//! budget, and steps that shed load while the memory in use comes near it.
//!
//! ```text
//! budget ─► plan_limits ─► Limits ──────────────────────────► ports, connections, requests
//! memory in use ─► monitor (one thread) ─► plan_step ─► Level ─► each worker, at its next tick
//! ```
//!
//! The steps, each beside those before it; the names are of Envoy's overload manager:
//!
//! | [`Level`] | what happens | Envoy |
//! |---|---|---|
//! | `Parting` | answers end their connection, those that wait are closed, times to wait are shorter | `disable_http_keepalive`, `reduce_timeouts` |
//! | `Holding` | no connection is accepted: it waits in the kernel | `stop_accepting_connections` |
//! | `Refusing` | requests that would go upstream are answered 503 | `stop_accepting_requests` |
//! | `Cutting` | answers aren't read on, and connections of clients that don't take theirs are cut | `reset_high_memory_stream` |
//!
//! From 60 % on connections are accepted no faster than the monitor can see what they take.
//!
//! A pod that sheds stays ready: the load would only go to the others, and bring them down one by
//! one. Its 503 says when to come back.

mod limits;
mod memory;
mod monitor;
mod relief;
mod room;
mod state;
mod step;

#[cfg(test)]
mod limits_tests;

pub use limits::{Asked, BudgetSource, Limit, LimitSource, Planned, plan_limits};
pub use memory::{MemoryBudget, find_budget, raise_file_limit};
pub(crate) use monitor::Monitor;
pub(crate) use relief::{hurried, may_accept, shed};
pub use state::{Overload, Snapshot};
pub use step::Level;
