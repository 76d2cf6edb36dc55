//! The webhook's certificate: kept in one Secret that all replicas follow, and made, replaced and
//! trusted without anybody's help.
//!
//! Any replica may write; of two the first wins, because a Secret is replaced only by one who has
//! seen it. No replica serves a certificate that isn't in the Secret, so that all agree.

mod follow;
mod keeper;
mod pair;
mod plan;
mod served;
mod stored;

pub(super) use keeper::Keeper;
pub use keeper::{Management, Names};
pub(super) use pair::provider;
pub(super) use plan::Times;
pub(super) use served::Served;
