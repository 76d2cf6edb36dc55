//! Routes by host, each host with its own [`PathIndex`].
//!
//! A request may be answered by routes of several hosts (its own name, wildcards, any); each is
//! asked, and precedence decides among their answers.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::condition::without_port;
use super::path_index::PathIndex;
use super::precedence::Precedence;
use crate::model::config::RouteGroup;
use crate::model::route::HostMatch;

/// Routes by the fixed text of their hosts.
type ByText = HashMap<Arc<str>, PathIndex, RandomState>;

/// Routes by host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostIndex {
    exact: ByText,
    suffixes: Affixes,
    prefixes: Affixes,
    /// Routes of any host, and those whose host is a regular expression.
    any: PathIndex,
    /// Some host names a port, so that the request's port may matter.
    ports: bool,
}

/// Wildcard hosts, by the length of their fixed part.
#[derive(Debug, Clone, Default)]
struct Affixes {
    by_length: Vec<(usize, ByText)>,
}

impl HostIndex {
    /// Adds a group under its host.
    pub(super) fn insert(&mut self, precedence: Precedence) {
        let group = Arc::clone(precedence.group());
        if let Some(HostMatch::Exact(text) | HostMatch::Suffix(text) | HostMatch::Prefix(text)) =
            &group.matches().host
        {
            // Stays once it is set: a look too many costs little.
            self.ports |= text.contains(':');
        }
        self.with_paths(&group, |paths| paths.insert(precedence));
    }

    /// Takes a group out.
    pub(super) fn remove(&mut self, group: &Arc<RouteGroup>) {
        self.with_paths(group, |paths| paths.remove(group));
    }

    /// Changes the routes of the group's host.
    fn with_paths(&mut self, group: &RouteGroup, change: impl FnOnce(&mut PathIndex)) {
        match &group.matches().host {
            Some(HostMatch::Exact(name)) => change_entry(&mut self.exact, name, change),
            Some(HostMatch::Suffix(end)) => self.suffixes.change(end, change),
            Some(HostMatch::Prefix(start)) => self.prefixes.change(start, change),
            Some(HostMatch::Any | HostMatch::Regex(_)) | None => change(&mut self.any),
        }
    }

    /// Calls `visit` with the routes of every host that the request's host matches, regular
    /// expressions excepted: those stand among the routes of any host.
    pub(super) fn visit<'t>(&'t self, host: &str, mut visit: impl FnMut(&'t PathIndex)) {
        let host = match host.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        let bare = without_port(&host);
        self.visit_name(bare, &mut visit);
        if self.ports && bare.len() != host.len() {
            self.visit_name(&host, &mut visit);
        }
        visit(&self.any);
    }

    fn visit_name<'t>(&'t self, name: &str, visit: &mut impl FnMut(&'t PathIndex)) {
        if !self.exact.is_empty() {
            self.exact.get(name).into_iter().for_each(&mut *visit);
        }
        self.suffixes.visit(name, |name, length| name.get(name.len() - length..), visit);
        self.prefixes.visit(name, |name, length| name.get(..length), visit);
    }
}

impl Affixes {
    fn change(&mut self, part: &Arc<str>, change: impl FnOnce(&mut PathIndex)) {
        let position = match self.by_length.iter().position(|(length, _)| *length == part.len()) {
            Some(position) => position,
            None => {
                self.by_length.push((part.len(), ByText::default()));
                self.by_length.len() - 1
            }
        };
        let table = &mut self.by_length[position].1;
        change_entry(table, part, change);
        if table.is_empty() {
            self.by_length.swap_remove(position);
        }
    }

    /// At least one character must stand for the star.
    fn visit<'t>(
        &'t self,
        name: &str,
        cut: impl Fn(&str, usize) -> Option<&str>,
        visit: &mut impl FnMut(&'t PathIndex),
    ) {
        for (length, table) in self.by_length.iter().filter(|(length, _)| *length < name.len()) {
            cut(name, *length).and_then(|part| table.get(part)).into_iter().for_each(&mut *visit);
        }
    }
}

/// Changes the routes under a text, which are made where they are missing, and go where they are
/// left empty.
fn change_entry(table: &mut ByText, text: &Arc<str>, change: impl FnOnce(&mut PathIndex)) {
    let paths = table.entry(Arc::clone(text)).or_default();
    change(paths);
    if paths.is_empty() {
        table.remove(text);
    }
}
