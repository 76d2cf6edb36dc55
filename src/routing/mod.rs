//! Which route answers a request, and what becomes of its path. Pure.
//!
//! ```text
//! RequestHead ─► host_index ─► path_index ─► condition ─► precedence decides ─► Leg
//! ```

mod condition;
mod explain;
mod host_index;
mod path;
mod path_index;
mod precedence;
mod rewrite;
mod table;

pub use explain::{Considered, Outcome};
pub use path::{CanonicalPath, PathError};
pub use precedence::{Precedence, PrecedenceRule};
pub use rewrite::{redirect_location, rewrite_path};
pub use table::{RequestHead, RouteTable};
