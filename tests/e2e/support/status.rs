//! What the gateway says of objects: conditions and events.

use serde_json::Value;

use super::{Namespace, PATIENCE, wait_until};

/// A condition of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) generation: i64,
}

/// One condition of an object's JSON.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<Condition> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        generation: found["observedGeneration"].as_i64().unwrap_or_default(),
    })
}

/// Whether an object is Ready, in the generation that it has now.
pub(crate) fn is_ready(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|ready| {
        ready.status == "True"
            && object["metadata"]["generation"].as_i64() == Some(ready.generation)
    })
}

impl Namespace {
    /// `kubectl wait --for=condition=Ready`, as users do.
    #[track_caller]
    pub(crate) fn wait_ready(&self, what: &str) {
        let limit = format!("--timeout={}s", PATIENCE.as_secs());
        self.kubectl(&["wait", "--for=condition=Ready", what, &limit]);
    }

    /// Waits for a condition with this status and reason, and gives its message.
    #[track_caller]
    pub(crate) fn told(&self, what: &str, kind: &str, verdict: (&str, &str)) -> String {
        wait_until(&format!("{what}: {kind} {verdict:?}"), PATIENCE, || {
            let object = self.get(what)?;
            let found = condition(&object, kind).ok_or("no such condition")?;
            let generation = object["metadata"]["generation"].as_i64();
            if (&*found.status, &*found.reason) != verdict || generation != Some(found.generation) {
                return Err(format!("{found:?}"));
            }
            Ok(found.message)
        })
    }

    /// The AnnotatedResources of one carrier, by their document's number.
    pub(crate) fn annotated(&self, carrier: &str) -> Vec<Value> {
        let list = self.get("annotatedresources").expect("the CRD is installed");
        let mut found: Vec<Value> = list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|object| object["spec"]["carrier"]["name"] == carrier)
            .cloned()
            .collect();
        found.sort_by_key(|object| object["spec"]["index"].as_i64());
        found
    }

    /// The name of the AnnotatedResource of one document, once it exists.
    #[track_caller]
    pub(crate) fn annotated_name(&self, carrier: &str, index: i64) -> String {
        wait_until(&format!("document {index} of {carrier}"), PATIENCE, || {
            let all = self.annotated(carrier);
            let found = all.iter().find(|object| object["spec"]["index"] == index);
            let name = found.and_then(|object| object["metadata"]["name"].as_str());
            name.map(|name| format!("anres/{name}")).ok_or(format!("{} others", all.len()))
        })
    }

    /// Waits for an event on a Service that contains all of these texts.
    #[track_caller]
    pub(crate) fn told_by_event(&self, service: &str, texts: &[&str]) {
        let selector = format!("involvedObject.kind=Service,involvedObject.name={service}");
        wait_until(&format!("an event on {service} with {texts:?}"), PATIENCE, || {
            let events = self.try_kubectl(&["get", "events", "--field-selector", &selector]).text();
            let found = events.lines().any(|line| texts.iter().all(|text| line.contains(text)));
            if found { Ok(()) } else { Err(events) }
        });
    }
}
