//! PURE: what is to be written of a status, given what stands there.

use serde::Serialize;

use crate::controller::replicas::Standing;
use crate::model::key::Kind;
use crate::model::report::{Condition, ConditionKind, Report};
use crate::source::ObservedStatus;

/// The longest message that the schema of conditions allows, in characters
/// (`metav1.Condition.message`).
const MAX_MESSAGE: usize = 32_768;

/// Which fields the kind's definition knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusForm {
    /// Conditions, `observedGeneration`, and Emissary's `state` and `reason`: our definition of
    /// Mapping.
    Full,
    /// Without `observedGeneration`: the definition of Mapping of version 0.1.
    FullBefore02,
    /// Conditions and `observedGeneration` alone: all kinds but Mapping.
    Conditions,
    /// Conditions alone: the definition of AnnotatedResource of version 0.1.
    ConditionsBefore02,
    /// `state` and `reason` alone: Emissary's definition of Mapping.
    State,
    /// Nothing: Emissary's definition of Host.
    Nothing,
}

impl StatusForm {
    /// What is left of this form when a definition refuses a field of it in these words.
    pub fn without(self, refusal: &str) -> Self {
        let is_dated = !refusal.contains(".status.conditions:")
            && refusal.contains(".status.observedGeneration:");
        match self {
            Self::Full | Self::FullBefore02 if is_dated => Self::FullBefore02,
            Self::Full | Self::FullBefore02 | Self::State => Self::State,
            Self::Conditions if is_dated => Self::ConditionsBefore02,
            Self::Conditions | Self::ConditionsBefore02 | Self::Nothing => Self::Nothing,
        }
    }

    /// All that our definition of a kind knows.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Mapping => Self::Full,
            _ => Self::Conditions,
        }
    }

    fn has_state(self) -> bool {
        matches!(self, Self::Full | Self::FullBefore02 | Self::State)
    }

    fn has_conditions(self) -> bool {
        !matches!(self, Self::State | Self::Nothing)
    }

    fn has_generation(self) -> bool {
        matches!(self, Self::Full | Self::Conditions)
    }
}

/// What was found of an object.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// What the build found. Its configuration must be served by this replica.
    pub report: &'a Report,
    /// Whether the other replicas serve it too.
    pub standing: &'a Standing,
}

/// The status to write: all fields of it that are ours, by server-side apply. The API server
/// keeps what other writers own, their conditions included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusPatch {
    /// Emissary's `Mapping.status.state`: `Running` or `Inactive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Emissary's `Mapping.status.reason`: why it is inactive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The generation that the status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Our conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PatchedCondition>,
}

/// A condition to write (`metav1.Condition`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchedCondition {
    /// Its type.
    pub r#type: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The generation that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last flipped, RFC 3339.
    pub last_transition_time: String,
}

/// What to write so that the status says what was found of `generation`; `None` if it says so
/// already.
pub fn plan(
    finding: Finding<'_>,
    observed: Option<&ObservedStatus>,
    generation: Option<i64>,
    form: StatusForm,
    now: jiff::Timestamp,
) -> Option<StatusPatch> {
    if form == StatusForm::Nothing {
        return None;
    }
    let found = conditions(finding);
    let (state, reason) = if form.has_state() { state(&found) } else { (None, None) };
    let conditions = found
        .into_iter()
        .chain(finding.report.occasional())
        .filter(|_| form.has_conditions())
        .map(|condition| plan_condition(condition, observed, generation, now))
        .collect();
    let observed_generation = generation.filter(|_| form.has_generation());
    let patch = StatusPatch { state, reason, observed_generation, conditions };
    (!is_observed(&patch, observed, form)).then_some(patch)
}

/// The conditions, in the light of what the other replicas serve.
fn conditions(finding: Finding<'_>) -> [Condition; 4] {
    let mut found = finding.report.conditions();
    let told = [ConditionKind::Programmed, ConditionKind::Ready];
    for condition in found.iter_mut().filter(|c| c.status && told.contains(&c.kind)) {
        match finding.standing {
            Standing::Everywhere => {}
            Standing::Pending(text) => {
                condition.status = false;
                condition.reason = "Pending";
                condition.message = text.to_string();
            }
            Standing::Except(text) => condition.message.push_str(text),
        }
    }
    found
}

/// Emissary's summary of an object.
fn state(conditions: &[Condition]) -> (Option<&'static str>, Option<String>) {
    match conditions.iter().find(|condition| condition.kind == ConditionKind::Accepted) {
        Some(accepted) if !accepted.status => (Some("Inactive"), Some(accepted.message.clone())),
        _ => (Some("Running"), None),
    }
}

fn plan_condition(
    condition: Condition,
    observed: Option<&ObservedStatus>,
    generation: Option<i64>,
    now: jiff::Timestamp,
) -> PatchedCondition {
    let r#type = condition.kind.as_str();
    let status = if condition.status { "True" } else { "False" };
    let since = observed
        .and_then(|observed| observed.conditions.iter().find(|before| before.kind == r#type))
        .filter(|before| before.status == status && !before.last_transition_time.is_empty())
        .map(|before| before.last_transition_time.clone());
    PatchedCondition {
        r#type,
        status,
        reason: condition.reason,
        message: shorten(condition.message, MAX_MESSAGE),
        observed_generation: generation,
        last_transition_time: since
            .unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    }
}

fn is_observed(patch: &StatusPatch, observed: Option<&ObservedStatus>, form: StatusForm) -> bool {
    let Some(observed) = observed else { return false };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let state_stands = !form.has_state()
        || (observed.state.as_deref() == patch.state
            && text(&observed.reason) == text(&patch.reason));
    let generation_stands =
        !form.has_generation() || observed.observed_generation == patch.observed_generation;
    // Applying without one takes it away, if it is ours.
    let is_over = |kind: ConditionKind| {
        let kind = kind.as_str();
        observed.conditions.iter().any(|c| c.kind == kind && c.status == "True")
            && !patch.conditions.iter().any(|c| c.r#type == kind)
    };
    let any_is_over = form.has_conditions()
        && [ConditionKind::Stalled, ConditionKind::Warning].map(is_over) != [false; 2];
    state_stands
        && generation_stands
        && !any_is_over
        && patch.conditions.iter().all(|wanted| {
            observed.conditions.iter().any(|before| {
                before.kind == wanted.r#type
                    && before.status == wanted.status
                    && before.reason == wanted.reason
                    && before.message == wanted.message
                    && before.observed_generation == wanted.observed_generation
            })
        })
}

/// Cuts a text to `limit` characters, the last of them an ellipsis.
pub(crate) fn shorten(mut text: String, limit: usize) -> String {
    if text.len() <= limit || text.chars().count() <= limit {
        return text;
    }
    let end = text.char_indices().nth(limit.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.push('…');
    text
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
