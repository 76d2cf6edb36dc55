use axum::body::Body;
use axum::http::{Method, Request as HttpRequest};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::*;

async fn post(router: &Router, body: impl Into<Body>) -> (StatusCode, String) {
    let request = HttpRequest::builder().method(Method::POST).uri("/webhooks/crd-convert");
    let answer = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

fn question(desired: &str, objects: &Value) -> String {
    let request = json!({"uid": "7", "desiredAPIVersion": desired, "objects": objects});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": request})
        .to_string()
}

async fn ask(desired: &str, objects: &Value) -> Value {
    let (status, answer) = post(&router(), question(desired, objects)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

fn mapping(version: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("getambassador.io/{version}"), "kind": "Mapping",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"prefix": "/", "service": name},
    })
}

#[tokio::test]
async fn all_objects_come_back_in_order() {
    let objects = json!([mapping("v2", "b"), mapping("v3alpha1", "a"), mapping("v1", "c")]);
    let answer = ask("getambassador.io/v3alpha1", &objects).await;
    assert_eq!(answer["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(answer["kind"], "ConversionReview");
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["result"]["status"]), (&json!("7"), &json!("Success")));
    let converted = response["convertedObjects"].as_array().unwrap();
    let told: Vec<_> =
        converted.iter().map(|it| (&it["spec"]["service"], &it["apiVersion"])).collect();
    let version = &json!("getambassador.io/v3alpha1");
    assert_eq!(told, [(&json!("b"), version), (&json!("a"), version), (&json!("c"), version)]);
    assert_eq!(converted[0]["spec"]["hostname"], "*");
    assert_eq!(converted[0]["metadata"]["uid"], "b");
    assert_eq!(converted[1], mapping("v3alpha1", "a"), "it has that version already");
    let none = ask("getambassador.io/v2", &json!([])).await;
    assert_eq!(none["response"]["result"]["status"], "Success");
}

#[tokio::test]
async fn one_that_cannot_be_converted_is_named() {
    let mut other = mapping("v2", "b");
    other["kind"] = json!("Listener");
    let answer = ask("getambassador.io/v3alpha1", &json!([mapping("v2", "a"), other])).await;
    let response = &answer["response"];
    assert_eq!(response["result"]["status"], "Failure");
    let message = response["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("Listener shop b: "), "{message}");
    assert_eq!(response["convertedObjects"], json!([]));
    let answer = ask("getambassador.io/v9", &json!([mapping("v2", "a")])).await;
    let message = answer["response"]["result"]["message"].as_str().unwrap();
    assert!(message.contains("v9"), "{message}");
}

#[tokio::test]
async fn nonsense_is_told() {
    let router = router();
    for (body, expected) in [
        ("", "this is no ConversionReview"),
        ("[]", "this is no ConversionReview"),
        (r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"}"#, "no request"),
        (r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#, "this is no Conv"),
    ] {
        let (status, text) = post(&router, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(text.contains(expected), "{body}: {text}");
    }
    let large = vec![b' '; BODY_LIMIT + 1];
    assert_eq!(post(&router, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let request = HttpRequest::builder().uri(CONVERSION_PATH).body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// The API server asks for each object of a list at once, and one that gets no answer would fail
/// the whole list.
#[tokio::test]
async fn many_at_a_time_wait_for_their_turn() {
    let router = router();
    let body = question("getambassador.io/v3alpha1", &json!([mapping("v2", "a")]));
    let answers = join_all((0..160).map(|_| post(&router, body.clone()))).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
}

/// Bodies that would not fit all at once.
#[tokio::test]
async fn large_ones_wait_for_room() {
    let router = router();
    let mut large = mapping("v2", "a");
    large["metadata"]["annotations"] = json!({"long": "x".repeat(4 * 1024 * 1024)});
    let body = question("getambassador.io/v2", &json!([large]));
    let answers = join_all((0..12).map(|_| post(&router, body.clone()))).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    let room = |length: Option<&str>| {
        let mut headers = HeaderMap::new();
        length.map(|length| headers.insert(CONTENT_LENGTH, length.parse().unwrap()));
        room_for(&headers)
    };
    assert_eq!((room(Some("0")), room(Some("2048"))), (1, 3));
    let most = 8 * 1024 + 1;
    assert_eq!([room(None), room(Some("x")), room(Some("99999999999"))], [most; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let (status, _) = post(&router(), Body::from_stream(silent)).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

/// Of what nobody can read nothing is lost, and nobody else is hidden by it.
#[tokio::test]
async fn an_object_nested_without_end_is_carried_over() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let object = |version: &str| {
        format!(
            "{{\"apiVersion\":\"getambassador.io/{version}\",\"kind\":\"Module\",\
             \"metadata\":{{\"name\":\"a\"}},\"spec\":{{\"config\":{deep}}}}}"
        )
    };
    let body = question("getambassador.io/v3alpha1", &json!(["DEEP", mapping("v2", "b")]));
    let body = body.replace("\"DEEP\"", &object("v2"));
    let (status, answer) = post(&router(), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer.contains(&object("v3alpha1")), "it is as it was but for its version");
    assert!(answer.contains("\"name\":\"b\"") && answer.contains("\"status\":\"Success\""));
    let foreign = object("v2").replace("Module", "Pod");
    let body = question("getambassador.io/v3alpha1", &json!(["DEEP"]));
    let (_, answer) = post(&router(), body.replace("\"DEEP\"", &foreign)).await;
    assert!(
        answer.contains("\"Failure\"") && answer.contains("\\\"Pod\\\" is no kind"),
        "{answer}"
    );
}
