//! Values of which nearly all are the default: what most objects leave out is kept once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::policy::{ClusterPolicy, RoutePolicy};
use super::route::HeaderEdits;

/// A value that is mostly its type's default.
pub trait Common: Default + PartialEq + 'static {
    /// The default, one for all.
    fn common() -> &'static Arc<Self>;

    /// The value, and where it is the default that one.
    fn share(self) -> Arc<Self> {
        match self == **Self::common() {
            true => Arc::clone(Self::common()),
            false => Arc::new(self),
        }
    }
}

macro_rules! common {
    ($($type:ty),+) => {$(
        impl Common for $type {
            fn common() -> &'static Arc<Self> {
                static COMMON: LazyLock<Arc<$type>> = LazyLock::new(Arc::default);
                &COMMON
            }
        }
    )+};
}

common!(BTreeMap<String, String>, ClusterPolicy, HeaderEdits, RoutePolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_is_shared() {
        assert!(Arc::ptr_eq(&RoutePolicy::default().share(), &RoutePolicy::default().share()));
        let other = || RoutePolicy { bypass_auth: Some(true), ..RoutePolicy::default() };
        assert_eq!(*other().share(), other());
    }
}
