//! Reports as text.

use super::*;
use crate::model::key::{Kind, ObjectKey, Origin as ObjectOrigin};
use crate::model::object::{Content, Object};
use crate::model::report::{Detached, References};

const TEXT: &str = "kind: Mapping\nname: a\nprefix: [x]  # no\n";

fn report(problems: Vec<Problem>, verdict: Verdict) -> Report {
    let origin = ObjectOrigin::File { path: "a.yaml".into(), index: 0 };
    let object = Object {
        key: Arc::new(ObjectKey {
            kind: Kind::Mapping,
            namespace: "default".into(),
            name: "a".into(),
            origin,
        }),
        uid: None,
        generation: None,
        created: None,
        labels: Arc::default(),
        ambassador_id: ["default".to_owned()].into(),
        location: Some(Location { line: 1, column: 1 }),
        content: Content::Rejected,
        problems,
        document: None,
    };
    Report {
        object: Arc::new(object),
        verdict,
        references: References::Resolved,
        failure: None,
        warning: None,
    }
}

fn format(report: &Report) -> String {
    format_report(report, Some(File { path: "a.yaml", text: TEXT }), false)
}

#[test]
fn a_problem_stands_under_its_line() {
    let at = Some(Location { line: 3, column: 9 });
    let problem = Problem { location: at, ..Problem::error("prefix", "must be a text") };
    let text = format(&report(vec![problem], Verdict::Rejected));
    assert_eq!(
        text,
        "error: prefix: must be a text\n \
         --> a.yaml:3:9\n  |\n3 | prefix: [x]  # no\n  |         ^^^\n  |\n  \
         = in: Mapping default/a (a.yaml, document 1)\n\n"
    );
}

#[test]
fn what_is_right_takes_one_line() {
    let text = format(&report(vec![], Verdict::Accepted));
    assert_eq!(text, "ok: Mapping default/a (a.yaml, document 1), a.yaml:1:1\n");
}

#[test]
fn a_verdict_without_problems_is_told_at_the_object() {
    let text = format(&report(vec![], Verdict::NotAttached(Detached::Unnamed)));
    assert!(text.starts_with("error: Nothing attaches this object"), "{text}");
    assert!(text.contains("--> a.yaml:1:1"), "{text}");
}

#[test]
fn a_certificate_that_clients_refuse_is_told_at_the_object() {
    let expired =
        Report { references: References::Expired(0), ..report(vec![], Verdict::Accepted) };
    let text = format(&expired);
    assert!(text.starts_with("error: The certificate is served, but clients refuse"), "{text}");
    assert!(text.contains("it was valid until 1970-01-01"), "{text}");
    assert_eq!(Summary::of(&[Arc::new(expired)].into_iter().collect(), 0).with_errors, 1);
}

#[test]
fn the_text_of_a_secret_is_not_shown() {
    let text = "kind: Mapping\n---\nkind: Secret\ndata: {a: hidden, b: [\n---\nkind: Host\n";
    let at = |word: &str| is_in_secret(text, text.find(word).unwrap());
    assert_eq!((at("Mapping"), at("hidden"), at("Host")), (false, true, false));
    let problem = Problem::error("", "this isn't valid YAML");
    let at = Some(Location { line: 4, column: 7 });
    let report = report(vec![Problem { location: at, ..problem }], Verdict::Rejected);
    let shown = format_report(&report, Some(File { path: "a.yaml", text }), false);
    assert!(shown.contains("--> a.yaml:4:7") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn places_beyond_the_text_do_no_harm() {
    for (line, column) in [(0, 0), (9, 1), (3, 0)] {
        assert_eq!(span(TEXT, Location { line, column }), None, "{line}:{column}");
        let at = Some(Location { line, column });
        let problem = Problem { location: at, ..Problem::error("", "wrong") };
        assert!(format(&report(vec![problem], Verdict::Rejected)).starts_with("error: wrong"));
    }
    assert_eq!(span("a: ü b\n", Location { line: 1, column: 4 }), Some(3..7));
    for column in [2, 99] {
        assert_eq!(span("aü\n", Location { line: 1, column }), Some(1..3));
    }
    assert_eq!(span("\n", Location { line: 1, column: 1 }), None);
}

#[test]
fn summaries_count() {
    let summary =
        |objects, with_errors, others| Summary { objects, with_errors, others }.to_string();
    assert_eq!(summary(0, 0, 0), "no objects found\n");
    assert_eq!(summary(1, 0, 0), "1 object, all right\n");
    assert_eq!(
        summary(3, 2, 1),
        "3 objects, 2 with problems; 1 object of other gateways (ambassador_id)\n"
    );
}
