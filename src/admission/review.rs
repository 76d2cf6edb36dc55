//! The judgement on one object that is about to be stored: the same parsing and the same build as
//! everywhere, over that object alone. Pure.
//!
//! What depends on other objects is not asked here: a Mapping may come before its Service, and
//! two changes of one `kubectl apply` would be judged in an order that nobody chose.

use std::sync::Arc;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use serde_json::Value;

use super::text::{as_denial, as_warnings};
use crate::model::key::{CarrierKind, Kind};
use crate::model::object::{Location, Object, Problem, Severity};
use crate::model::report::{Report, Verdict};
use crate::model::snapshot::{Defaults, Snapshot};
use crate::model::sorted::Sorted;
use crate::model::{Build, build};
use crate::source::parse::{ParseSettings, annotation_of, parse_annotation, parse_resource};

/// What the API server asks.
pub type Request = AdmissionRequest<DynamicObject>;

/// The HTTP code of a refusal, "bad request". Not 422: for that `kubectl apply --force` and Flux's
/// `force: true` delete the object to make it anew, which here would end a route that serves.
const REFUSED: u16 = 400;
const REFUSED_REASON: &str = "BadRequest";

/// What becomes of an object that can't work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is stored, and its author is told.
    Warn,
    /// It is refused.
    Deny,
}

/// What a judgement depends on besides the object.
#[derive(Debug, Clone)]
pub struct ReviewSettings {
    /// What parsing needs to know.
    pub parse: ParseSettings,
    /// `AMBASSADOR_ID`: objects that don't speak to this gateway are not judged.
    pub ambassador_id: String,
    /// The only namespace that is watched; objects elsewhere are not judged. `None` for all.
    pub single_namespace: Option<String>,
    /// For resources of our kinds.
    pub resources: Policy,
    /// For the documents of annotations.
    pub annotations: Policy,
}

/// Something to tell the author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// How much it matters. An error is refused. What this version can't do isn't: another gateway
    /// that reads the same objects may, and a later version will.
    pub(super) severity: Severity,
    /// Where it stands in the annotation.
    pub(super) location: Option<Location>,
    /// What is wrong and what to write instead.
    pub(super) text: String,
}

/// The kinds that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Resource(Kind),
    Carrier(CarrierKind),
}

/// Judges what is about to be stored. Whatever isn't ours to judge is allowed without a word.
pub fn review(request: &Request, settings: &ReviewSettings) -> AdmissionResponse {
    let allowed = AdmissionResponse::from(request);
    let Some(subject) = subject(request) else { return allowed };
    let elsewhere = |own: &String| request.namespace.as_ref() != Some(own);
    if settings.single_namespace.as_ref().is_some_and(elsewhere) {
        return allowed;
    }
    let before = request.old_object.as_ref().map(|object| complete(object, request));
    let Some(now) = request.object.as_ref().map(|object| complete(object, request)) else {
        return allowed;
    };
    if before.as_ref().is_some_and(|before| says_the_same(subject, before, &now)) {
        return allowed;
    }
    let found = findings(subject, &now, settings);
    let (policy, place) = match subject {
        Subject::Resource(_) => (settings.resources, None),
        Subject::Carrier(_) => (settings.annotations, Some(annotation_name())),
    };
    let known = || before.map_or_else(Vec::new, |before| findings(subject, &before, settings));
    let denied = policy == Policy::Deny && has_new_errors(&found, known);
    let told_by_denial = |finding: &&Finding| denied && finding.severity == Severity::Error;
    let (errors, others): (Vec<_>, Vec<_>) = found.iter().partition(told_by_denial);
    let warnings = as_warnings(&others, place);
    let answer = match denied {
        true => refuse(allowed, &as_denial(&errors, place)),
        false => allowed,
    };
    with_warnings(answer, warnings)
}

fn annotation_name() -> &'static str {
    crate::source::annotation::CONFIG_ANNOTATION
}

fn refuse(response: AdmissionResponse, message: &str) -> AdmissionResponse {
    let mut response = response.deny(message);
    response.result.code = REFUSED;
    response.result.reason = REFUSED_REASON.to_owned();
    response
}

fn with_warnings(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    response.warnings = (!warnings.is_empty()).then_some(warnings);
    response
}

/// What the request is about; `None` for what is never judged.
fn subject(request: &Request) -> Option<Subject> {
    let stores = matches!(request.operation, Operation::Create | Operation::Update);
    let whole = request.sub_resource.as_deref().is_none_or(str::is_empty);
    if !(stores && whole) {
        return None;
    }
    match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("getambassador.io", kind) => Kind::written(kind).map(Subject::Resource),
        ("", "Service") => Some(Subject::Carrier(CarrierKind::Service)),
        ("networking.k8s.io", "Ingress") => Some(Subject::Carrier(CarrierKind::Ingress)),
        _ => None,
    }
}

/// The object as it will be stored. One that is to be named by the API server has no name yet,
/// and goes by how that begins.
fn complete(object: &DynamicObject, request: &Request) -> Value {
    let mut object = object.clone();
    let meta = &mut object.metadata;
    if meta.namespace.is_none() {
        meta.namespace.clone_from(&request.namespace);
    }
    if meta.name.as_ref().is_none_or(String::is_empty) {
        let named = Some(&request.name).filter(|name| !name.is_empty()).cloned();
        meta.name = Some(named.or_else(|| meta.generate_name.clone()).unwrap_or_default());
    }
    // It was read from JSON, so that it can be written as such.
    serde_json::to_value(&object).unwrap_or_default()
}

/// Whether nothing that is judged differs: controllers, labels and finalizers must never be
/// stopped by what somebody else wrote.
fn says_the_same(subject: Subject, before: &Value, now: &Value) -> bool {
    match subject {
        Subject::Resource(_) => before["spec"] == now["spec"],
        Subject::Carrier(kind) => {
            let text = |raw| annotation_of(kind, raw).map(|(text, _)| text);
            text(before) == text(now)
        }
    }
}

/// Whether an error is among what was found that wasn't there before: an object that is broken
/// already may be changed as long as that makes nothing worse.
fn has_new_errors(found: &[Finding], known: impl FnOnce() -> Vec<Finding>) -> bool {
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let mut errors = found.iter().filter(is_error).peekable();
    if errors.peek().is_none() {
        return false;
    }
    let known = known();
    // Places move when other lines change.
    errors.any(|error| !known.iter().filter(is_error).any(|known| known.text == error.text))
}

/// Everything to be said about an object, in the order of its text.
fn findings(subject: Subject, raw: &Value, settings: &ReviewSettings) -> Vec<Finding> {
    let objects = match subject {
        Subject::Resource(kind) => vec![Arc::new(parse_resource(kind, raw, &settings.parse))],
        Subject::Carrier(kind) => match annotation_of(kind, raw) {
            Some((text, carrier)) => parse_annotation(text, &carrier, &settings.parse),
            None => Vec::new(),
        },
    };
    let mut found: Vec<Finding> =
        judge(objects, settings).iter().flat_map(|report| findings_of(report)).collect();
    found.sort_by_key(|finding| finding.location);
    found
}

/// The reports on these objects, as if they were the only ones. Those of other gateways have none.
fn judge(objects: Vec<Arc<Object>>, settings: &ReviewSettings) -> Sorted<Arc<Report>> {
    let defaults =
        Defaults { ambassador_id: settings.ambassador_id.clone(), ..Defaults::default() };
    let objects = objects.into_iter().collect();
    build(&Snapshot { objects, defaults, ..Snapshot::default() }, &Build::default()).reports
}

fn findings_of(report: &Report) -> Vec<Finding> {
    let object = &report.object;
    let of_problem = |problem: &Problem| Finding {
        severity: problem.severity,
        location: problem.location.or(object.location),
        text: problem.to_string(),
    };
    let mut found: Vec<Finding> = object.problems.iter().map(of_problem).collect();
    // What it names may well be there; the build that serves knows.
    if !matches!(report.verdict, Verdict::Accepted | Verdict::Rejected | Verdict::Unresolved(_)) {
        // Valid, but not served: a Mapping without a host, or two documents of one name.
        let [accepted, ..] = report.conditions();
        found.push(Finding {
            severity: Severity::Warning,
            location: object.location,
            text: accepted.message,
        });
    }
    found
}
