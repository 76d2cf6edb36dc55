use std::collections::HashSet;

use super::*;
use crate::controller::testing::{build, document, mapping, report};
use crate::model::report::Verdict;

fn accepted(object: Object) -> Report {
    report(object, Verdict::Accepted)
}

fn desired(reports: Vec<Report>) -> BTreeMap<Subject, Desired> {
    plan_desired(&build(reports).reports, "default", &BTreeMap::new())
}

fn names(reports: Vec<Report>) -> Vec<String> {
    desired(reports).keys().map(|subject| subject.name.to_string()).collect()
}

fn name(object: Object) -> String {
    names(vec![accepted(object)]).remove(0)
}

const TERMS: Terms<'static> = Terms { gateway: "default", form: StatusForm::Conditions };

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

/// What is wanted of an object that every replica serves.
fn wanted_everywhere(desired: &Desired) -> Wanted<'_> {
    Wanted { desired, standing: Some(Standing::Everywhere) }
}

#[test]
fn names_are_valid_recognisable_and_stay() {
    // A change of these texts orphans every object that was made before: don't.
    assert_eq!(name(document("svc", 0, "route")), "service-svc-route-00bbb654");
    assert_eq!(name(document("svc", 0, "route")), name(document("svc", 7, "route")), "moved");
    let different = [
        document("svc", 0, "route"),
        document("svc2", 0, "route"),
        document("svc", 0, "route2"),
        document("svc", 0, "Route"),
        document("svc", 0, "ro.ute"),
        document("svc", 0, "ro_ute"),
        document("svc", 0, &"long".repeat(100)),
        document("svc", 0, &format!("{}x", "long".repeat(100))),
    ];
    let different: HashSet<String> = different.into_iter().map(name).collect();
    assert_eq!(different.len(), 8);
    for name in &different {
        let is_valid =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(name.len() <= 253 && name.bytes().all(is_valid), "{name}");
        assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
    }
}

#[test]
fn two_documents_of_one_name_are_two_objects() {
    let twins = || {
        vec![
            accepted(document("svc", 0, "twin")),
            accepted(document("svc", 1, "twin")),
            accepted(document("svc", 2, "single")),
        ]
    };
    let before = names(twins());
    assert_eq!(before.len(), 3);
    assert!(before.contains(&name(document("svc", 5, "twin"))), "the first is as if alone");
    let two_thousand = (0..2000).map(|n| accepted(document("svc", n, &format!("d{n}")))).collect();
    assert_eq!(names(two_thousand).len(), 2000);
}

#[test]
fn only_documents_of_carriers_with_a_uid_are_shown() {
    let mut from_file = document("svc", 0, "x");
    if let Origin::Annotation { carrier, .. } = &mut Arc::make_mut(&mut from_file.key).origin {
        Arc::make_mut(carrier).uid = "".into();
    }
    assert_eq!(names(vec![accepted(mapping("ns", "a")), accepted(from_file)]), [""; 0]);
}

/// An AnnotatedResource as it stands when it was made of `desired`.
fn standing(desired: &Desired) -> Existing {
    Existing {
        uid: "u1".to_owned(),
        version: 1,
        generation: Some(4),
        fingerprint: desired.fingerprint,
        made_from: None,
        status: Arc::default(),
    }
}

#[test]
fn the_spec_comes_before_the_status() {
    let wanted = desired(vec![report(document("svc", 1, "a"), Verdict::Rejected)]);
    let (subject, wanted) = wanted.first_key_value().unwrap();
    let plan = |desired: Option<&Desired>, existing: Option<&Existing>| {
        let wanted = desired.map(wanted_everywhere);
        plan_annotated(subject, wanted, existing, TERMS, now()).map(|write| write.operation)
    };
    let Some(Operation::Apply { body, fingerprint }) = plan(Some(wanted), None) else { panic!() };
    assert_eq!(fingerprint, wanted.fingerprint);
    assert_eq!(
        body["spec"],
        json!({
            "carrier": {"kind": "Service", "name": "svc"}, "index": 1, "line": 11,
            "kind": "Mapping", "name": "a", "namespace": "ns",
            "document": {"kind": "Mapping", "name": "a"},
        })
    );
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "uid-svc");
    assert_eq!(body["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], false);
    assert_eq!(body["metadata"]["labels"][GATEWAY], "default");

    let current = standing(wanted);
    let Some(Operation::Status(status)) = plan(Some(wanted), Some(&current)) else { panic!() };
    assert_eq!(status["conditions"][0]["observedGeneration"], 4);
    assert_eq!(status["conditions"][0]["reason"], "Invalid");
    assert_eq!(status["observedGeneration"], 4);
    assert!(status.get("state").is_none());

    let other = Existing { fingerprint: 0, ..standing(wanted) };
    assert!(matches!(plan(Some(wanted), Some(&other)), Some(Operation::Apply { .. })));
    // The API server rewrote what we sent: it is current all the same.
    let rewritten = Existing { made_from: Some(wanted.fingerprint), ..other };
    assert!(matches!(plan(Some(wanted), Some(&rewritten)), Some(Operation::Status(_))));

    let gone = Operation::Delete { uid: "u1".to_owned() };
    assert_eq!(plan(None, Some(&current)), Some(gone));
    assert_eq!(plan(None, None), None);
}

#[test]
fn an_unreadable_document_has_no_json() {
    for text in [None, Some("not json"), Some("[1]")] {
        let mut object = document("svc", 0, "a");
        object.document = text.map(Into::into);
        let wanted = desired(vec![accepted(object)]);
        let (subject, wanted) = wanted.first_key_value().unwrap();
        let write =
            plan_annotated(subject, Some(wanted_everywhere(wanted)), None, TERMS, now()).unwrap();
        let Operation::Apply { body, .. } = write.operation else { panic!() };
        assert!(body["spec"].get("document").is_none(), "{text:?}");
    }
}

#[test]
fn a_gateways_id_becomes_a_label() {
    for (id, expected) in
        [("default", true), ("a-b_c.9", true), ("", false), ("-a", false), ("ä", false)]
    {
        let label = label_value(id);
        assert_eq!(label == id, expected, "{id}");
        assert!(!label.is_empty() && label.len() <= 63);
    }
    assert_eq!(label_value(&"x".repeat(64)).len(), 16);
}

#[test]
fn columns_show_the_fields_of_either_form() {
    let cases = [
        (r#"{"host": "h", "prefix": "/p/", "service": "s"}"#, ["h", "/p/", "s"]),
        (r#"{"hostname": "n", "host": "h", "prefix": 5}"#, ["n", "", ""]),
        (
            r#"{"metadata": {"labels": {"service": "no"}}, "spec": {"hostname": "n", "service": "s"}}"#,
            ["n", "", "s"],
        ),
        (r#"{"spec": null, "prefix": "/p/"}"#, ["", "/p/", ""]),
    ];
    for (text, expected) in cases {
        let mut object = document("svc", 0, "a");
        object.document = Some(text.into());
        let wanted = desired(vec![accepted(object)]);
        let (subject, wanted) = wanted.first_key_value().unwrap();
        for (form, expected) in
            [(StatusForm::Conditions, expected), (StatusForm::ConditionsBefore02, [""; 3])]
        {
            let terms = Terms { form, ..TERMS };
            let write =
                plan_annotated(subject, Some(wanted_everywhere(wanted)), None, terms, now())
                    .unwrap();
            let Operation::Apply { body, .. } = write.operation else { panic!() };
            let column = |name: &str| body["spec"][name].as_str().unwrap_or_default().to_owned();
            assert_eq!(["host", "prefix", "service"].map(column), expected, "{text}");
        }
    }
}
