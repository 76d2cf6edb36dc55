use http::{Request, Response};

use super::*;

fn asked(headers: &[(&'static str, &'static str)]) -> Option<Box<Upgrade>> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    let mut head = request.into_parts().0;
    let upgrade = Upgrade::take(&mut head).expect("not CONNECT");
    assert!(!head.headers.contains_key("upgrade") && !head.headers.contains_key("http2-settings"));
    upgrade
}

fn allowed(names: &[&str]) -> Arc<[Arc<str>]> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn what_is_asked_for_and_allowed() {
    let connection = ("connection", "keep-alive, Upgrade");
    for (headers, names, expected) in [
        (vec![connection, ("upgrade", "WebSocket")], vec!["websocket"], Some(true)),
        (vec![connection, ("upgrade", "websocket")], vec!["spdy/3.1"], Some(false)),
        (vec![connection, ("upgrade", "x, SPDY/3.1")], vec!["spdy/3.1"], Some(true)),
        (vec![connection, ("upgrade", "x"), ("upgrade", "y")], vec!["y"], Some(true)),
        (vec![connection, ("upgrade", "h2c"), ("http2-settings", "a")], vec!["h2c"], None),
        (vec![connection, ("upgrade", "h2c, websocket")], vec!["h2c"], Some(false)),
        (vec![("upgrade", "websocket")], vec!["websocket"], None),
        (vec![connection], vec!["websocket"], None),
        (vec![connection, ("upgrade", " , ")], vec!["websocket"], None),
    ] {
        let upgrade = asked(&headers);
        let kept = upgrade.map(|mut upgrade| upgrade.keep_allowed(Some(&allowed(&names))));
        assert_eq!(kept, expected, "{headers:?}");
    }
    let mut upgrade = asked(&[connection, ("upgrade", "websocket")]).expect("asked");
    assert!(!upgrade.keep_allowed(None));
}

#[test]
fn plain_connect_is_refused() {
    let mut head = Request::new(()).into_parts().0;
    head.method = Method::CONNECT;
    assert!(matches!(Upgrade::take(&mut head), Err(Failure::Connect)));
}

#[test]
fn the_answer_names_what_was_asked_for() {
    let upgrade = asked(&[("connection", "upgrade"), ("upgrade", "websocket")]).expect("asked");
    for (connection, protocol, holds) in [
        ("Upgrade", "WebSocket", true),
        ("Upgrade", "spdy/3.1", false),
        ("Upgrade", "websocket, x", false),
        ("Upgrade", "", false),
        ("close", "websocket", false),
    ] {
        let mut head = Response::new(()).into_parts().0;
        head.headers.insert("connection", HeaderValue::from_static(connection));
        head.headers.insert("upgrade", HeaderValue::from_static(protocol));
        head.headers.insert("content-length", HeaderValue::from_static("0"));
        assert_eq!(upgrade.check(&mut head).is_ok(), holds, "{connection} {protocol}");
        if holds {
            assert_eq!(head.headers["upgrade"], "websocket");
            assert_eq!(head.headers["connection"], "upgrade");
            assert!(!head.headers.contains_key("content-length"));
        }
    }
}

#[test]
fn the_key_is_answered_as_the_standard_says() {
    // RFC 6455 section 1.3's own example.
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(make_key(0), "AAAAAAAAAAAAAAAAAAAAAA==");
}
