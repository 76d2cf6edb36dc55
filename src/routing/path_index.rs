//! The routes of one host, found by path: a radix tree for literal paths, and the regular
//! expressions in the order of their precedence.
//!
//! A lookup costs the length of the path, whatever the number of routes. A copy shares all nodes
//! with its original, and a change copies those on its way only.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::precedence::Precedence;
use crate::model::config::RouteGroup;
use crate::model::route::{PathMatch, PathMatchKind};

/// Routes by path.
#[derive(Debug, Clone, Default)]
pub(super) struct PathIndex {
    literal: Arc<Node>,
    /// Paths that are compared without case, under their lower-case text.
    folded: Arc<Node>,
    /// Best first.
    regexes: Vec<Precedence>,
}

impl PathIndex {
    /// Adds a group under its path.
    pub(super) fn insert(&mut self, precedence: Precedence) {
        let group = Arc::clone(precedence.group());
        self.with_ranked(&group.matches().path, |ranked| {
            let better = ranked.partition_point(|other| *other > precedence);
            // Most stand alone: no room for others is kept then.
            if ranked.is_empty() {
                ranked.reserve_exact(1);
            }
            ranked.insert(better, precedence);
        });
    }

    /// Takes a group out.
    pub(super) fn remove(&mut self, group: &Arc<RouteGroup>) {
        self.with_ranked(&group.matches().path, |ranked| {
            ranked.retain(|precedence| !Arc::ptr_eq(precedence.group(), group));
        });
    }

    /// Whether it holds no group.
    pub(super) fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.folded.is_empty() && self.regexes.is_empty()
    }

    /// Changes the list that groups of this path stand in.
    fn with_ranked(&mut self, path: &PathMatch, change: impl FnOnce(&mut Vec<Precedence>)) {
        let (tree, text) = match path.case_sensitive {
            true => (&mut self.literal, Cow::Borrowed(path.text())),
            false => (&mut self.folded, Cow::Owned(path.text().to_ascii_lowercase())),
        };
        match &path.kind {
            PathMatchKind::Exact(_) => {
                Node::change(tree, text.as_bytes(), |node| change(&mut node.exact));
            }
            PathMatchKind::Prefix(_) => {
                Node::change(tree, text.as_bytes(), |node| change(&mut node.prefix));
            }
            PathMatchKind::Regex(_) => change(&mut self.regexes),
        }
    }

    /// Improves `best` by the best group here that `accepts` (which judges all but the path).
    pub(super) fn search<'t>(
        &'t self,
        path: &str,
        best: &mut Option<&'t Precedence>,
        accepts: &impl Fn(&'t RouteGroup) -> bool,
    ) {
        self.literal.search(path.as_bytes(), best, accepts);
        if !self.folded.is_empty() {
            let folded = match path.bytes().any(|b| b.is_ascii_uppercase()) {
                true => Cow::Owned(path.to_ascii_lowercase()),
                false => Cow::Borrowed(path),
            };
            self.folded.search(folded.as_bytes(), best, accepts);
        }
        improve(&self.regexes, best, &|group| {
            matches!(&group.matches().path.kind, PathMatchKind::Regex(regex) if regex.is_match(path))
                && accepts(group)
        });
    }
}

/// Improves `best` by the first of `ranked` (best first) that is accepted.
fn improve<'t>(
    ranked: &'t [Precedence],
    best: &mut Option<&'t Precedence>,
    accepts: &impl Fn(&'t RouteGroup) -> bool,
) {
    for precedence in ranked {
        if best.is_some_and(|best| best >= precedence) {
            return;
        }
        if accepts(precedence.group()) {
            *best = Some(precedence);
            return;
        }
    }
}

/// A node of a radix tree over bytes.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The bytes between the parent and this node; empty at the root only.
    label: SmallVec<[u8; 16]>,
    /// Children with the first bytes of their labels, sorted by them.
    children: Vec<(u8, Arc<Node>)>,
    /// Groups whose path is exactly this, best first.
    exact: Vec<Precedence>,
    /// Groups whose path begins so, best first.
    prefix: Vec<Precedence>,
}

impl Node {
    /// Changes the node of a text, which is made where it is missing, and goes where it is left
    /// empty.
    fn change(tree: &mut Arc<Self>, text: &[u8], change: impl FnOnce(&mut Self)) {
        let node = Arc::make_mut(tree);
        let Some(first) = text.first() else { return change(node) };
        let position = match node.child(*first) {
            Ok(position) => position,
            Err(position) => {
                let leaf = Self { label: SmallVec::from_slice(text), ..Self::default() };
                node.children.insert(position, (*first, Arc::new(leaf)));
                position
            }
        };
        let child = &mut node.children[position].1;
        let common = child.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < child.label.len() {
            Arc::make_mut(child).split(common);
        }
        Self::change(child, &text[common..], change);
        if child.is_empty() {
            node.children.remove(position);
        } else if child.is_passage() {
            Arc::make_mut(child).join();
        }
    }

    /// Cuts the label after `length` bytes; what the node held moves to a new child.
    fn split(&mut self, length: usize) {
        let mut lower = std::mem::take(self);
        self.label = SmallVec::from_slice(&lower.label[..length]);
        lower.label.drain(..length);
        self.children.push((lower.label[0], Arc::new(lower)));
    }

    /// Takes the place of the only child.
    fn join(&mut self) {
        let Some((_, only)) = self.children.pop() else { return };
        let only = Arc::unwrap_or_clone(only);
        let mut label = std::mem::take(&mut self.label);
        label.extend_from_slice(&only.label);
        *self = Self { label, ..only };
    }

    /// Whether nothing stands here or below.
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.exact.is_empty() && self.prefix.is_empty()
    }

    /// Whether it only leads to its one child.
    fn is_passage(&self) -> bool {
        self.children.len() == 1 && self.exact.is_empty() && self.prefix.is_empty()
    }

    fn search<'t>(
        &'t self,
        path: &[u8],
        best: &mut Option<&'t Precedence>,
        accepts: &impl Fn(&'t RouteGroup) -> bool,
    ) {
        let mut on_the_way: SmallVec<[&'t Node; 16]> = SmallVec::new();
        let (mut node, mut rest) = (self, path);
        loop {
            if !node.prefix.is_empty() {
                on_the_way.push(node);
            }
            let Some(first) = rest.first() else {
                improve(&node.exact, best, accepts);
                break;
            };
            let Ok(position) = node.child(*first) else { break };
            let child = &node.children[position].1;
            let Some(after) = rest.strip_prefix(&*child.label) else { break };
            (node, rest) = (child, after);
        }
        // The longest prefix is mostly the best, and makes the rest cheap to refuse.
        for node in on_the_way.into_iter().rev() {
            improve(&node.prefix, best, accepts);
        }
    }

    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |(byte, _)| *byte)
    }
}
