//! One document: its envelope (API version, kind, name, namespace, …), whichever of the two
//! forms it is written in, and the object that it becomes.
//!
//! Flat form: `apiVersion`, `kind`, `name`, `namespace`, `generation` and `metadata_labels` stand
//! beside the fields of the spec. Nested form: `metadata` and `spec`, as everywhere in Kubernetes.
//! Emissary takes any mixture of both, and so is done here.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::ParseSettings;
use super::expand::expand;
use super::fields::{Fields, Problems};
use super::host::parse_host;
use super::legacy::lift;
use super::listener::parse_listener;
use super::mapping::parse_mapping;
use super::matching::ApiVersion;
use super::module::parse_module;
use super::node::{Entry, Node, Style, Value};
use super::resolver::parse_resolver;
use super::suggest::closest;
use super::tcp_mapping::parse_tcp_mapping;
use super::tls_context::parse_tls_context;
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::object::{Content, Location, Object, Problem, Severity};

/// `ambassador_id` where none is written.
const DEFAULT_ID: &str = "default";

/// Stands for the gateway's own namespace.
const AUTOMATIC_NAMESPACE: &str = "_automatic_";

/// Kinds that Emissary knows and this version doesn't serve.
const UNSUPPORTED_KINDS: &[&str] = &[
    "AuthService",
    "ConsulResolver",
    "DevPortal",
    "LogService",
    "RateLimitService",
    "TracingService",
];

/// Where a document was found, and what it inherits from there.
#[derive(Debug, Clone)]
pub(in crate::source) struct Place {
    /// Where it was written.
    pub(in crate::source) origin: Origin,
    /// Position of the document, from 0.
    pub(in crate::source) index: u32,
    /// The namespace of documents that name none.
    pub(in crate::source) namespace: Arc<str>,
    /// The generation of what it was found in.
    pub(in crate::source) generation: Option<i64>,
    /// The creation of what it was found in.
    pub(in crate::source) created: Option<i64>,
    /// The labels of documents that have none.
    pub(in crate::source) labels: Arc<BTreeMap<String, String>>,
}

/// What the parts of a document around its spec say.
pub(super) struct Envelope {
    pub(super) kind: Kind,
    pub(super) version: ApiVersion,
    pub(super) name: Option<Arc<str>>,
    pub(super) namespace: Arc<str>,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) location: Option<Location>,
    pub(super) spec: Vec<Entry>,
}

/// Without its spec an object would be read as one that says nothing, and a Host that says
/// nothing is every host.
pub(super) fn tell_no_map(spec: &Node, location: Option<Location>, problems: &mut Problems) {
    if spec.as_map().is_none() && !spec.is_null() {
        let message = format!("expected a map, found {}", spec.describe());
        problems.add_at(Severity::Error, "spec", location, message);
    }
}

/// Parses a document of an annotation or a file.
pub(in crate::source) fn parse_document(
    mut root: Node,
    place: &Place,
    settings: &ParseSettings,
) -> Object {
    // Kept as it was written: variables may hold what isn't everybody's to read.
    let document = matches!(place.origin, Origin::Annotation { .. })
        .then(|| Arc::from(root.to_json().to_string()));
    expand(&mut root, &settings.environment);
    let mut problems = Problems::default();
    let envelope = parse_envelope(root, place, settings, &mut problems);
    Object { document, ..build_object(envelope, place, settings, problems) }
}

/// The object of a document that can't be read at all, with where it begins.
pub(in crate::source) fn broken_document(
    problem: Problem,
    location: Option<Location>,
    place: &Place,
) -> Object {
    let mut problems = Problems::default();
    let envelope = Envelope {
        kind: Kind::Unknown,
        version: ApiVersion::V3Alpha1,
        name: None,
        namespace: Arc::clone(&place.namespace),
        labels: Arc::clone(&place.labels),
        location,
        spec: Vec::new(),
    };
    problems.push(problem);
    build_object(envelope, place, &ParseSettings::default(), problems)
}

/// v0, v1 and v2 mean the same here. `None` for groups and versions that aren't Emissary's.
pub(super) fn api_version(text: &str) -> Option<ApiVersion> {
    match text {
        "ambassador/v0"
        | "ambassador/v1"
        | "ambassador/v2"
        | "getambassador.io/v0"
        | "getambassador.io/v1"
        | "getambassador.io/v2" => Some(ApiVersion::Legacy),
        "ambassador/v3alpha1" | "getambassador.io/v3alpha1" => Some(ApiVersion::V3Alpha1),
        _ => None,
    }
}

fn parse_envelope(
    root: Node,
    place: &Place,
    settings: &ParseSettings,
    problems: &mut Problems,
) -> Envelope {
    let location = root.location;
    let Value::Map(top) = root.value else {
        let message = "a document has to be a map of fields, beginning with apiVersion and kind";
        problems.add_at(Severity::Error, "", location, message);
        return Envelope {
            kind: Kind::Unknown,
            version: ApiVersion::V3Alpha1,
            name: None,
            namespace: Arc::clone(&place.namespace),
            labels: Arc::clone(&place.labels),
            location,
            spec: Vec::new(),
        };
    };
    let mut spec = Vec::new();
    let mut meta = Meta::default();
    for entry in top {
        match entry.key.as_str() {
            "apiVersion" => meta.api_version = Some(entry),
            "kind" => meta.kind = Some(entry),
            "metadata" => match entry.value.value {
                Value::Map(entries) => entries.into_iter().for_each(|entry| meta.take(entry)),
                Value::Scalar { .. } | Value::List(_) => {}
            },
            "spec" => {
                tell_no_map(&entry.value, entry.location, problems);
                // Before the flat fields, which win in Emissary.
                if let Value::Map(entries) = entry.value.value {
                    drop(spec.splice(0..0, entries));
                }
            }
            "status" => {}
            "name" | "namespace" | "generation" | "metadata_labels" => meta.take(entry),
            _ => spec.push(entry),
        }
    }
    let version = meta.parse_version(location, problems);
    let kind = meta.parse_kind(location, problems);
    let namespace = match meta.text(&meta.namespace).filter(|text| !text.is_empty()) {
        Some(AUTOMATIC_NAMESPACE) => settings.namespace.as_str().into(),
        Some(text) => text.into(),
        None => Arc::clone(&place.namespace),
    };
    let name = meta.text(&meta.name).filter(|text| !text.is_empty()).map(Arc::from);
    if name.is_none() && kind != Kind::Unknown {
        let message = "is missing or not text; every document needs a name";
        problems.add_at(Severity::Error, "name", location, message);
    }
    let labels = meta.labels.and_then(parse_labels).map(Arc::new);
    let labels = labels.unwrap_or_else(|| Arc::clone(&place.labels));
    Envelope { kind, version, name, namespace, labels, location, spec }
}

/// The parts of the envelope as they were found.
#[derive(Default)]
struct Meta {
    api_version: Option<Entry>,
    kind: Option<Entry>,
    name: Option<Entry>,
    namespace: Option<Entry>,
    labels: Option<Node>,
}

impl Meta {
    fn take(&mut self, entry: Entry) {
        match entry.key.as_str() {
            "name" => self.name = Some(entry),
            "namespace" => self.namespace = Some(entry),
            "labels" | "metadata_labels" => self.labels = Some(entry.value),
            _ => {}
        }
    }

    fn text<'a>(&'a self, entry: &'a Option<Entry>) -> Option<&'a str> {
        let entry = entry.as_ref().filter(|entry| !entry.value.is_null())?;
        entry.value.as_text()
    }

    fn parse_version(&self, document: Option<Location>, problems: &mut Problems) -> ApiVersion {
        let Some(text) = self.text(&self.api_version) else {
            let message = "is missing; write apiVersion: getambassador.io/v3alpha1";
            problems.add_at(Severity::Error, "apiVersion", document, message);
            return ApiVersion::V3Alpha1;
        };
        api_version(text).unwrap_or_else(|| {
            let message = format!(
                "\"{text}\" is unknown; write getambassador.io/v3alpha1, or ambassador/v0 to v2 \
                 for older documents"
            );
            let location = self.api_version.as_ref().and_then(|entry| entry.location);
            problems.add_at(Severity::Error, "apiVersion", location, message);
            ApiVersion::V3Alpha1
        })
    }

    fn parse_kind(&self, document: Option<Location>, problems: &mut Problems) -> Kind {
        let location = self.kind.as_ref().and_then(|entry| entry.location).or(document);
        let mut severity = Severity::Error;
        let known = || Kind::WRITTEN.iter().map(|kind| kind.as_str());
        let all = || known().collect::<Vec<_>>().join(", ");
        let message = match self.text(&self.kind) {
            Some(kind) if UNSUPPORTED_KINDS.contains(&kind) => {
                severity = Severity::Unsupported;
                format!("{kind} is not supported by this version")
            }
            Some(kind) => match Kind::written(kind) {
                Some(kind) => return kind,
                None => match closest(kind, UNSUPPORTED_KINDS.iter().copied().chain(known())) {
                    Some(other) => format!("\"{kind}\" is not a known kind; did you mean {other}?"),
                    None => format!("\"{kind}\" is not a known kind; this version knows {}", all()),
                },
            },
            None => format!("is missing; this version knows {}", all()),
        };
        problems.add_at(severity, "kind", location, message);
        Kind::Unknown
    }
}

fn parse_labels(node: Node) -> Option<BTreeMap<String, String>> {
    let Value::Map(entries) = node.value else { return None };
    let text = |entry: Entry| match entry.value.value {
        Value::Scalar { text, .. } => Some((entry.key, text)),
        Value::List(_) | Value::Map(_) => None,
    };
    Some(entries.into_iter().filter_map(text).collect())
}

pub(super) fn build_object(
    envelope: Envelope,
    place: &Place,
    settings: &ParseSettings,
    mut problems: Problems,
) -> Object {
    let Envelope { kind, version, name, namespace, labels, location, mut spec } = envelope;
    if version == ApiVersion::Legacy {
        lift(kind.as_str(), &mut spec);
    }
    let fields = Fields { location, entries: &spec };
    let ambassador_id = parse_id(kind, &fields, &mut problems);
    let subject = Subject { kind, version, name: name.as_deref(), namespace: &namespace, settings };
    let content = parse_content(subject, &fields, &mut problems);
    let content = match content {
        Some(content) if !problems.has_errors() => content,
        Some(Content::Host(host)) => Content::Closed(host),
        Some(_) | None => Content::Rejected,
    };
    let name = name.unwrap_or_else(|| format!("document-{}", place.index + 1).into());
    Object {
        key: Arc::new(ObjectKey { kind, namespace, name, origin: place.origin.clone() }),
        uid: None,
        generation: place.generation,
        created: place.created,
        labels,
        ambassador_id,
        location,
        content,
        problems: problems.into_sorted(),
        document: None,
    }
}

/// Whose spec is read.
#[derive(Clone, Copy)]
struct Subject<'a> {
    kind: Kind,
    version: ApiVersion,
    name: Option<&'a str>,
    namespace: &'a Arc<str>,
    settings: &'a ParseSettings,
}

/// What a spec means, or `None` where a problem forbids it.
fn parse_content(
    subject: Subject<'_>,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Content> {
    let Subject { kind, version, name, namespace, settings } = subject;
    let content = match kind {
        Kind::Mapping => {
            let route = parse_mapping(fields, version, namespace, settings, problems)?;
            Content::Route(Arc::new(route))
        }
        Kind::TcpMapping => {
            let route = parse_tcp_mapping(fields, namespace, problems)?;
            Content::TcpRoute(Arc::new(route))
        }
        Kind::Listener => Content::Listener(Arc::new(parse_listener(fields, problems)?)),
        Kind::Host => Content::Host(Arc::new(parse_host(fields, namespace, problems)?)),
        Kind::TlsContext => {
            Content::TlsContext(Arc::new(parse_tls_context(fields, namespace, problems)))
        }
        Kind::Module => Content::Defaults(Arc::new(parse_module(name, fields, problems)?)),
        Kind::KubernetesServiceResolver | Kind::KubernetesEndpointResolver => {
            Content::Resolver(parse_resolver(kind, fields, problems)?)
        }
        Kind::Probe | Kind::Unknown => return None,
    };
    Some(content)
}

/// `ambassador_id`: a text or a list of texts in every version.
/// One for all objects that name no gateway: builds look at it for each of them.
static DEFAULT_IDS: LazyLock<Arc<[String]>> = LazyLock::new(|| Arc::from([DEFAULT_ID.to_owned()]));

fn parse_id(kind: Kind, fields: &Fields<'_>, problems: &mut Problems) -> Arc<[String]> {
    let default = || Arc::clone(&DEFAULT_IDS);
    // Hosts of version 2 have it in another spelling.
    let other = || fields.get("ambassadorId").filter(|_| kind == Kind::Host);
    let Some(field) = fields.get("ambassador_id").or_else(other) else { return default() };
    if matches!(&field.node.value, Value::Scalar { text, style: Style::Text } if text.is_empty()) {
        return default();
    }
    // An id that can't be read could be anyone's, so the object isn't ours to serve.
    let texts = field.texts(Severity::Error, problems);
    let ids: Vec<String> =
        texts.iter().filter_map(|field| field.node.as_text()).map(str::to_owned).collect();
    if ids.is_empty() { default() } else { ids.into() }
}
