//! The routes of one host, found by path: a radix tree for literal paths, and the regular
//! expressions in the order of their precedence.
//!
//! A lookup costs the length of the path, whatever the number of routes.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::precedence::Precedence;
use crate::model::config::RouteGroup;
use crate::model::route::PathMatchKind;

/// Routes by path.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    literal: Tree,
    /// Paths that are compared without case, under their lower-case text.
    folded: Tree,
    /// Best first.
    regexes: Vec<Precedence>,
}

impl PathIndex {
    /// Adds a group under its path.
    pub(super) fn insert(&mut self, precedence: Precedence) {
        let group = Arc::clone(precedence.group());
        let path = &group.matches().path;
        let tree = match path.case_sensitive {
            true => &mut self.literal,
            false => &mut self.folded,
        };
        let text = match path.case_sensitive {
            true => Cow::Borrowed(path.text()),
            false => Cow::Owned(path.text().to_ascii_lowercase()),
        };
        match &path.kind {
            PathMatchKind::Exact(_) => tree.node(text.as_bytes()).exact.push(precedence),
            PathMatchKind::Prefix(_) => tree.node(text.as_bytes()).prefix.push(precedence),
            PathMatchKind::Regex(_) => self.regexes.push(precedence),
        }
    }

    /// Puts the best first everywhere. To be called once, after the last insertion.
    pub(super) fn seal(&mut self) {
        for tree in [&mut self.literal, &mut self.folded] {
            for node in &mut tree.nodes {
                node.exact.sort_unstable_by(|a, b| b.cmp(a));
                node.prefix.sort_unstable_by(|a, b| b.cmp(a));
                node.exact.shrink_to_fit();
                node.prefix.shrink_to_fit();
                node.children.shrink_to_fit();
            }
            tree.nodes.shrink_to_fit();
        }
        self.regexes.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Improves `best` by the best group here that `accepts` (which judges all but the path).
    pub(super) fn search<'t>(
        &'t self,
        path: &str,
        best: &mut Option<&'t Precedence>,
        accepts: &impl Fn(&'t RouteGroup) -> bool,
    ) {
        self.literal.search(path.as_bytes(), best, accepts);
        if !self.folded.nodes.is_empty() {
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

/// A radix tree over bytes. Node 0 is the root, once there is any node.
#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The bytes between the parent and this node.
    label: Box<[u8]>,
    /// First byte of each child's label with its number, sorted by byte.
    children: SmallVec<[(u8, u32); 2]>,
    /// Groups whose path is exactly this.
    exact: SmallVec<[Precedence; 1]>,
    /// Groups whose path begins so.
    prefix: SmallVec<[Precedence; 1]>,
}

impl Tree {
    /// The node of a text, made where it is missing.
    fn node(&mut self, text: &[u8]) -> &mut Node {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let (mut at, mut rest) = (0, text);
        while let Some(first) = rest.first() {
            match self.nodes[at].child(*first) {
                Ok(position) => {
                    let child = self.nodes[at].children[position].1 as usize;
                    let label = &self.nodes[child].label;
                    let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
                    if common < label.len() {
                        self.split(child, common);
                    }
                    (at, rest) = (child, &rest[common..]);
                }
                Err(position) => {
                    let child = self.push(Node { label: rest.into(), ..Node::default() });
                    self.nodes[at].children.insert(position, (*first, child));
                    (at, rest) = (child as usize, &[]);
                }
            }
        }
        &mut self.nodes[at]
    }

    /// Cuts a node's label after `length` bytes; what it held moves to a new child.
    fn split(&mut self, at: usize, length: usize) {
        let whole = std::mem::take(&mut self.nodes[at]);
        let (head, tail) = whole.label.split_at(length);
        let (head, first) = (Box::from(head), tail[0]);
        let lower = self.push(Node { label: tail.into(), ..whole });
        self.nodes[at].label = head;
        self.nodes[at].children.push((first, lower));
    }

    fn push(&mut self, node: Node) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes fit in memory");
        self.nodes.push(node);
        number
    }

    fn search<'t>(
        &'t self,
        path: &[u8],
        best: &mut Option<&'t Precedence>,
        accepts: &impl Fn(&'t RouteGroup) -> bool,
    ) {
        let Some(root) = self.nodes.first() else { return };
        let mut on_the_way: SmallVec<[&'t Node; 16]> = SmallVec::new();
        let (mut node, mut rest) = (root, path);
        loop {
            if !node.prefix.is_empty() {
                on_the_way.push(node);
            }
            let Some(first) = rest.first() else {
                improve(&node.exact, best, accepts);
                break;
            };
            let Ok(position) = node.child(*first) else { break };
            let child = &self.nodes[node.children[position].1 as usize];
            let Some(after) = rest.strip_prefix(&*child.label) else { break };
            (node, rest) = (child, after);
        }
        // The longest prefix is mostly the best, and makes the rest cheap to refuse.
        for node in on_the_way.into_iter().rev() {
            improve(&node.prefix, best, accepts);
        }
    }
}

impl Node {
    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |(byte, _)| *byte)
    }
}
