//! What a build found of each object, and the conditions that say so.

use std::sync::Arc;

use super::cluster::ServiceRef;
use super::key::{ObjectKey, ServiceKey};
use super::object::{Object, Problem, Severity};

/// The verdict on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The object, with its problems.
    pub object: Arc<Object>,
    /// Whether it is part of the configuration.
    pub verdict: Verdict,
    /// Whether what it names exists.
    pub references: References,
}

/// Whether an object is part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and the object's problems (if any) cost single fields only.
    Accepted,
    /// It isn't: the object's problems say why.
    Rejected,
    /// Another object has the same kind, namespace and name.
    Shadowed {
        /// The one that is served.
        winner: Box<ObjectKey>,
        /// Why it is that one.
        rule: ShadowRule,
    },
    /// It can't live beside another object of the same match.
    Conflicted {
        /// The one that was there first.
        with: Box<ObjectKey>,
        /// What can't be had together.
        conflict: Conflict,
    },
    /// It names no host, so nothing attaches it.
    NotAttached,
    /// It asks for copies of requests that nothing else takes.
    NothingToCopy,
}

/// Why one object shadows another of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowRule {
    /// A resource beats a document of an annotation.
    ResourceFirst,
    /// A document in its carrier's own namespace beats one that names another namespace.
    OwnNamespaceFirst,
    /// The older beats the younger.
    OlderFirst,
    /// The first by order of their keys.
    KeyOrder,
}

/// What can't be had together in one route group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// A redirect and a forwarding route, or two redirects.
    Redirect,
    /// The weights of the group would add up to more than 100.
    Weight {
        /// This object's own weight.
        own: u8,
        /// What the older members leave.
        left: u8,
    },
    /// A second mirror.
    Mirror,
}

/// Whether what an object names exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum References {
    /// All of it.
    Resolved,
    /// There is no such Service.
    ServiceNotFound(ServiceKey),
    /// The Service has no such port; its ports follow.
    PortNotFound(ServiceRef, Vec<u16>),
    /// The Service has no ready endpoint.
    NoEndpoints(ServiceKey),
}

/// A condition of `status.conditions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionKind,
    /// True or False.
    pub status: bool,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for the author of the object.
    pub message: String,
}

/// The types of conditions on every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// It is valid and part of the merged configuration.
    Accepted,
    /// What it names exists.
    ResolvedRefs,
    /// The proxies serve this generation.
    Programmed,
    /// The summary.
    Ready,
    /// Waiting is no use: only a change of this object can help. Said where it is so, and absent
    /// otherwise.
    Stalled,
}

impl ConditionKind {
    /// The condition's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
        }
    }
}

impl Report {
    /// Whether the object is part of the configuration.
    pub fn is_accepted(&self) -> bool {
        self.verdict == Verdict::Accepted
    }

    /// Whether anything of it is wrong enough to fail a check.
    pub fn has_errors(&self) -> bool {
        !self.is_accepted()
            || self.object.problems.iter().any(|problem| problem.severity != Severity::NoEffect)
    }

    /// The four conditions that every object has, given that the configuration that holds this report is served.
    pub fn conditions(&self) -> [Condition; 4] {
        let accepted = self.accepted();
        let references = self.resolved_refs();
        let programmed = condition(
            ConditionKind::Programmed,
            accepted.status,
            if accepted.status { "Programmed" } else { "NotAccepted" },
            match accepted.status {
                true => "The gateway serves this generation".to_owned(),
                false => "Nothing of this object is served".to_owned(),
            },
        );
        let ready = match (accepted.status, references.status) {
            (true, true) => {
                condition(ConditionKind::Ready, true, "Ready", "Accepted and served".to_owned())
            }
            (false, _) => {
                condition(ConditionKind::Ready, false, accepted.reason, accepted.message.clone())
            }
            (true, false) => condition(
                ConditionKind::Ready,
                false,
                references.reason,
                references.message.clone(),
            ),
        };
        [accepted, references, programmed, ready]
    }

    /// Says that only a change of this object can help, where that is so.
    ///
    /// kstatus reads this as failed, and tools that apply revisions give up at once. So it is not
    /// said of what another object may heal a moment later: a conflict, a Service that is missing.
    pub fn stalled(&self) -> Option<Condition> {
        if !matches!(self.verdict, Verdict::Rejected | Verdict::NotAttached) {
            return None;
        }
        let Condition { reason, message, .. } = self.accepted();
        Some(condition(ConditionKind::Stalled, true, reason, message))
    }

    fn accepted(&self) -> Condition {
        let of =
            |status, reason, message| condition(ConditionKind::Accepted, status, reason, message);
        match &self.verdict {
            Verdict::Rejected => of(false, "Invalid", self.problem_text(Severity::is_fatal)),
            Verdict::NotAttached => of(
                false,
                "NotAttached",
                "Nothing attaches this object because it names no host: set spec.hostname, to \"*\" for every host"
                    .to_owned(),
            ),
            Verdict::NothingToCopy => of(
                false,
                "NothingToCopy",
                "No other Mapping with the same match forwards requests that could be copied: add one, or remove shadow"
                    .to_owned(),
            ),
            Verdict::Shadowed { winner, rule } => of(
                false,
                "Shadowed",
                format!("{winner} has the same kind, namespace and name and is served instead: {}", rule.text()),
            ),
            Verdict::Conflicted { with, conflict } => of(false, "Conflicted", conflict.text(with)),
            Verdict::Accepted => self.accepted_with_problems(),
        }
    }

    fn accepted_with_problems(&self) -> Condition {
        let of = |reason, message| condition(ConditionKind::Accepted, true, reason, message);
        let warnings = self.problem_text(|severity| severity == Severity::Warning);
        let idle: Vec<&str> = self
            .object
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::NoEffect)
            .filter(|problem| problem.message == Problem::NO_EFFECT)
            .filter_map(|problem| problem.field.as_deref())
            .collect();
        let mut no_effect = match idle.as_slice() {
            [] => String::new(),
            [one] => format!("this field has no effect in this version: {one}"),
            more => format!("these fields have no effect in this version: {}", more.join(", ")),
        };
        let explained = self.explained();
        if !explained.is_empty() && !no_effect.is_empty() {
            no_effect.push_str("; ");
        }
        no_effect.push_str(&explained);
        match (warnings.is_empty(), no_effect.is_empty()) {
            (true, true) => of("Accepted", "Valid and part of the configuration".to_owned()),
            (true, false) => of("NotSupported", format!("Accepted, but {no_effect}")),
            (false, true) => of("PartiallyInvalid", warnings),
            (false, false) => of("PartiallyInvalid", format!("{warnings}; {no_effect}")),
        }
    }

    /// Fields without effect of which more is to be said than that.
    fn explained(&self) -> String {
        let problems = self.object.problems.iter();
        let texts: Vec<String> = problems
            .filter(|problem| problem.severity == Severity::NoEffect)
            .filter(|problem| problem.message != Problem::NO_EFFECT)
            .map(ToString::to_string)
            .collect();
        texts.join("; ")
    }

    fn problem_text(&self, tells: impl Fn(Severity) -> bool) -> String {
        let problems = self.object.problems.iter().filter(|problem| tells(problem.severity));
        let texts: Vec<String> = problems
            .map(|problem| match problem.location {
                Some(at) => format!("{at}: {problem}"),
                None => problem.to_string(),
            })
            .collect();
        texts.join("; ")
    }

    fn resolved_refs(&self) -> Condition {
        let of = |reason, message| condition(ConditionKind::ResolvedRefs, false, reason, message);
        match &self.references {
            References::Resolved => condition(
                ConditionKind::ResolvedRefs,
                true,
                "ResolvedRefs",
                "Everything that this object names exists".to_owned(),
            ),
            References::ServiceNotFound(service) => of(
                "ServiceNotFound",
                format!("There is no Service {} in namespace {}", service.name, service.namespace),
            ),
            References::PortNotFound(reference, ports) => of(
                "PortNotFound",
                format!(
                    "Service {} in namespace {} has no port {}; it has {}",
                    reference.service.name,
                    reference.service.namespace,
                    reference.port,
                    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
                ),
            ),
            References::NoEndpoints(service) => of(
                "NoEndpoints",
                format!(
                    "Service {} in namespace {} has no ready endpoint",
                    service.name, service.namespace
                ),
            ),
        }
    }
}

impl ShadowRule {
    fn text(self) -> &'static str {
        match self {
            Self::ResourceFirst => "a resource comes before an annotation",
            Self::OwnNamespaceFirst => {
                "a document in its carrier's own namespace comes before one that names another"
            }
            Self::OlderFirst => "the older comes first",
            Self::KeyOrder => "both are of the same age, and it comes first by name",
        }
    }
}

impl Conflict {
    fn text(self, with: &ObjectKey) -> String {
        match self {
            Self::Redirect => format!(
                "{with} has the same match: a match can have one redirect, or routes that forward, but not both"
            ),
            Self::Mirror => format!(
                "{with} has the same match and gets the copies already: a match can have one shadow"
            ),
            Self::Weight { own, left } => format!(
                "the weight {own} is more than the {left} that older objects with the same match leave of 100, the last of them {with}"
            ),
        }
    }
}

fn condition(
    kind: ConditionKind,
    status: bool,
    reason: &'static str,
    message: String,
) -> Condition {
    Condition { kind, status, reason, message }
}
