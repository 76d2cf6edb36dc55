//! Which route answers a request, and what becomes of its path. Pure.

pub mod path;
pub mod rewrite;
pub mod table;

pub use path::{CanonicalPath, PathError};
pub use table::{RequestHead, RouteTable};
