//! The grammar of `service`, and its qualification.

use super::super::service::{ServiceError, ServiceText};

#[test]
fn services_are_qualified_as_emissary_does() {
    for (service, namespace, expected) in [
        ("backoffice", "ambassador", "backoffice"),
        ("backoffice", "otherns", "backoffice.otherns"),
        ("backoffice.otherns", "ambassador", "backoffice.otherns"),
        ("backoffice.otherns", "otherns", "backoffice.otherns"),
        ("backoffice:80", "ambassador", "backoffice:80"),
        ("backoffice:80", "otherns", "backoffice.otherns:80"),
        ("backoffice.otherns:80", "otherns", "backoffice.otherns:80"),
        ("http://backoffice", "otherns", "backoffice.otherns"),
        ("HTTP://backoffice:80", "otherns", "backoffice.otherns:80"),
        ("https://backoffice:443", "otherns", "backoffice.otherns:443"),
        ("[fe80::e022:9cff:fecc:c7c4]", "otherns", "[fe80::e022:9cff:fecc:c7c4]"),
        ("https://[fe80::e022:9cff:fecc:c7c4]:443", "other", "[fe80::e022:9cff:fecc:c7c4]:443"),
        ("localhost", "otherns", "localhost"),
        ("localhost:8877", "otherns", "localhost:8877"),
        ("localhost.otherns", "otherns", "localhost.otherns"),
        ("127.0.0.1:8877", "otherns", "127.0.0.1:8877"),
        ("Backoffice", "otherns", "backoffice.otherns"),
        ("httpbin.org.", "otherns", "httpbin.org."),
    ] {
        let parsed = ServiceText::parse(service).expect(service);
        assert_eq!(parsed.qualified(namespace, "ambassador"), expected, "{service} {namespace}");
    }
}

#[test]
fn mistakes_are_told() {
    use ServiceError::{Brackets, Host, NoHost, Port};
    for (service, expected) in [
        ("", NoHost),
        ("http://", NoHost),
        (":80", NoHost),
        ("/path", NoHost),
        ("foo:", Port("".into())),
        ("foo:http", Port("http".into())),
        ("foo:0", Port("0".into())),
        ("foo:65536", Port("65536".into())),
        ("foo:+80", Port("+80".into())),
        ("foo:80:90", Brackets("foo:80:90".into())),
        ("::1", Brackets("::1".into())),
        ("[::1", Host("[::1".into())),
        ("[::1]x", Host("[::1]x".into())),
        ("[foo]", Host("[foo]".into())),
        ("foo bar", Host("foo bar".into())),
        ("foo..bar", Host("foo..bar".into())),
        ("foo%zz", Host("foo%zz".into())),
        (".", Host(".".into())),
    ] {
        assert_eq!(ServiceText::parse(service), Err(expected), "{service}");
    }
}

#[test]
fn what_is_ignored_is_told() {
    for (service, warnings) in [
        ("foo", 0),
        ("http://foo:80", 0),
        ("http://foo/", 1),
        ("http://foo/path?query", 1),
        ("ftp://foo", 1),
        ("http://user:secret@foo", 1),
        ("ftp://user@foo/", 3),
    ] {
        let parsed = ServiceText::parse(service).expect(service);
        assert_eq!(parsed.warnings.len(), warnings, "{service}: {:?}", parsed.warnings);
        assert!(!parsed.tls);
    }
    assert!(ServiceText::parse("HTTPS://foo").expect("valid").tls);
}
