//! A build of files, which nobody will add to: what it wants and isn't there is missing.

use super::store::Store;
use crate::model::{self, Build};

/// Builds, and once more where the first build has wanted Secrets that no file holds.
pub fn build(store: &mut Store, previous: &Build) -> Build {
    let first = model::build(store.snapshot(), previous);
    match store.want(&first.wanted) {
        true => model::build(store.snapshot(), &first),
        false => first,
    }
}
