use std::sync::Arc;

use super::*;
use crate::controller::testing::{mapping, report};
use crate::model::key::ServiceKey;
use crate::model::report::{Detached, References, Verdict, Warning};
use crate::source::ObservedCondition;

const BEFORE: &str = "2026-01-01T00:00:00Z";

fn now() -> jiff::Timestamp {
    "2026-05-05T05:05:05.678Z".parse().unwrap()
}

/// The status that stands after `patch` was written.
fn written(patch: &StatusPatch) -> ObservedStatus {
    ObservedStatus {
        state: patch.state.map(str::to_owned),
        reason: patch.reason.clone(),
        observed_generation: patch.observed_generation,
        conditions: patch
            .conditions
            .iter()
            .map(|condition| ObservedCondition {
                kind: condition.r#type.into(),
                status: condition.status.into(),
                reason: condition.reason.into(),
                message: condition.message.clone(),
                observed_generation: condition.observed_generation,
                last_transition_time: BEFORE.into(),
            })
            .collect(),
    }
}

fn accepted() -> Report {
    report(mapping("ns", "a"), Verdict::Accepted)
}

fn rejected() -> Report {
    report(mapping("ns", "a"), Verdict::Rejected)
}

fn no_service() -> Report {
    let service = ServiceKey { namespace: "ns".into(), name: "gone".into() };
    Report { references: References::ServiceNotFound(service), ..accepted() }
}

/// A plan for what every replica serves.
fn plan(
    report: &Report,
    observed: Option<&ObservedStatus>,
    generation: Option<i64>,
    form: StatusForm,
    now: jiff::Timestamp,
) -> Option<StatusPatch> {
    let standing = &Standing::Everywhere;
    super::plan(Finding { report, standing }, observed, generation, form, now)
}

#[test]
fn what_not_all_replicas_serve_is_pending_or_excepted() {
    let pending = Standing::Pending("wait".into());
    let except = Standing::Except(", but".into());
    let rows = [
        (accepted(), &pending, [("False", "Pending", "wait"), ("False", "Pending", "wait")]),
        (
            accepted(),
            &except,
            [
                ("True", "Programmed", "The gateway serves this generation, but"),
                ("True", "Ready", "Accepted and served, but"),
            ],
        ),
        (
            no_service(),
            &pending,
            [
                ("False", "Pending", "wait"),
                ("False", "ServiceNotFound", "There is no Service gone in namespace ns"),
            ],
        ),
        (
            rejected(),
            &pending,
            [
                ("False", "NotAccepted", "Nothing of this object is served"),
                ("False", "Invalid", "prefix: is required"),
            ],
        ),
    ];
    for (report, standing, expected) in rows {
        let finding = Finding { report: &report, standing };
        let patch = super::plan(finding, None, Some(1), StatusForm::Conditions, now()).unwrap();
        let told: Vec<_> =
            patch.conditions[2..4].iter().map(|c| (c.status, c.reason, &*c.message)).collect();
        assert_eq!(told, expected);
    }
}

#[test]
fn a_first_status_says_everything_now() {
    let patch = plan(&accepted(), None, Some(3), StatusForm::Full, now()).unwrap();
    assert_eq!((patch.state, &patch.reason), (Some("Running"), &None));
    let kinds: Vec<_> = patch.conditions.iter().map(|c| (c.r#type, c.status)).collect();
    assert_eq!(
        kinds,
        [("Accepted", "True"), ("ResolvedRefs", "True"), ("Programmed", "True"), ("Ready", "True")]
    );
    for condition in &patch.conditions {
        assert_eq!(condition.last_transition_time, "2026-05-05T05:05:05Z");
        assert_eq!(condition.observed_generation, Some(3));
    }
    let json = serde_json::to_value(&patch).unwrap();
    assert_eq!(json["conditions"][0]["lastTransitionTime"], "2026-05-05T05:05:05Z");
    assert_eq!(json["conditions"][0]["observedGeneration"], 3);
    assert_eq!(json["observedGeneration"], 3);
    assert!(json.get("reason").is_none(), "an absent reason gives the field up");
}

/// (name, observed from, change to it, report now, generation now, written?)
type Difference = (&'static str, Report, fn(&mut ObservedStatus), Report, i64, bool);

fn differences() -> Vec<Difference> {
    vec![
        ("same", accepted(), |_| (), accepted(), 1, false),
        ("same rejection", rejected(), |_| (), rejected(), 1, false),
        ("new generation", accepted(), |_| (), accepted(), 2, true),
        ("healed: no longer stalled", rejected(), |_| (), accepted(), 1, true),
        (
            "rejected, and stalled is gone",
            rejected(),
            |o| drop(o.conditions.pop()),
            rejected(),
            1,
            true,
        ),
        (
            "the generation taken away",
            accepted(),
            |o| o.observed_generation = None,
            accepted(),
            1,
            true,
        ),
        ("rejected now", accepted(), |_| (), rejected(), 1, true),
        ("reference lost", accepted(), |_| (), no_service(), 1, true),
        ("state taken away", accepted(), |o| o.state = None, accepted(), 1, true),
        (
            "an empty reason is none",
            accepted(),
            |o| o.reason = Some(String::new()),
            accepted(),
            1,
            false,
        ),
        ("a condition taken away", accepted(), |o| drop(o.conditions.pop()), accepted(), 1, true),
        (
            "foreign conditions are nobody's business",
            accepted(),
            |o| {
                let mut foreign = o.conditions[0].clone();
                foreign.kind = "Foreign".into();
                foreign.status = "Unknown".into();
                o.conditions.insert(0, foreign);
            },
            accepted(),
            1,
            false,
        ),
    ]
}

#[test]
fn only_differences_are_written() {
    for (name, before, change, after, generation, expected) in differences() {
        let first = plan(&before, None, Some(1), StatusForm::Full, now()).unwrap();
        let mut observed = written(&first);
        change(&mut observed);
        let patch = plan(&after, Some(&observed), Some(generation), StatusForm::Full, now());
        assert_eq!(patch.is_some(), expected, "{name}: {patch:?}");
        if let Some(patch) = patch {
            assert!(
                plan(&after, Some(&written(&patch)), Some(generation), StatusForm::Full, now())
                    .is_none(),
                "{name}: a written plan is fulfilled"
            );
            assert!(patch.conditions.iter().all(|c| c.r#type != "Foreign"), "{name}");
        }
    }
}

#[test]
fn the_transition_time_moves_with_the_status_alone() {
    let first = plan(&accepted(), None, Some(1), StatusForm::Full, now()).unwrap();
    let observed = written(&first);
    let after = plan(&no_service(), Some(&observed), Some(2), StatusForm::Full, now()).unwrap();
    let times: Vec<_> =
        after.conditions.iter().map(|c| (c.r#type, c.last_transition_time.as_str())).collect();
    let flipped = "2026-05-05T05:05:05Z";
    assert_eq!(
        times,
        [
            ("Accepted", BEFORE),
            ("ResolvedRefs", flipped),
            ("Programmed", BEFORE),
            ("Ready", flipped)
        ]
    );
}

#[test]
fn a_warning_is_written_once_for_each_stage_and_taken_away() {
    let soon = |days| {
        let warning = Some(Warning::ExpiresSoon { days, at: 1_800_000_000 });
        Report { warning, ..accepted() }
    };
    let form = StatusForm::Conditions;
    let plan_for = |report: &Report, observed: Option<&ObservedStatus>| {
        plan(report, observed, Some(1), form, now())
    };
    let first = plan_for(&soon(14), None).unwrap();
    let told: Vec<_> = first.conditions.iter().map(|c| (c.r#type, c.status)).collect();
    assert_eq!(told[3..], [("Ready", "True"), ("Warning", "True")]);
    let observed = written(&first);
    assert_eq!(plan_for(&soon(14), Some(&observed)), None, "the same stage");
    let next = plan_for(&soon(7), Some(&observed)).unwrap();
    assert!(next.conditions[4].message.contains("less than 7 days"));
    assert_eq!(next.conditions[4].last_transition_time, BEFORE, "it was True before");
    let renewed = plan_for(&accepted(), Some(&observed)).unwrap();
    assert_eq!(renewed.conditions.len(), 4, "applying without it takes it away");
}

#[test]
fn stalled_is_what_only_the_author_heals() {
    let other = || mapping("ns", "b").key;
    let (winner, rule) = (other(), crate::model::report::ShadowRule::OlderFirst);
    let (with, conflict) = (other(), crate::model::report::Conflict::Redirect);
    let cases = [
        (accepted(), None),
        (no_service(), None),
        (report(mapping("ns", "a"), Verdict::Shadowed { winner, rule }), None),
        (report(mapping("ns", "a"), Verdict::Conflicted { with, conflict }), None),
        (rejected(), Some(("Invalid", "prefix: is required"))),
        (
            report(mapping("ns", "a"), Verdict::NotAttached(Detached::Unnamed)),
            Some(("NotAttached", "")),
        ),
    ];
    for (report, expected) in cases {
        let patch = plan(&report, None, Some(1), StatusForm::Full, now()).unwrap();
        let stalled = patch.conditions.iter().find(|condition| condition.r#type == "Stalled");
        assert_eq!(stalled.map(|condition| condition.reason), expected.map(|(reason, _)| reason));
        if let (Some(stalled), Some((_, message))) = (stalled, expected) {
            assert_eq!(stalled.status, "True");
            assert!(stalled.message.contains(message) && !stalled.message.is_empty());
        }
    }
}

#[test]
fn older_definitions_get_what_they_declare() {
    let dated = "a: .status.observedGeneration: field not declared in schema";
    let emissary = "errors:\n  .status.conditions: field not declared in schema\n  .status.observedGeneration: field not declared in schema";
    for (form, refusal, expected) in [
        (StatusForm::Full, dated, StatusForm::FullBefore02),
        (StatusForm::Full, emissary, StatusForm::State),
        (StatusForm::FullBefore02, dated, StatusForm::FullBefore02),
        (StatusForm::FullBefore02, emissary, StatusForm::State),
        (StatusForm::State, dated, StatusForm::State),
        (StatusForm::Conditions, emissary, StatusForm::Nothing),
        (StatusForm::Conditions, dated, StatusForm::ConditionsBefore02),
    ] {
        assert_eq!(form.without(refusal), expected, "{form:?} {refusal}");
    }
    for form in [StatusForm::FullBefore02, StatusForm::ConditionsBefore02] {
        let patch = plan(&rejected(), None, Some(1), form, now()).unwrap();
        assert_eq!((patch.observed_generation, patch.conditions.len()), (None, 5));
        assert!(plan(&rejected(), Some(&written(&patch)), Some(1), form, now()).is_none());
    }
}

#[test]
fn emissary_form_has_state_alone_and_annotated_form_has_none() {
    let patch = plan(&rejected(), None, Some(1), StatusForm::State, now()).unwrap();
    assert_eq!(patch.state, Some("Inactive"));
    assert_eq!(patch.reason.as_deref(), Some("prefix: is required"));
    assert_eq!(serde_json::to_value(&patch).unwrap().as_object().unwrap().len(), 2);
    assert!(plan(&rejected(), Some(&written(&patch)), Some(2), StatusForm::State, now()).is_none());

    let patch = plan(&rejected(), None, Some(1), StatusForm::Conditions, now()).unwrap();
    assert_eq!((patch.state, &patch.reason, patch.conditions.len()), (None, &None, 5));
}

#[test]
fn long_messages_are_cut_between_characters() {
    for (text, limit, expected) in
        [("äöü", 3, "äöü"), ("äöüß", 3, "äö…"), ("abc", 5, "abc"), ("abcdef", 5, "abcd…")]
    {
        assert_eq!(shorten(text.to_owned(), limit), expected);
    }
    let mut long = rejected();
    let mut object = (*long.object).clone();
    object.problems[0].message = "ü".repeat(40_000);
    long.object = Arc::new(object);
    let patch = plan(&long, None, None, StatusForm::Full, now()).unwrap();
    assert_eq!(patch.conditions[0].message.chars().count(), MAX_MESSAGE);
}
