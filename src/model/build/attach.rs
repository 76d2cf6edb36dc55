//! Which hosts serve which routes (Emissary's `matches_httpgroup`):
//!
//! | Host's selector | route names a host | served where |
//! |---|---|---|
//! | set | yes | the labels hold and both can mean the same name |
//! | set | no | the labels hold |
//! | unset | yes | both can mean the same name |
//! | unset | no | never |
//!
//! With selectors that aren't strict, one label is enough, and where the route names a host the
//! name alone is enough too.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::select::labels_hold;
use crate::model::config::Attachment;
use crate::model::listener::{Listener, Selector, VirtualHost};
use crate::model::report::Detached;
use crate::model::route::HostMatch;

/// The hosts that are served anywhere, arranged for [`Takers::attachment`].
#[derive(Debug, Clone, Default)]
pub(super) struct Takers {
    /// All of them, by which two are compared.
    hosts: Vec<Arc<VirtualHost>>,
    strict: bool,
    /// Exact names without a selector.
    exact: HashSet<Arc<str>>,
    /// Other names without a selector.
    patterns: Vec<HostMatch>,
    /// Names by their selector, in the order of selectors.
    selective: Vec<(Selector, Vec<HostMatch>)>,
}

impl Takers {
    /// The hosts of all listeners.
    pub(super) fn new(listeners: &[Arc<Listener>], strict: bool) -> Self {
        let mut takers = Self { strict, ..Self::default() };
        let mut selective: BTreeMap<Selector, Vec<HostMatch>> = BTreeMap::new();
        for host in listeners.iter().flat_map(|listener| &listener.hosts) {
            takers.hosts.push(Arc::clone(host));
            match (&host.name, host.selector.is_empty()) {
                (name, false) => {
                    selective.entry(Arc::clone(&host.selector)).or_default().push(name.clone());
                }
                (HostMatch::Exact(name), true) => {
                    takers.exact.insert(Arc::clone(name));
                }
                (pattern, true) if !takers.patterns.contains(pattern) => {
                    takers.patterns.push(pattern.clone());
                }
                _ => {}
            }
        }
        takers.selective = selective.into_iter().collect();
        takers
    }

    /// Whether both attach every route alike, as far as can be seen by addresses.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.strict == other.strict
            && self.hosts.len() == other.hosts.len()
            && self.hosts.iter().zip(&other.hosts).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Which hosts serve a route with this host condition and these labels.
    pub(super) fn attachment(
        &self,
        host: Option<&HostMatch>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Attachment, Detached> {
        let by_host = host.is_some_and(|host| self.any_named(host));
        let mut selectors = Vec::new();
        let mut named = false;
        for (selector, names) in &self.selective {
            let meets = host.is_none_or(|host| names.iter().any(|name| hosts_overlap(name, host)));
            let selected = labels_hold(selector, labels, self.strict);
            named |= meets && host.is_some();
            let takes = match (host.is_some(), self.strict) {
                (true, false) => meets,
                _ => meets && selected,
            };
            if takes {
                selectors.push(Arc::clone(selector));
            }
        }
        match (by_host, selectors.is_empty(), host) {
            (false, true, None) => Err(Detached::Unnamed),
            (false, true, Some(_)) if named => Err(Detached::NotSelected),
            (false, true, Some(_)) => Err(Detached::NoHost),
            _ => Ok(Attachment { by_host, selectors }),
        }
    }

    /// Whether a host without a selector can mean the same name.
    fn any_named(&self, host: &HostMatch) -> bool {
        match host {
            HostMatch::Exact(name) if self.exact.contains(bare(name)) => true,
            HostMatch::Exact(_) => self.patterns.iter().any(|name| hosts_overlap(name, host)),
            _ => {
                self.patterns.iter().any(|name| hosts_overlap(name, host))
                    || self
                        .exact
                        .iter()
                        .any(|name| hosts_overlap(&HostMatch::Exact(Arc::clone(name)), host))
            }
        }
    }
}

/// Whether there can be a name that both mean. Ports don't count: whether they are the same is
/// seen when a request comes. A star stands for one character at least.
pub(super) fn hosts_overlap(a: &HostMatch, b: &HostMatch) -> bool {
    use HostMatch::{Any, Exact, Prefix, Regex, Suffix};
    match (a, b) {
        (Any | Regex(_), _) | (_, Any | Regex(_)) => true,
        (Suffix(_), Prefix(_)) | (Prefix(_), Suffix(_)) => true,
        (Exact(a), Exact(b)) => bare(a) == bare(b),
        (Exact(name), Suffix(end)) | (Suffix(end), Exact(name)) => {
            let (name, end) = (bare(name), bare(end));
            name.len() > end.len() && name.ends_with(end)
        }
        (Exact(name), Prefix(start)) | (Prefix(start), Exact(name)) => {
            name.len() > start.len() && name.starts_with(&**start)
        }
        (Suffix(a), Suffix(b)) => bare(a).ends_with(bare(b)) || bare(b).ends_with(bare(a)),
        (Prefix(a), Prefix(b)) => a.starts_with(&**b) || b.starts_with(&**a),
    }
}

/// A name without its port.
fn bare(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::hosts_overlap;
    use crate::model::route::HostMatch::{self, Any, Exact, Prefix, Suffix};

    #[test]
    fn names_overlap_as_in_emissary() {
        let exact = |text: &str| Exact(text.into());
        let suffix = |text: &str| Suffix(text.into());
        let prefix = |text: &str| Prefix(text.into());
        let rows: Vec<(HostMatch, HostMatch, bool)> = vec![
            (exact("example.com"), exact("example.com"), true),
            (exact("example.com"), exact("example.com:8443"), true),
            (exact("example.com"), exact("example.org"), false),
            (exact("a.example.com"), suffix(".example.com"), true),
            (exact(".example.com"), suffix(".example.com"), false),
            (exact("bar.a.example"), suffix(".b.example"), false),
            (exact("foo.example"), prefix("foo."), true),
            (exact("foo."), prefix("foo."), false),
            (suffix(".example.com"), suffix(".com"), true),
            (suffix(".example.com"), suffix(".org"), false),
            (prefix("foo."), prefix("foo.b"), true),
            (prefix("foo."), prefix("bar."), false),
            (prefix("foo."), suffix(".com"), true),
            (Any, exact("anything"), true),
            (suffix(".com"), Any, true),
        ];
        for (a, b, expected) in rows {
            assert_eq!(hosts_overlap(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(hosts_overlap(&b, &a), expected, "{b:?} {a:?}");
        }
    }
}
