use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::super::stored::Content;
use super::*;

const NAME: &str = "nuncio-admission.gateways.svc";
const DAY: Duration = Duration::from_secs(86_400);

fn day(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY + number * DAY
}

fn pair(made: u32) -> Pair {
    Pair::issue(NAME, day(made), Times::DEFAULT.lifetime).unwrap()
}

fn stored(current: &Pair, next: Option<&Pair>, old: Option<&str>) -> Stored {
    Stored::read(&Content { current, next, old }.write(Secret::default()))
}

fn trusted(bundles: &[&str]) -> Trusted {
    let webhooks = bundles.iter().enumerate().map(|(index, bundle)| {
        json!({
            "name": format!("w{index}.nuncio.dev"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"caBundle": ByteString(bundle.as_bytes().to_vec())},
        })
    });
    let configuration = json!({
        "metadata": {"name": "nuncio", "resourceVersion": "7"},
        "webhooks": webhooks.collect::<Value>(),
    });
    let read: ValidatingWebhookConfiguration = serde_json::from_value(configuration).unwrap();
    Trusted::read(&read)
}

fn step(secret: Option<&Stored>, trusted: Option<&Trusted>, settled: u64, now: SystemTime) -> Step {
    let settled = Some(Duration::from_secs(settled));
    plan(&View { name: NAME, secret, trusted, settled, now }, &Times::DEFAULT)
}

#[test]
fn without_a_usable_certificate_one_is_made() {
    assert_eq!(step(None, None, 0, day(0)), Step::Issue(Reason::Missing));
    let secret = |data: Value| {
        let secret: Secret = serde_json::from_value(json!({"data": data})).unwrap();
        Stored::read(&secret)
    };
    let empty = secret(json!({}));
    assert_eq!(step(Some(&empty), None, 0, day(0)), Step::Issue(Reason::Empty));
    for data in [
        json!({"tls.crt": "aGVsbG8=", "tls.key": "aGVsbG8="}),
        json!({"tls.crt": ""}),
        json!({"tls.key": "/w=="}),
    ] {
        let broken = step(Some(&secret(data.clone())), None, 0, day(0));
        assert!(matches!(broken, Step::Issue(Reason::Unusable(_))), "{data}: {broken:?}");
    }
    let old = stored(&pair(0), None, None);
    let expired = step(Some(&old), None, 0, day(91));
    assert_eq!(expired, Step::Issue(Reason::Unusable(PairError::NotValid)));
    let other = Pair::issue("other.svc", day(0), 90 * DAY).unwrap();
    let renamed = step(Some(&stored(&other, None, None)), None, 0, day(0));
    assert_eq!(renamed, Step::Issue(Reason::Unusable(PairError::WrongName(NAME.into()))));
}

#[test]
fn a_certificate_is_trusted_and_then_left_alone_until_two_thirds() {
    let current = pair(0);
    let secret = stored(&current, None, None);
    let bundle = current.certificate.to_string();
    for wrong in [&["", ""], &[bundle.as_str(), ""]] {
        let step = step(Some(&secret), Some(&trusted(wrong)), 0, day(0));
        assert_eq!(step, Step::Trust(bundle.clone()));
    }
    let right = trusted(&[&bundle, &bundle]);
    let idle = Step::Wait(Times::DEFAULT.check);
    assert_eq!(step(Some(&secret), Some(&right), 0, day(0)), idle);
    assert_eq!(step(Some(&secret), Some(&right), 0, day(59)), idle);
    assert_eq!(step(Some(&secret), Some(&right), 0, day(61)), Step::Stage);
    assert_eq!(step(Some(&secret), None, 0, day(0)), idle, "nothing to tell anybody");
}

#[test]
fn the_next_is_served_once_it_has_been_trusted_for_a_while() {
    let (current, next) = (pair(0), pair(61));
    let secret = stored(&current, Some(&next), None);
    let both = format!("{}{}", current.certificate, next.certificate);
    let only_current = trusted(&[&current.certificate]);
    assert_eq!(step(Some(&secret), Some(&only_current), 99, day(61)), Step::Trust(both.clone()));
    let told = trusted(&[&both]);
    assert_eq!(
        step(Some(&secret), Some(&told), 10, day(61)),
        Step::Wait(Times::DEFAULT.settle - Duration::from_secs(10))
    );
    assert_eq!(step(Some(&secret), Some(&told), 60, day(61)), Step::Promote);
    assert_eq!(step(Some(&secret), None, 0, day(61)), Step::Promote, "nobody to wait for");

    // Afterwards the one before is trusted until it expires, whoever still serves it.
    let after = stored(&next, None, Some(&current.certificate));
    let turned = format!("{}{}", next.certificate, current.certificate);
    assert_eq!(step(Some(&after), Some(&told), 60, day(61)), Step::Trust(turned.clone()));
    let idle = Step::Wait(Times::DEFAULT.check);
    assert_eq!(step(Some(&after), Some(&trusted(&[&turned])), 60, day(62)), idle);
    let alone = Step::Trust(next.certificate.to_string());
    assert_eq!(step(Some(&after), Some(&trusted(&[&turned])), 60, day(91)), alone);
}

#[test]
fn a_next_one_that_is_broken_or_stale_is_made_anew() {
    let (current, stale) = (pair(0), pair(0));
    let secret = stored(&current, Some(&stale), None);
    assert_eq!(step(Some(&secret), None, 0, day(61)), Step::Stage);
    let mut written = Content { current: &current, next: None, old: None }.write(Secret::default());
    let data = written.data.as_mut().unwrap();
    data.insert("next.crt".into(), ByteString(b"hello".to_vec()));
    assert_eq!(step(Some(&Stored::read(&written)), None, 0, day(1)), Step::Stage);
}

#[test]
fn garbage_in_place_of_the_old_one_is_not_passed_on() {
    let current = pair(0);
    let secret = stored(&current, None, Some("hello"));
    let none = trusted(&[""]);
    let alone = Step::Trust(current.certificate.to_string());
    assert_eq!(step(Some(&secret), Some(&none), 0, day(0)), alone);
}
