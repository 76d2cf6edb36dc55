//! What a build found of each object, and the conditions that say so.

use std::fmt;
use std::sync::Arc;

use super::cluster::ServiceRef;
use super::date::utc;
use super::key::{ObjectKey, ServiceKey};
use super::object::{Object, Problem, Severity};
use super::written::PemSource;

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
    /// Nothing serves it.
    NotAttached(Detached),
    /// It names something without which it can't be served safely.
    Unresolved(Box<Missing>),
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

impl Detached {
    fn text(self) -> &'static str {
        match self {
            Self::Unnamed => {
                "Nothing attaches this object because it names no host: set spec.hostname, to \"*\" for every host"
            }
            Self::NoHost => {
                "No Host serves the host that this object names: add a Host of that name, or set spec.hostname to one that there is"
            }
            Self::NotSelected => {
                "The Hosts of this name select objects by labels that this one doesn't have: see the mappingSelector of the Host"
            }
            Self::NoListener => {
                "No Listener takes this Host: see the hostBinding of the Listeners, its namespace and its labels"
            }
        }
    }
}

impl Missing {
    /// A word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Resolver(_) => "ResolverNotFound",
            Self::Context(_) => "TLSContextNotFound",
            Self::Secret(_, SecretFault::NotRead) => "SecretNotRead",
            Self::Secret(_, SecretFault::NotFound) => "SecretNotFound",
            Self::Secret(_, SecretFault::Forbidden(_)) => "SecretForbidden",
            Self::Secret(_, SecretFault::Invalid(_) | SecretFault::Empty(_)) => "SecretInvalid",
            Self::Certificate | Self::OneCertificate(..) | Self::Authorities => "TLSInvalid",
            Self::Termination => "TLSContextNotFound",
        }
    }
}

/// As a sentence without its final full stop.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(name) => write!(
                f,
                "there is no resolver \"{name}\"; write kubernetes-service, kubernetes-endpoint, or the name of a resolver object"
            ),
            Self::Context(name) => write!(f, "there is no TLSContext \"{name}\""),
            Self::Secret(source, fault) => match fault {
                SecretFault::NotRead => write!(f, "{source} hasn't been read yet"),
                SecretFault::NotFound => write!(f, "there is no {source}"),
                SecretFault::Forbidden(text) => write!(f, "{source} may not be read: {text}"),
                SecretFault::Invalid(text) => write!(f, "{source} can't be used: {text}"),
                SecretFault::Empty(part) => write!(f, "{source} holds no {part}"),
            },
            Self::Certificate => f.write_str(
                "its TLS settings name no certificate; set tlsSecret, or secret in the TLSContext",
            ),
            Self::OneCertificate(one, other) => write!(
                f,
                "its certificate is that of {one} and of {other} at once; name it in one place only"
            ),
            Self::Authorities => f.write_str(
                "clients' certificates are asked for, but nothing says who may have signed them; set ca_secret",
            ),
            Self::Termination => f.write_str(
                "its host has no certificate: add a Host with TLS of that name, or a TLSContext that lists it in hosts, or let TLS pass with tls_passthrough: true",
            ),
        }
    }
}

impl Conflict {
    fn text(self, with: &ObjectKey) -> String {
        match self {
            Self::Name => format!(
                "{with} has the same name and is used instead: of this kind one is used in the whole cluster"
            ),
            Self::Port(port) => format!("{with} listens on port {port} already"),
            Self::Tls => format!("{with} is for the same host and has other TLS settings"),
            Self::Redirect => format!(
                "{with} has the same match: a match can have one redirect, or routes that forward, but not both"
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
