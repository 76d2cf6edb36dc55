//! The status that all kinds share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What became of the object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = pending()))]
pub struct ObjectStatus {
    /// Emissary's summary: Running while the object is part of the configuration, Inactive
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why the object is inactive: the first thing that is wrong, and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The `metadata.generation` that this status speaks of; older than the object's own means
    /// that the last change hasn't been looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What is known about the object, one entry a type: Accepted (it is valid and part of the
    /// configuration), ResolvedRefs (what it names exists), Programmed (the proxies serve this
    /// generation), and Ready, the summary of the others, as in
    /// `kubectl wait --for=condition=Ready`. Stalled is there only while it is True: waiting is no
    /// use, because only a change of this object can help. So is Warning: something will go wrong
    /// later, such as a certificate that expires soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Option<Vec<Condition>>,
}

/// What became of an object, in conditions alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = pending()))]
pub struct ConditionStatus {
    /// The `metadata.generation` that this status speaks of; older than the object's own means
    /// that the last change hasn't been looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What is known about the object, one entry a type: Accepted (it is valid and part of the
    /// configuration), ResolvedRefs (what it names exists), Programmed (the proxies serve this
    /// generation), and Ready, the summary of the others, as in
    /// `kubectl wait --for=condition=Ready`. Stalled is there only while it is True: waiting is no
    /// use, because only a change of this object can help. So is Warning: something will go wrong
    /// later, such as a certificate that expires soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Option<Vec<Condition>>,
}

/// What became of a Host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = pending()))]
pub struct HostStatus {
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Unknown", "None", "Other", "ACME"]))]
    pub tls_certificate_source: Option<String>,
    /// Emissary's; the gateway doesn't write it. See the condition Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Initial", "Pending", "Ready", "Error"]))]
    pub state: Option<String>,
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [
        "NA", "DefaultsFilled", "ACMEUserPrivateKeyCreated", "ACMEUserRegistered",
        "ACMECertificateChallenge"
    ]))]
    pub phase_completed: Option<String>,
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [
        "NA", "DefaultsFilled", "ACMEUserPrivateKeyCreated", "ACMEUserRegistered",
        "ACMECertificateChallenge"
    ]))]
    pub phase_pending: Option<String>,
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub error_timestamp: Option<String>,
    /// Emissary's; the gateway doesn't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_backoff: Option<String>,
    /// The `metadata.generation` that this status speaks of; older than the object's own means
    /// that the last change hasn't been looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What is known about the object, one entry a type: Accepted (it is valid and part of the
    /// configuration), ResolvedRefs (what it names exists), Programmed (the proxies serve this
    /// generation), and Ready, the summary of the others, as in
    /// `kubectl wait --for=condition=Ready`. Stalled is there only while it is True: waiting is no
    /// use, because only a change of this object can help. So is Warning: something will go wrong
    /// later, such as a certificate that expires soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Option<Vec<Condition>>,
}

/// One thing that is known about an object (Kubernetes' `metav1.Condition`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about, such as Ready.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub kind: String,
    /// Whether it is so: True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The `metadata.generation` that this was found of; older than the object's own means that
    /// the last change hasn't been looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why, as one word for programs.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, as a sentence for people: what is wrong, where, and what to write instead.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// The status that the API server shows of an object until a gateway has written one.
///
/// Without it, tools would take an object that nobody has looked at for one that is fine. Ready
/// is a condition that every gateway writes, so that this entry never stays beside others.
fn pending() -> Value {
    json!({
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "No gateway has looked at this object yet",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}
