use serde_json::json;
use tokio::task::JoinSet;

use tokio::sync::watch;

use super::*;
use crate::controller::lead;
use crate::controller::testing::{build, built, document, lease, mapping, report, server};
use crate::model::report::{Kept, Missing, SecretFault, Verdict, Warning};
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;

fn bad(carrier: &str, index: u32, name: &str) -> Report {
    report(document(carrier, index, name), Verdict::Rejected)
}

fn texts(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.text.as_str()).collect()
}

fn only(report: &Report) -> Note {
    let [note] = <[Note; 1]>::try_from(notes(report)).unwrap();
    note
}

/// A Host of this name that is served.
fn host(references: References, warning: Option<Warning>) -> Report {
    let mut object = mapping("ns", "web");
    Arc::make_mut(&mut object.key).kind = Kind::Host;
    object.uid = Some("uid-web".into());
    object.problems.clear();
    Report { references, warning, ..report(object, Verdict::Accepted) }
}

#[test]
fn what_becomes_of_a_certificate_is_said_on_the_host_once_for_each_stage() {
    let (mut planner, now) = (Planner::default(), Instant::now());
    let soon = |days| Some(Warning::ExpiresSoon { days, at: 1_800_000_000 });
    let mut say = |references, warning| -> Vec<(Note, &'static str)> {
        let notes = planner.plan(&build(vec![host(references, warning)]), now);
        notes.into_iter().map(|note| (note.clone(), note.reason)).collect()
    };
    assert_eq!(say(References::Resolved, None), []);
    let first = say(References::Resolved, soon(14));
    let (note, reason) = &first[0];
    assert_eq!((first.len(), *reason), (1, "CertificateExpiresSoon"));
    assert_eq!((note.subject.kind, &*note.subject.uid), ("Host", "uid-web"));
    assert!(note.text.contains("less than 14 days"), "{}", note.text);
    assert_eq!(say(References::Resolved, soon(14)), [], "the same stage");
    assert_eq!(say(References::Resolved, soon(7)).len(), 1);
    assert_eq!(say(References::Expired(1_800_000_000), None)[0].1, "CertificateExpired");
    let source = PemSource::Secret(SecretKey { namespace: "ns".into(), name: "web".into() });
    let missing = Missing::Secret(source, SecretFault::NotFound);
    let outdated = References::Outdated(Box::new(missing), Kept::Authorities);
    let both = say(outdated, soon(1));
    assert_eq!([both[0].1, both[1].1], ["SecretNotFound", "CertificateExpiresSoon"]);
    // A Host that isn't right is told in its status alone.
    let rejected = report((*host(References::Resolved, None).object).clone(), Verdict::Rejected);
    assert_eq!(notes(&rejected), []);
}

#[test]
fn what_is_wrong_is_said_once() {
    let (mut planner, now) = (Planner::default(), Instant::now());
    let fine = || report(document("svc", 3, "fine"), Verdict::Accepted);
    let first = build(vec![
        bad("svc", 0, "a"),
        fine(),
        report(mapping("ns", "resource"), Verdict::Rejected),
    ]);
    let notes = planner.plan(&first, now);
    assert_eq!(texts(&notes), ["document 1 \"a\": prefix: is required"]);
    assert_eq!(notes[0].reason, "Invalid");
    assert_eq!(planner.plan(&first, now), [], "nothing new");

    let second = build(vec![bad("svc", 0, "a"), fine(), bad("svc", 4, "b")]);
    assert_eq!(texts(&planner.plan(&second, now)), ["document 5 \"b\": prefix: is required"]);
    // Repaired and broken again is news.
    assert_eq!(planner.plan(&build(vec![fine()]), now), []);
    assert_eq!(planner.plan(&second, now).len(), 2);
}

#[test]
fn a_carrier_has_ten_events_a_minute_and_the_last_counts_the_rest() {
    let (mut planner, start) = (Planner::default(), Instant::now());
    let many = |from: u32, to: u32| {
        let all = (from..to).map(|n| bad("svc", n, &format!("d{n}")));
        build(all.chain([bad("other", 0, "x")]).collect())
    };
    let notes = planner.plan(&many(0, 47), start);
    assert_eq!(notes.len(), 10 + 1, "another carrier has its own ten");
    let of_svc: Vec<_> = notes.iter().filter(|note| &*note.subject.name == "svc").collect();
    assert_eq!(of_svc[9].text, "… and 38 more documents; see kubectl get annotatedresources");
    assert_eq!(planner.plan(&many(47, 94), start + Duration::from_secs(59)), [], "spent");
    assert_eq!(planner.plan(&many(100, 103), start + Duration::from_secs(61)).len(), 3);
}

#[test]
fn notes_fit_and_names_tell_them_apart() {
    let mut object = document("svc", 0, "a");
    object.problems[0].message = "ü".repeat(3000);
    let long = only(&report(object, Verdict::Rejected));
    assert!(long.text.len() <= 1024 && long.text.len() > 800, "{}", long.text.len());

    let name = |carrier: &str, document: &str| {
        let note = only(&bad(carrier, 0, document));
        event(&note, "pod", Timestamp::UNIX_EPOCH).metadata.name.unwrap()
    };
    assert_eq!(name("svc", "a"), name("svc", "a"));
    assert_ne!(name("svc", "a"), name("svc", "b"));
}

#[tokio::test(start_paused = true)]
async fn events_are_created_on_the_carrier_by_the_leader() {
    let (client, mut server) = server();
    let (_builds, builds) = watch::channel(built(Some(build(vec![bad("svc", 0, "a")]))));
    let (leader, leads) = watch::channel(lease(false));
    let mut task = JoinSet::new();
    task.spawn(lead::run(EventWriter::new(client, "pod-1".to_owned()), builds, leads));
    assert!(server.is_idle_for(60).await, "who doesn't lead says nothing");

    leader.send_replace(lease(true));
    let call = server.next().await;
    assert_eq!(
        (call.method.as_str(), &*call.path),
        ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events?")
    );
    assert_eq!(call.body["regarding"]["kind"], "Service");
    assert_eq!(call.body["regarding"]["uid"], "uid-svc");
    assert_eq!(call.body["type"], "Warning");
    assert_eq!(call.body["reason"], "Invalid");
    assert_eq!(call.body["reportingInstance"], "pod-1");
    assert_eq!(call.body["note"], json!("document 1 \"a\": prefix: is required"));
    call.refuse(409, "AlreadyExists", "said before");
    assert!(server.is_idle_for(600).await);
}
