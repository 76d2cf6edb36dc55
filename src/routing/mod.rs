//! Which route answers a request, and what becomes of its path. Pure.
//!
//! ```text
//! connection ─► listeners ─► the hosts of a name ─┐
//! RequestHead ────────────────────────────────────┴► host_index ─► path_index ─► condition
//!                                                          ─► precedence decides ─► Leg
//! ```

mod condition;
mod explain;
mod host_index;
mod listeners;
mod names;
mod path;
mod path_index;
mod precedence;
mod rewrite;
mod table;

pub use explain::{Considered, Outcome};
pub use listeners::{HostTable, ListenerTable, Server};
pub use path::{CanonicalPath, PathError};
pub use precedence::{Precedence, PrecedenceRule};
pub use rewrite::{https_location, redirect_location, rewrite_path};
pub use table::{Found, RequestHead, RouteTable};
