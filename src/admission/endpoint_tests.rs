use axum::body::Body;
use axum::http::{Method, Request as HttpRequest};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::admission::testing::settings;

async fn post(router: &Router, body: impl Into<Body>) -> (StatusCode, String) {
    let request = HttpRequest::builder().method(Method::POST).uri(PATH).body(body.into()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

fn question(spec: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7", "operation": "CREATE", "name": "a", "namespace": "b", "userInfo": {},
            "kind": {"group": "getambassador.io", "version": "v3alpha1", "kind": "Mapping"},
            "resource": {"group": "getambassador.io", "version": "v3alpha1", "resource": "mappings"},
            "object": {
                "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
                "metadata": {"name": "a", "namespace": "b"}, "spec": spec,
            },
        },
    })
}

#[tokio::test]
async fn questions_are_answered_and_nonsense_is_told() {
    let router = router(settings());
    let bad = question(&json!({"hostname": "*", "prefix": "/a/"})).to_string();
    let (status, answer) = post(&router, bad).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], "7");
    assert_eq!(answer["response"]["allowed"], false);
    assert!(answer["response"]["status"]["message"].as_str().unwrap().starts_with("service: "));

    for (body, expected) in [
        ("", "this is no AdmissionReview"),
        ("[]", "this is no AdmissionReview"),
        ("{\"apiVersion\": \"v1\", \"kind\": \"AdmissionReview\"}", "has no request"),
    ] {
        let (status, text) = post(&router, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(text.contains(expected), "{body}: {text}");
    }
    let large = vec![b' '; BODY_LIMIT + 1];
    assert_eq!(post(&router, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn deletes_and_parts_of_objects_are_not_judged() {
    for (field, value) in [
        ("operation", json!("DELETE")),
        ("operation", json!("CONNECT")),
        ("subResource", json!("status")),
    ] {
        let mut question = question(&json!({"prefix": 1}));
        question["request"][field] = value.clone();
        let answer = answer(question.to_string().as_bytes(), &settings()).unwrap();
        assert!(answer.response.unwrap().allowed, "{field} {value}");
    }
}

#[tokio::test]
async fn more_than_it_can_hold_is_turned_away() {
    let router = router(settings());
    // Bodies that never end hold their places.
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, String>>());
        let router = router.clone();
        held.spawn(async move { post(&router, never).await });
    }
    for _ in 0..IN_FLIGHT {
        tokio::task::yield_now().await;
    }
    assert_eq!(post(&router, "").await.0, StatusCode::TOO_MANY_REQUESTS);
    held.abort_all();
    while held.join_next().await.is_some() {}
    assert_eq!(post(&router, "").await.0, StatusCode::BAD_REQUEST);
}
