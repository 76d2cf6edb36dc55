//! The fields of a Mapping.

use std::time::Duration;

use super::*;
use crate::model::cluster::Upstream;
use crate::model::regex::Regex;
use crate::model::route::{
    HeaderMatch, HostMatch, HostRewrite, PathMatchKind, PathRewrite, QueryMatch, RedirectPath,
    SubstitutionPart, ValueMatch,
};

const V2: &str = "getambassador.io/v2";

fn regex(text: &str) -> Regex {
    Regex::full(text).expect(text)
}

#[test]
fn defaults_are_emissarys() {
    let object = mapping("hostname: '*'\n");
    assert_eq!(problems(&object), [""; 0]);
    let route = route(&object);
    assert_eq!(route.matches.host, Some(HostMatch::Any));
    assert_eq!(route.matches.path.kind, PathMatchKind::Prefix("/p/".into()));
    assert!(route.matches.path.case_sensitive);
    assert_eq!((route.precedence, route.weight), (0, None));
    assert_eq!(route.policy.timeout(), Some(Duration::from_millis(3000)));
    assert_eq!(route.policy.idle_timeout(), Some(Duration::from_secs(300)));
    assert!(route.request_headers.is_empty() && route.response_headers.is_empty());
    let forward = forward(&object);
    assert_eq!(forward.path, PathRewrite::Matched("/".into()));
    assert_eq!(forward.host, HostRewrite::Keep);
    assert_eq!(forward.cluster.policy.connect_timeout(), Duration::from_millis(3000));
    let upstream = Upstream::Name { host: "svc.default".into(), port: 80 };
    assert_eq!(cluster(&object).upstream, upstream);
    assert_eq!(*object.ambassador_id, ["default".to_owned()]);
    assert_eq!(object.labels.get("app").map(String::as_str), Some("web"));
    assert_eq!(object.created, Some(7));
}

#[test]
fn hosts() {
    let name = |text: &str| Some(HostMatch::Exact(text.into()));
    for (version, fields, expected) in [
        ("getambassador.io/v3alpha1", "", None),
        (V2, "", Some(HostMatch::Any)),
        ("ambassador/v0", "host: ''\n", Some(HostMatch::Any)),
        ("ambassador/v1", "host: Example.COM\n", name("example.com")),
        (V2, "host: '*'\n", Some(HostMatch::Any)),
        (V2, "host: 'a.*'\nhost_regex: true\n", Some(HostMatch::Regex(regex("a.*")))),
        ("getambassador.io/v3alpha1", "hostname: '*'\n", Some(HostMatch::Any)),
        (
            "getambassador.io/v3alpha1",
            "hostname: '*.Example.com'\n",
            Some(HostMatch::Suffix(".example.com".into())),
        ),
        ("getambassador.io/v3alpha1", "hostname: 'a.*'\n", Some(HostMatch::Prefix("a.".into()))),
        ("getambassador.io/v3alpha1", "hostname: a.example\nhost: b\n", name("a.example")),
        ("getambassador.io/v3alpha1", "headers:\n  ':authority': a.example\n", name("a.example")),
        ("getambassador.io/v3alpha1", "headers: {Host: a.example}\n", name("a.example")),
        (V2, "headers: {':authority': true}\n", Some(HostMatch::Any)),
        (V2, "regex_headers: {':authority': 'a.+'}\n", Some(HostMatch::Regex(regex("a.+")))),
    ] {
        let object = version_mapping(version, fields);
        assert_eq!(route(&object).matches.host, expected, "{version} {fields}");
        assert!(route(&object).matches.headers.is_empty());
    }
}

#[test]
fn paths() {
    for (fields, kind, case_sensitive) in [
        ("prefix: /a\n", PathMatchKind::Prefix("/a".into()), true),
        ("prefix: /a\ncase_sensitive: off\n", PathMatchKind::Prefix("/a".into()), false),
        ("prefix: /a\nprefix_exact: yes\n", PathMatchKind::Exact("/a".into()), true),
        (
            "prefix: /a/[0-9]+\nprefix_regex: on\nprefix_exact: true\ncase_sensitive: No\n",
            PathMatchKind::Regex(regex("/a/[0-9]+")),
            true,
        ),
    ] {
        let object = mapping(fields);
        let path = &route(&object).matches.path;
        assert_eq!((&path.kind, path.case_sensitive), (&kind, case_sensitive), "{fields}");
    }
}

#[test]
fn conditions() {
    let object = version_mapping(
        V2,
        "method: GET\nheaders:\n  X-B: yes\n  x-a: 'yes'\n  x-n: 1\n  x-f: false\nregex_headers: \
         {x-r: 'a|b', x-p: '.*'}\nquery_parameters: {q: 'a b', p: true}\n\
         regex_query_parameters: {r: '[0-9]+'}\n",
    );
    assert_eq!(problems(&object), ["Warning headers.x-f@11:3"]);
    let matches = &route(&object).matches;
    let header = |name: &str, value| HeaderMatch { name: name.into(), value };
    assert_eq!(
        matches.headers,
        [
            header("x-a", ValueMatch::Exact("yes".into())),
            header("x-b", ValueMatch::Present),
            header("x-n", ValueMatch::Exact("1".into())),
            header("x-p", ValueMatch::Present),
            header("x-r", ValueMatch::Regex(regex("a|b"))),
        ]
    );
    let query = |name: &str, value| QueryMatch { name: name.into(), value };
    assert_eq!(
        matches.query,
        [
            query("p", ValueMatch::Present),
            query("q", ValueMatch::Exact("a b".into())),
            query("r", ValueMatch::Regex(regex("[0-9]+"))),
        ]
    );
    assert_eq!(matches.method, Some(ValueMatch::Exact("GET".into())));
    for (fields, expected) in [
        ("method: GET|PUT\nmethod_regex: true\n", ValueMatch::Regex(regex("GET|PUT"))),
        ("headers: {':method': POST}\n", ValueMatch::Exact("POST".into())),
    ] {
        assert_eq!(route(&mapping(fields)).matches.method, Some(expected), "{fields}");
    }
}

#[test]
fn rewrites() {
    let matched = |text: &str| PathRewrite::Matched(text.into());
    for (fields, expected) in [
        ("rewrite: /x/\n", matched("/x/")),
        ("rewrite: ''\n", PathRewrite::Keep),
        ("rewrite:\n", matched("/")),
        ("rewrite: /model/test/:predict\n", matched("/model/test/:predict")),
    ] {
        assert_eq!(forward(&mapping(fields)).path, expected, "{fields}");
    }
    let object = mapping(
        "rewrite: /x\nregex_rewrite: {pattern: '/(\\d+)/(.*)', substitution: '\\2/\\\\x\\1'}\n",
    );
    assert_eq!(problems(&object), ["Warning rewrite@6:1"]);
    let PathRewrite::Regex(regex) = &forward(&object).path else { panic!("a regex") };
    assert_eq!(
        regex.replacement,
        [
            SubstitutionPart::Group(2),
            SubstitutionPart::Text("/\\x".into()),
            SubstitutionPart::Group(1)
        ]
    );
    for (fields, expected) in [
        ("host_rewrite: httpbin.org\n", HostRewrite::Literal("httpbin.org".into())),
        ("auto_host_rewrite: true\n", HostRewrite::Upstream),
        ("auto_host_rewrite: true\nhost_rewrite: a\n", HostRewrite::Literal("a".into())),
    ] {
        assert_eq!(forward(&mapping(fields)).host, expected, "{fields}");
    }
}

#[test]
fn redirects() {
    for (fields, authority, status, path) in [
        ("", "svc.default", 301, RedirectPath::Keep),
        ("service: example.com:8080\n", "example.com:8080", 301, RedirectPath::Keep),
        ("path_redirect: /x\n", "svc.default", 301, RedirectPath::Replace("/x".into())),
        (
            "prefix_redirect: /y\nredirect_response_code: 308\n",
            "svc.default",
            308,
            RedirectPath::ReplaceMatched("/y".into()),
        ),
        (
            "prefix_redirect: /y\npath_redirect: /x\nredirect_response_code: 200\n",
            "svc.default",
            301,
            RedirectPath::Replace("/x".into()),
        ),
    ] {
        let object = mapping(&format!("host_redirect: true\n{fields}"));
        let Action::Redirect(redirect) = &route(&object).action else { panic!("a redirect") };
        let found = (&*redirect.authority, redirect.status.as_u16(), &redirect.path);
        assert_eq!(found, (authority, status, &path), "{fields}");
    }
    for (fields, expected) in [
        ("host_redirect: true\nservice: https://a.example\n", "Warning service@6:1"),
        ("path_redirect: /x\n", "Warning path_redirect@6:1"),
    ] {
        let object = mapping(fields);
        assert_eq!(problems(&object), [expected], "{fields}");
    }
}

#[test]
fn header_edits() {
    let object = version_mapping(
        V2,
        "add_request_headers:\n  X-A: plain\n  x-b: {value: 'u=%REQ(x-u)%', append: false}\n  \
         x-bad: '50%'\n  bad name: x\n  Host: x\nadd_response_headers:\n  x-c:\n    value: 1\n    \
         append: on\nremove_request_headers: X-D\nremove_response_headers: [x-e, X-E, x-f]\n",
    );
    assert_eq!(
        problems(&object),
        [
            "Warning add_request_headers.x-bad@9:3",
            "Warning add_request_headers.bad name@10:3",
            "Warning add_request_headers.Host@11:3",
        ]
    );
    let names = |edits: &crate::model::route::HeaderEdits| {
        let add: Vec<_> = edits.add.iter().map(|add| (add.name.to_string(), add.append)).collect();
        let remove: Vec<_> = edits.remove.iter().map(ToString::to_string).collect();
        (add, remove)
    };
    let owned = |list: &[(&str, bool)]| {
        list.iter().map(|(name, append)| ((*name).to_owned(), *append)).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&route(&object).request_headers),
        (owned(&[("x-a", true), ("x-b", false)]), vec!["x-d".to_owned()])
    );
    assert_eq!(
        names(&route(&object).response_headers),
        (owned(&[("x-c", true)]), vec!["x-e".to_owned(), "x-f".to_owned()])
    );
}

#[test]
fn numbers() {
    let seconds = |text: &str| {
        let object = mapping(text);
        (route(&object).policy.timeout().map(|limit| limit.as_millis()), object.problems.len())
    };
    for (fields, expected) in [
        ("timeout_ms: 10\n", (Some(10), 0)),
        ("timeout_ms: 0\n", (None, 0)),
        ("timeout_ms: -1\n", (Some(3000), 1)),
        ("timeout_ms: soon\n", (Some(3000), 1)),
        ("timeout_ms: '10'\n", (Some(3000), 1)),
        ("timeout_ms: [1]\n", (Some(3000), 1)),
        ("timeout_ms: 9999999999999999999999\n", (Some(3000), 1)),
    ] {
        assert_eq!(seconds(fields), expected, "{fields}");
    }
    for (fields, expected) in [
        ("weight: 0\n", (Some(0), 0)),
        ("weight: 100\n", (Some(100), 0)),
        ("weight: 150\n", (Some(100), 1)),
    ] {
        let object = mapping(fields);
        assert_eq!((route(&object).weight, object.problems.len()), expected, "{fields}");
    }
    assert_eq!(route(&mapping("precedence: -5\n")).precedence, -5);
    let object = mapping("connect_timeout_ms: 0\n");
    assert_eq!(forward(&object).cluster.policy.connect_timeout(), Duration::from_secs(3));
    assert_eq!(problems(&object), ["Warning connect_timeout_ms@6:1"]);
}

#[test]
fn what_begins_tls() {
    for (fields, tls, context, warnings) in [
        ("service: https://foo\n", true, None, 0),
        ("tls: true\n", true, None, 0),
        ("tls: client\n", true, Some("client"), 0),
        ("service: http://foo\ntls: client\n", true, Some("client"), 1),
        ("tls: false\n", false, None, 0),
    ] {
        let object = version_mapping(V2, fields);
        let spec = &forward(&object).cluster;
        assert_eq!((spec.tls, spec.context.as_deref()), (tls, context), "{fields}");
        assert_eq!(object.problems.len(), warnings, "{fields}");
    }
}

#[test]
fn what_asks_for_no_tls_is_taken() {
    for fields in ["tls: false\n", "tls: ''\n", "tls:\n", "tls: no\n", "service: http://foo\n"] {
        assert_eq!(problems(&version_mapping(V2, fields)), [""; 0], "{fields}");
    }
}

#[test]
fn variables_are_expanded_in_strings() {
    let mut settings = settings();
    settings.environment.insert("HOST_IP".into(), "10.0.0.9".into());
    settings.environment.insert("SECRET".into(), "hidden".into());
    let text = "{apiVersion: ambassador/v2, kind: Mapping, name: m, prefix: '/${SECRET}/$1', \
                service: '$HOST_IP:80'}";
    let objects = parse_annotation(text, &carrier("default", "web"), &settings);
    assert_eq!(cluster(&objects[0]).upstream.authority(), "10.0.0.9:80");
    let path = &route(&objects[0]).matches.path;
    assert_eq!(path.kind, PathMatchKind::Prefix("/hidden/$1".into()));
    let document = objects[0].document.as_deref().expect("kept");
    assert!(document.contains("${SECRET}") && !document.contains("hidden"));
}
