//! From YAML text to located trees, one for each document.
//!
//! The text is cut at its document markers first and each piece is parsed by itself, so that a
//! broken document costs no other one. A line that begins with `---` ends a document wherever it
//! stands, even within a block scalar (YAML 1.2.2, §9.1.2, c-forbidden), so the cut needs no
//! parser. Time and memory are linear in the text: nesting and what aliases stand for are bounded.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Entry, Node, Style, Value};
use crate::model::object::{Location, Problem};

/// Deepest nesting, aliases resolved. Our kinds need less than ten.
const MAX_DEPTH: usize = 64;

/// What all aliases of a piece of text may stand for, as a multiple of its length.
const ALIAS_FACTOR: usize = 32;

/// What a node costs beside its text.
const NODE_COST: usize = 16;

/// A document, or why it can't be read.
pub(in crate::source) type Document = Result<Node, Broken>;

/// A document that can't be read.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct Broken {
    /// Where it begins: its first line that isn't a marker, a comment or empty.
    pub(in crate::source) begins: Location,
    /// What is wrong with it, and where that is.
    pub(in crate::source) problem: Problem,
}

/// The documents of a text in order; empty ones (nothing but comments) are left out.
pub(in crate::source) fn parse_documents(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for piece in split(text) {
        parse_piece(&piece, &mut documents);
    }
    documents
}

/// A part of a text that is parsed by itself.
struct Piece<'a> {
    text: &'a str,
    /// Lines of the whole text before it.
    skipped_lines: usize,
}

/// Cuts a text before each `---` and after each `...`.
fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    // Whether the piece holds more than what may precede a `---`: comments and directives.
    let mut has_content = false;
    let mut offset = 0;
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let end = offset + line.len();
        let marker = |mark: &str| {
            let rest = line.trim_start_matches('\u{feff}').strip_prefix(mark);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if marker("...") {
            pieces.push(Piece { text: &text[start..end], skipped_lines: start_line });
            (start, start_line, has_content) = (end, line_number + 1, false);
        } else if marker("---") {
            if has_content {
                pieces.push(Piece { text: &text[start..offset], skipped_lines: start_line });
                (start, start_line) = (offset, line_number);
            }
            has_content = true;
        } else if !has_content {
            let bare = line.trim();
            has_content = !bare.is_empty() && !bare.starts_with('#') && !line.starts_with('%');
        }
        offset = end;
    }
    pieces.push(Piece { text: &text[start..], skipped_lines: start_line });
    pieces
}

fn parse_piece(piece: &Piece<'_>, documents: &mut Vec<Document>) {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(piece);
    for event in Parser::new_from_str_with_options(piece.text, options) {
        let outcome = match event {
            Ok((event, span)) => builder.accept(event, &span),
            Err(error) => Err(builder.explain(&error)),
        };
        match outcome {
            Ok(Some(document)) if document.is_null() => {}
            Ok(Some(document)) => documents.push(Ok(document)),
            Ok(None) => {}
            // What follows an error in the same piece can't be told apart from it.
            Err(problem) => {
                return documents.push(Err(Broken { begins: begins(piece), problem }));
            }
        }
    }
}

fn begins(piece: &Piece<'_>) -> Location {
    let is_said =
        |line: &str| !line.is_empty() && !line.starts_with("---") && !line.starts_with('#');
    let within = piece.text.lines().position(|line| is_said(line.trim())).unwrap_or_default();
    let line = u32::try_from(piece.skipped_lines + within + 1).unwrap_or(u32::MAX);
    Location { line, column: 1 }
}

/// A collection that isn't closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value is awaited.
    key: Option<(String, Option<Location>)>,
    /// The deepest nesting within, itself counted.
    depth: usize,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    depth: usize,
    cost: usize,
}

/// Builds trees from events.
struct Builder {
    skipped_lines: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    alias_budget: usize,
}

impl Builder {
    fn new(piece: &Piece<'_>) -> Self {
        Self {
            skipped_lines: piece.skipped_lines,
            stack: Vec::new(),
            anchors: HashMap::new(),
            alias_budget: piece.text.len().saturating_mul(ALIAS_FACTOR),
        }
    }

    /// Takes an event; returns the document that it completes.
    fn accept(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Problem> {
        let location = self.location(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = Value::Scalar {
                    text: text.into_owned(),
                    style: scalar_style(style, tag.as_deref()),
                };
                self.complete(Node { value, location: Some(location) }, anchor, 0)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(Value::List(Vec::new()), location, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(Value::Map(Vec::new()), location, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(open) => self.complete(open.node, open.anchor, open.depth),
                None => Ok(None),
            },
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err(problem(location, "an alias can't stand within its own anchor"));
                };
                let (node, depth, cost) = (anchored.node.clone(), anchored.depth, anchored.cost);
                self.spend(cost, location)?;
                self.complete(node, 0, depth)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn open(
        &mut self,
        value: Value,
        location: Location,
        anchor: usize,
    ) -> Result<Option<Node>, Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(location));
        }
        let node = Node { value, location: Some(location) };
        self.stack.push(Open { node, anchor, key: None, depth: 1 });
        Ok(None)
    }

    /// Puts a finished node where it belongs; `depth` is its nesting, 0 for scalars.
    fn complete(
        &mut self,
        node: Node,
        anchor: usize,
        depth: usize,
    ) -> Result<Option<Node>, Problem> {
        let location = node.location.unwrap_or(Location { line: 1, column: 1 });
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(too_deep(location));
        }
        if anchor != 0 {
            let cost = cost(&node);
            self.spend(cost, location)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth, cost });
        }
        let Some(open) = self.stack.last_mut() else {
            return Ok(Some(node));
        };
        open.depth = open.depth.max(depth + 1);
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(_), None) => match node.value {
                Value::Scalar { text, .. } => open.key = Some((text, node.location)),
                Value::List(_) | Value::Map(_) => {
                    return Err(problem(location, "a key has to be text, not a list or a map"));
                }
            },
            (Value::Map(entries), Some((key, _))) if key == "<<" => merge(entries, node),
            (Value::Map(entries), Some((key, location))) => {
                entries.push(Entry { key, location, value: node });
            }
            (Value::Scalar { .. }, _) => {}
        }
        Ok(None)
    }

    fn spend(&mut self, cost: usize, location: Location) -> Result<(), Problem> {
        match self.alias_budget.checked_sub(cost) {
            Some(left) => {
                self.alias_budget = left;
                Ok(())
            }
            None => Err(problem(location, "aliases stand for too much text; write it out")),
        }
    }

    fn location(&self, line: usize, column: usize) -> Location {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Location { line: number(line + self.skipped_lines), column: number(column + 1) }
    }

    fn explain(&self, error: &ScanError) -> Problem {
        let mark = error.marker();
        let message = format!("this isn't valid YAML: {}", error.info().replace('\n', " "));
        problem(self.location(mark.line(), mark.col()), message)
    }
}

/// YAML's merge key: entries of `node` that the mapping doesn't have itself go to the front, so
/// that whatever is written later wins.
fn merge(entries: &mut Vec<Entry>, node: Node) {
    let sources = match node.value {
        Value::Map(merged) => vec![merged],
        Value::List(items) => items
            .into_iter()
            .filter_map(|item| match item.value {
                Value::Map(merged) => Some(merged),
                Value::Scalar { .. } | Value::List(_) => None,
            })
            .collect(),
        Value::Scalar { .. } => Vec::new(),
    };
    // The first of several sources wins, so it comes last.
    let merged: Vec<Entry> = sources.into_iter().rev().flatten().collect();
    entries.splice(0..0, merged);
}

fn scalar_style(style: ScalarStyle, tag: Option<&Tag>) -> Style {
    match style {
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Plain if tag.and_then(Tag::core_suffix) == Some("str") => Style::Text,
        ScalarStyle::Plain => Style::Plain,
        _ => Style::Text,
    }
}

fn cost(node: &Node) -> usize {
    NODE_COST
        + match &node.value {
            Value::Scalar { text, .. } => text.len(),
            Value::List(items) => items.iter().map(cost).sum(),
            Value::Map(entries) => {
                entries.iter().map(|entry| entry.key.len() + cost(&entry.value)).sum()
            }
        }
}

fn too_deep(location: Location) -> Problem {
    problem(location, format!("nested deeper than {MAX_DEPTH} levels"))
}

fn problem(location: Location, message: impl Into<String>) -> Problem {
    Problem { location: Some(location), ..Problem::error("", message) }
}
