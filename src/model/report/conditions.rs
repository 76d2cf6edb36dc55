//! The conditions that say what was found of an object.

use super::{Condition, ConditionKind, Detached, References, Report, Verdict};
use crate::model::date::utc;
use crate::model::object::{Problem, Severity};

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

    /// Conditions that are there only while they are true.
    pub fn occasional(&self) -> impl Iterator<Item = Condition> {
        let warning = self.warning.map(|warning| {
            condition(ConditionKind::Warning, true, warning.reason(), warning.to_string())
        });
        warning.into_iter().chain(self.stalled())
    }

    /// Says that only a change of this object can help, where that is so.
    ///
    /// kstatus reads this as failed, and tools that apply revisions give up at once. So it is not
    /// said of what another object may heal a moment later: a conflict, a Service that is missing.
    fn stalled(&self) -> Option<Condition> {
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
            References::Outdated(missing, kept) => {
                of(missing.reason(), format!("Served as before: {missing}; {kept}"))
            }
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
