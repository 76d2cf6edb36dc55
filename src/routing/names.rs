//! Things by a host name or pattern, of which the most specific one is found: exact names first,
//! then the longest `*x`, then the longest `x*`, then `*` (Envoy's virtual hosts).

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::model::route::HostMatch;

type ByText<T> = HashMap<Arc<str>, T, RandomState>;

/// Things by name.
#[derive(Debug, Clone)]
pub(super) struct Names<T> {
    exact: ByText<T>,
    /// By the length of the fixed part, the longest first.
    suffixes: Vec<(usize, ByText<T>)>,
    prefixes: Vec<(usize, ByText<T>)>,
    any: Option<T>,
}

/// How specific a name is; the greatest is the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Specificity {
    /// `*`.
    Any,
    /// `x*` and the length of its fixed part.
    Prefix(usize),
    /// `*x` and the length of its fixed part.
    Suffix(usize),
    /// All of the name.
    Exact,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: ByText::default(), suffixes: vec![], prefixes: vec![], any: None }
    }
}

impl<T> Names<T> {
    /// The thing of a name, made where there is none; `None` for a regular expression, which is
    /// no name.
    pub(super) fn entry(&mut self, name: &HostMatch, make: impl FnOnce() -> T) -> Option<&mut T> {
        Some(match name {
            HostMatch::Any => self.any.get_or_insert_with(make),
            HostMatch::Exact(text) => self.exact.entry(Arc::clone(text)).or_insert_with(make),
            HostMatch::Suffix(text) => affix(&mut self.suffixes, text).or_insert_with(make),
            HostMatch::Prefix(text) => affix(&mut self.prefixes, text).or_insert_with(make),
            HostMatch::Regex(_) => return None,
        })
    }

    /// The most specific thing for a name in lower case without a port. A star stands for one
    /// character at least.
    pub(super) fn get(&self, name: &str) -> Option<(Specificity, &T)> {
        if let Some(found) = self.exact.get(name) {
            return Some((Specificity::Exact, found));
        }
        for (length, table) in self.suffixes.iter().filter(|(length, _)| *length < name.len()) {
            let end = name.get(name.len() - length..);
            if let Some(found) = end.and_then(|end| table.get(end)) {
                return Some((Specificity::Suffix(*length), found));
            }
        }
        for (length, table) in self.prefixes.iter().filter(|(length, _)| *length < name.len()) {
            if let Some(found) = name.get(..*length).and_then(|start| table.get(start)) {
                return Some((Specificity::Prefix(*length), found));
            }
        }
        self.any()
    }

    /// The thing for every name.
    pub(super) fn any(&self) -> Option<(Specificity, &T)> {
        self.any.as_ref().map(|found| (Specificity::Any, found))
    }
}

fn affix<'a, T>(
    tables: &'a mut Vec<(usize, ByText<T>)>,
    text: &Arc<str>,
) -> hashbrown::hash_map::Entry<'a, Arc<str>, T, RandomState> {
    let found = tables.binary_search_by(|(length, _)| text.len().cmp(length));
    let position = found.unwrap_or_else(|position| {
        tables.insert(position, (text.len(), ByText::default()));
        position
    });
    tables[position].1.entry(Arc::clone(text))
}

#[cfg(test)]
mod tests {
    use super::Names;
    use crate::model::route::HostMatch;

    #[test]
    fn the_most_specific_name_is_found() {
        let exact = |text: &str| HostMatch::Exact(text.into());
        let suffix = |text: &str| HostMatch::Suffix(text.into());
        let prefix = |text: &str| HostMatch::Prefix(text.into());
        let mut names: Names<&str> = Names::default();
        for (name, text) in [
            (exact("a.example.com"), "a.example.com"),
            (suffix(".com"), "*.com"),
            (suffix(".example.com"), "*.example.com"),
            (prefix("a."), "a.*"),
            (prefix("a.b."), "a.b.*"),
        ] {
            names.entry(&name, || text);
        }
        let get = |names: &Names<&'static str>, name: &str| names.get(name).map(|(_, text)| *text);
        for (name, expected) in [
            ("a.example.com", Some("a.example.com")),
            ("b.example.com", Some("*.example.com")),
            (".example.com", Some("*.com")),
            ("a.b.org", Some("a.b.*")),
            ("a.org", Some("a.*")),
            ("a.", None),
            ("é.org", None),
        ] {
            assert_eq!(get(&names, name), expected, "{name}");
        }
        names.entry(&HostMatch::Any, || "*");
        assert_eq!(get(&names, "whatever"), Some("*"));
    }
}
