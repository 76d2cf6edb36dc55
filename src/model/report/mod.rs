//! What a build found of each object, and the conditions that say so.

mod text;

use std::sync::Arc;

use crate::model::cluster::ServiceRef;
use crate::model::date::utc;
use crate::model::key::{ObjectKey, ServiceKey};
use crate::model::object::{Object, Problem, Severity};
use crate::model::tls::TlsFault;
use crate::model::written::PemSource;

/// The verdict on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The object, with its problems.
    pub object: Arc<Object>,
    /// Whether it is part of the configuration.
    pub verdict: Verdict,
    /// Whether what it names exists.
    pub references: References,
    /// Why it can't be served although it is right (a port that is taken), for people.
    pub failure: Option<Arc<str>>,
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
        winner: Arc<ObjectKey>,
        /// Why it is that one.
        rule: ShadowRule,
    },
    /// It can't live beside another object of the same match.
    Conflicted {
        /// The one that was there first.
        with: Arc<ObjectKey>,
        /// What can't be had together.
        conflict: Conflict,
    },
    /// Nothing serves it.
    NotAttached(Detached),
    /// It names something without which it can't be served safely.
    Unresolved(Box<Missing>),
    /// It asks for copies of requests that nothing else takes.
    NothingToCopy,
}

/// Why nothing serves an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detached {
    /// A route that names no host, and whose labels no Host selects.
    Unnamed,
    /// A route whose host no Host serves.
    NoHost,
    /// A route without the labels that the Hosts of its name ask for.
    NotSelected,
    /// A Host that no Listener takes.
    NoListener,
}

/// What an object names and can't be served without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no such resolver.
    Resolver(Arc<str>),
    /// There is no such TLSContext.
    Context(Arc<str>),
    /// Something of a Secret, or of files.
    Secret(PemSource, SecretFault),
    /// It names settings of TLS, but no certificate.
    Certificate,
    /// It names two certificates.
    OneCertificate(PemSource, PemSource),
    /// Clients' certificates are asked for, but nobody says who may have signed them.
    Authorities,
    /// Its settings of TLS leave nothing that could be spoken.
    Unspoken(TlsFault),
    /// A TCPMapping's host has no certificate.
    Termination,
}

/// What is wrong with a Secret, or with files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFault {
    /// They haven't been read yet.
    NotRead,
    /// They don't exist.
    NotFound,
    /// They may not be read; the text says what would let it.
    Forbidden(Arc<str>),
    /// They hold something else; the text says what is wrong.
    Invalid(Arc<str>),
    /// They hold no such thing.
    Empty(&'static str),
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
    /// Two objects of a kind that is looked up by its name alone.
    Name,
    /// Two Listeners with one port.
    Port(u16),
    /// Two objects of one host with different TLS.
    Tls,
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
    /// Something else; what doesn't need it is served.
    Missing(Box<Missing>),
    /// A certificate is served although clients refuse it: its time, in seconds since 1970, is
    /// over.
    Expired(i64),
    /// The same, because its time hasn't come.
    NotYetValid(i64),
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
        let programmed = self.programmed(accepted.status);
        // The first that is wrong is the cause of the others.
        let wrong = [&accepted, &references, &programmed];
        let ready = match wrong.into_iter().find(|condition| !condition.status) {
            None => {
                condition(ConditionKind::Ready, true, "Ready", "Accepted and served".to_owned())
            }
            Some(Condition { reason, message, .. }) => {
                condition(ConditionKind::Ready, false, reason, message.clone())
            }
        };
        [accepted, references, programmed, ready]
    }

    /// Says that only a change of this object can help, where that is so.
    ///
    /// kstatus reads this as failed, and tools that apply revisions give up at once. So it is not
    /// said of what another object may heal a moment later: a conflict, a Service that is missing.
    pub fn stalled(&self) -> Option<Condition> {
        let hopeless = Verdict::NotAttached(Detached::Unnamed);
        if self.verdict != Verdict::Rejected && self.verdict != hopeless {
            return None;
        }
        let Condition { reason, message, .. } = self.accepted();
        Some(condition(ConditionKind::Stalled, true, reason, message))
    }

    fn programmed(&self, accepted: bool) -> Condition {
        let of = |status, reason, message: &str| {
            condition(ConditionKind::Programmed, status, reason, message.to_owned())
        };
        match (&self.failure, accepted) {
            (_, false) => of(false, "NotAccepted", "Nothing of this object is served"),
            (Some(failure), true) => of(false, "NotListening", failure),
            (None, true) => of(true, "Programmed", "The gateway serves this generation"),
        }
    }

    fn accepted(&self) -> Condition {
        let of =
            |status, reason, message| condition(ConditionKind::Accepted, status, reason, message);
        match &self.verdict {
            Verdict::Rejected => of(false, "Invalid", self.problem_text(Severity::is_fatal)),
            Verdict::NothingToCopy => of(
                false,
                "NothingToCopy",
                "No other Mapping with the same match forwards requests that could be copied: add one, or remove shadow"
                    .to_owned(),
            ),
            Verdict::NotAttached(why) => of(false, "NotAttached", why.text().to_owned()),
            Verdict::Unresolved(missing) => {
                of(false, missing.reason(), format!("Nothing of this is served: {missing}"))
            }
            Verdict::Shadowed { winner, rule } => of(
                false,
                "Shadowed",
                format!(
                    "{winner} has the same kind, namespace and name and is served instead: {}",
                    rule.text()
                ),
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
        if let Verdict::Unresolved(missing) = &self.verdict {
            return of(missing.reason(), missing.to_string());
        }
        match &self.references {
            References::Missing(missing) => of(missing.reason(), missing.to_string()),
            References::Expired(at) => of(
                "CertificateExpired",
                format!(
                    "The certificate is served, but clients refuse it: it was valid until {}",
                    utc(*at)
                ),
            ),
            References::NotYetValid(at) => of(
                "CertificateNotYetValid",
                format!(
                    "The certificate is served, but clients refuse it: it is valid from {} on",
                    utc(*at)
                ),
            ),
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

fn condition(
    kind: ConditionKind,
    status: bool,
    reason: &'static str,
    message: String,
) -> Condition {
    Condition { kind, status, reason, message }
}
