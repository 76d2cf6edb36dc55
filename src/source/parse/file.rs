//! Files: our kinds in both forms, and the Kubernetes kinds that matter to routing.
//!
//! Other Kubernetes kinds are passed over silently: a folder may hold Deployments too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{Place, broken_document, parse_document};
use super::kubernetes::{DEFAULT_NAMESPACE, created_of};
use super::node::{Node, Style, Value};
use super::yaml::parse_documents;
use super::{ParseSettings, annotation_of, parse_endpoint_slice, parse_secret, parse_service};
use crate::model::key::{CarrierKind, Origin};
use crate::model::object::{Location, Object, Problem};
use crate::source::annotation::{CONFIG_ANNOTATION, parse_objects};
use crate::source::{Collection, Statement, StatementId};

/// Parses a file of YAML or JSON documents. `path` is its name in reports.
pub fn parse_file(path: &str, text: &str, settings: &ParseSettings) -> Statement {
    let mut reader = Reader {
        path: path.into(),
        settings,
        labels: Arc::default(),
        index: 0,
        statement: empty_statement(path),
    };
    for document in parse_documents(text) {
        match document {
            Ok(root) => reader.accept(root),
            Err(broken) => {
                let place = reader.next_place();
                reader.add(broken_document(broken.problem, Some(broken.begins), &place));
            }
        }
    }
    reader.statement
}

/// The statement of a file that can't be read, with a rejected object that says why.
pub(in crate::source) fn unreadable_file(path: &str, message: String) -> Statement {
    let place = place(&path.into(), 0, &Arc::default());
    let object = broken_document(Problem::error("", message), None, &place);
    Statement { objects: vec![Arc::new(object)], ..empty_statement(path) }
}

/// The statement of a file that says nothing.
fn empty_statement(path: &str) -> Statement {
    Statement {
        id: StatementId {
            collection: Collection::Files,
            namespace: Arc::default(),
            name: path.into(),
        },
        objects: Vec::new(),
        services: Vec::new(),
        endpoints: Vec::new(),
        secrets: Vec::new(),
    }
}

/// Reads the documents of one file.
struct Reader<'a> {
    path: Arc<str>,
    settings: &'a ParseSettings,
    labels: Arc<BTreeMap<String, String>>,
    /// Position of the next document; items of a `List` count each.
    index: u32,
    statement: Statement,
}

impl Reader<'_> {
    fn accept(&mut self, root: Node) {
        let text = |key: &str| root.get(key).and_then(Node::as_text).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let is_ours =
            api_version.starts_with("ambassador/") || api_version.starts_with("getambassador.io/");
        match (api_version, kind) {
            ("v1", "Service") => self.accept_carrier(&root, CarrierKind::Service),
            ("networking.k8s.io/v1", "Ingress") => {
                self.accept_carrier(&root, CarrierKind::Ingress);
            }
            ("discovery.k8s.io/v1", "EndpointSlice") => {
                let slice = parse_endpoint_slice(&root.to_json(), self.settings);
                self.statement.endpoints.extend(slice);
            }
            ("v1", "Secret") => {
                self.index += 1;
                self.statement.secrets.extend(parse_secret(&root.to_json()));
            }
            (_, kind) if kind.ends_with("List") && !is_flat(&root) => {
                if let Value::Map(entries) = root.value {
                    let items = entries.into_iter().filter(|entry| entry.key == "items");
                    for item in items.map(|entry| entry.value) {
                        self.accept_items(item);
                    }
                }
            }
            // A Kubernetes object of a kind that isn't ours.
            (api_version, kind) if !is_ours && !api_version.is_empty() && !kind.is_empty() => {
                self.index += 1;
            }
            _ => {
                let mut place = self.next_place();
                // What `kubectl get -o yaml` wrote says how old it is, and age decides ties.
                place.created = root.get("metadata").and_then(|meta| created_of(&meta.to_json()));
                let object = parse_document(root, &place, self.settings);
                self.add(object);
            }
        }
    }

    fn accept_items(&mut self, items: Node) {
        // Nesting is bounded by the depth of the tree.
        if let Value::List(items) = items.value {
            items.into_iter().for_each(|item| self.accept(item));
        }
    }

    /// A Service or Ingress: what it defines, and what its annotation says.
    fn accept_carrier(&mut self, root: &Node, kind: CarrierKind) {
        self.index += 1;
        let json = root.to_json();
        if kind == CarrierKind::Service {
            self.statement.services.extend(parse_service(&json).map(Arc::new));
        }
        // The text comes from the tree: in JSON, a plain scalar may have become a number.
        let annotation = root
            .get("metadata")
            .and_then(|metadata| metadata.get("annotations"))
            .and_then(|annotations| annotations.get(CONFIG_ANNOTATION));
        let (Some(node), Some((_, meta))) = (annotation, annotation_of(kind, &json)) else {
            return;
        };
        let text = node.as_text().unwrap_or_default();
        let shift = Shift::new(node, text);
        for mut object in parse_objects(text, &meta, self.settings) {
            object.location = object.location.and_then(|location| shift.apply(location));
            for problem in &mut object.problems {
                problem.location = problem.location.and_then(|location| shift.apply(location));
            }
            self.add(object);
        }
    }

    fn next_place(&mut self) -> Place {
        let index = self.index;
        self.index += 1;
        place(&self.path, index, &self.labels)
    }

    fn add(&mut self, object: Object) {
        self.statement.objects.push(Arc::new(object));
    }
}

/// The place of a document that inherits nothing.
fn place(path: &Arc<str>, index: u32, labels: &Arc<BTreeMap<String, String>>) -> Place {
    Place {
        origin: Origin::File { path: Arc::clone(path), index },
        index,
        namespace: DEFAULT_NAMESPACE.into(),
        generation: None,
        created: None,
        labels: Arc::clone(labels),
    }
}

/// Whether a document has no `items`, and so is none of Kubernetes' lists.
fn is_flat(root: &Node) -> bool {
    root.get("items").is_none()
}

/// From places in an annotation's text to places in the file.
enum Shift {
    /// The annotation is a literal block: its lines are lines of the file.
    Block { lines: u32, columns: u32 },
    /// It is written otherwise: all that can be told is where it begins.
    Whole(Option<Location>),
}

impl Shift {
    fn new(node: &Node, text: &str) -> Self {
        let is_literal = matches!(node.value, Value::Scalar { style: Style::Literal, .. });
        let (Some(location), true) = (node.location, is_literal) else {
            return Self::Whole(node.location);
        };
        // A block's location is that of its first character that isn't blank; the empty lines
        // before it belong to the text.
        let empty = text.bytes().take_while(|byte| *byte == b'\n').count();
        let lines = location.line.saturating_sub(1);
        Self::Block {
            lines: lines.saturating_sub(u32::try_from(empty).unwrap_or(u32::MAX)),
            columns: location.column.saturating_sub(1),
        }
    }

    fn apply(&self, location: Location) -> Option<Location> {
        match self {
            Self::Block { lines, columns } => Some(Location {
                line: location.line.saturating_add(*lines),
                column: location.column.saturating_add(*columns),
            }),
            Self::Whole(location) => *location,
        }
    }
}
