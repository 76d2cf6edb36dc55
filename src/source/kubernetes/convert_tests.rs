use serde_json::json;

use super::*;
use crate::source::annotation::CONFIG_ANNOTATION;

fn converter(collection: Collection) -> Converter {
    Converter::new(collection, Arc::default(), ObservedStatuses::default())
}

fn raw(body: Value) -> Raw {
    serde_json::from_value(body).unwrap()
}

fn mapping() -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {
            "name": "m", "namespace": "ns", "uid": "u", "generation": 1, "resourceVersion": "5",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"hostname": "*", "prefix": "/m/", "service": "m"},
    })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[field] = value;
    body
}

#[test]
fn of_a_mapping_only_news_are_told_and_only_changes_parsed() {
    let status = json!({"state": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    // (name, the object after the change, said?, parsed anew?)
    let cases = [
        ("nothing", mapping(), false, false),
        ("resourceVersion", with(mapping(), "/metadata/resourceVersion", json!("6")), false, false),
        ("managedFields", with(mapping(), "/metadata/managedFields", json!([])), false, false),
        ("status", with(mapping(), "/status", status), false, false),
        ("spec", with(mapping(), "/spec/prefix", json!("/n/")), true, true),
        ("labels", with(mapping(), "/metadata/labels/a", json!("c")), true, true),
        ("recreated", with(mapping(), "/metadata/uid", json!("v")), true, true),
        ("broken", with(mapping(), "/spec", json!("text")), true, true),
    ];
    for (name, after, is_said, is_parsed) in cases {
        let mut converter = converter(Collection::Mappings);
        let before = converter.put(raw(mapping())).expect("news").objects;
        assert_eq!(before.len(), 1, "{name}");
        let said = converter.put(raw(after));
        assert_eq!(said.is_some(), is_said, "{name}");
        if let Some(statement) = said {
            assert_eq!(!Arc::ptr_eq(&statement.objects[0], &before[0]), is_parsed, "{name}");
        }
    }
}

#[test]
fn statuses_are_observed_beside_the_objects() {
    let mut converter = converter(Collection::Mappings);
    let observed = converter.observed.clone();
    let first = converter.put(raw(mapping())).unwrap();
    let key = first.objects[0].key.clone();
    assert_eq!(observed.get(&key).unwrap().state, None);
    let status = json!({"state": "Inactive", "reason": "why", "conditions": [
        {"type": "Ready", "status": "False", "reason": "R", "message": "M",
         "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:00:00Z"}, 7, {"type": 5},
    ]});
    let second = converter.put(raw(with(mapping(), "/status", status)));
    assert!(second.is_none(), "a status is no news about the object");
    let seen = observed.get(&key).unwrap();
    assert_eq!((seen.state.as_deref(), seen.reason.as_deref()), (Some("Inactive"), Some("why")));
    assert_eq!(seen.conditions.len(), 3);
    assert_eq!(seen.conditions[0].observed_generation, Some(3));
    assert_eq!(seen.conditions[0].last_transition_time, "2026-01-01T00:00:00Z");

    converter.delete(&first.id);
    assert_eq!(observed.get(&key), None);
}

#[test]
fn a_list_names_everything_that_is_left() {
    let mut converter = converter(Collection::Mappings);
    let other = || with(mapping(), "/metadata/name", json!("other"));
    let before = converter.put(raw(mapping())).unwrap().objects;
    let gone = converter.put(raw(other())).unwrap().objects;
    converter.begin_list();
    // A list that is interrupted and begun again forgets nothing.
    converter.begin_list();
    let again = converter.put(raw(mapping())).expect("said again in a list").objects;
    assert!(Arc::ptr_eq(&before[0], &again[0]), "but not parsed again");
    converter.end_list();
    assert!(converter.observed.get(&before[0].key).is_some());
    assert_eq!(converter.observed.get(&gone[0].key), None);
    assert!(converter.put(raw(mapping())).is_none());
    assert!(converter.put(raw(other())).is_some());
}

fn service() -> Value {
    json!({
        "metadata": {
            "name": "s", "namespace": "ns", "uid": "u", "resourceVersion": "5",
            "annotations": {CONFIG_ANNOTATION: "apiVersion: ambassador/v1\nkind: Mapping\nname: a\nprefix: /a/\nservice: a\n"},
        },
        "spec": {"ports": [{"port": 80}], "selector": {"app": "s"}},
    })
}

#[test]
fn of_a_service_only_what_is_read_counts() {
    let text = format!("/metadata/annotations/{}", CONFIG_ANNOTATION.replace('/', "~1"));
    let annotation = |text: &str| json!({CONFIG_ANNOTATION: text});
    let annotations = "/metadata/annotations";
    assert!(service().pointer(&text).is_some());
    // (name, the Service after the change, said?, how many objects are parsed anew)
    let cases = [
        ("nothing", service(), false, 0),
        ("status", with(service(), "/status", json!({"loadBalancer": {}})), false, 0),
        ("another field", with(service(), "/spec/sessionAffinity", json!("None")), false, 0),
        ("another port", with(service(), "/spec/ports", json!([{"port": 81}])), true, 0),
        ("annotation", with(service(), annotations, annotation("a: b")), true, 1),
        ("labels are inherited", with(service(), "/metadata/labels", json!({"x": "y"})), true, 1),
    ];
    for (name, after, is_said, anew) in cases {
        let mut converter = converter(Collection::Services);
        let before = converter.put(raw(service())).unwrap();
        assert_eq!((before.objects.len(), before.services.len()), (1, 1), "{name}");
        let said = converter.put(raw(after));
        assert_eq!(said.is_some(), is_said, "{name}");
        if let Some(said) = said {
            let same = said.objects.iter().filter(|new| Arc::ptr_eq(new, &before.objects[0]));
            assert_eq!(said.objects.len() - same.count(), anew, "{name}");
        }
    }
    let mut converter = converter(Collection::Services);
    converter.put(raw(service()));
    let said = converter.put(raw(with(service(), annotations, json!({})))).expect("news");
    assert_eq!((said.objects.len(), said.services.len()), (0, 1), "the annotation is gone");
}

#[test]
fn ingresses_speak_by_their_annotation_alone() {
    let mut converter = converter(Collection::Ingresses);
    let plain = || with(service(), "/metadata/annotations", json!({}));
    assert!(converter.put(raw(plain())).is_none());
    assert_eq!(converter.put(raw(service())).expect("news").objects.len(), 1);
    assert!(converter.put(raw(service())).is_none());
    assert_eq!(converter.put(raw(plain())).expect("it says nothing now").objects.len(), 0);
}

/// The list that it is in would be lost with it.
#[test]
fn an_object_that_is_nested_too_deeply_is_rejected_alone() {
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let mapping = |name: &str, levels: usize| {
        format!(
            "{{\"metadata\": {{\"name\": {name:?}, \"namespace\": \"ns\", \"managedFields\": {}}}, \
             \"spec\": {{\"hostname\": \"*\", \"prefix\": \"/m/\", \"service\": \"m\", \
             \"envoy_override\": {}}}}}",
            deep(levels + 3),
            deep(levels)
        )
    };
    let (most, more) = (mapping("most", 97), mapping("more", 98));
    let list = format!(
        "{{\"metadata\": {{}}, \"items\": [{most}, {more}, {}]}}",
        mapping("most-of-all", 9000)
    );
    let list: kube::core::ObjectList<Raw> = serde_json::from_str(&list).unwrap();
    let mut converter = converter(Collection::Mappings);
    let verdicts: Vec<(String, bool)> = list
        .items
        .into_iter()
        .map(|raw| {
            let object = Arc::clone(&converter.put(raw).unwrap().objects[0]);
            let problem =
                object.problems.iter().find(|problem| problem.field.as_deref() == Some("spec"));
            (object.key.name.to_string(), problem.is_some())
        })
        .collect();
    let expected = [("most", false), ("more", true), ("most-of-all", true)];
    assert_eq!(verdicts, expected.map(|(name, told)| (name.to_owned(), told)));
    let event = format!("{{\"type\": \"ADDED\", \"object\": {}}}", mapping("later", 9000));
    let event: kube::core::WatchEvent<Raw> = serde_json::from_str(&event).unwrap();
    assert!(matches!(event, kube::core::WatchEvent::Added(raw) if raw.is_too_deep));
}
