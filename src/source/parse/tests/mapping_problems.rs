//! What is wrong with a Mapping: told and kept, or refused.

use super::*;
use crate::model::route::PathRewrite;

#[test]
fn what_no_request_can_be_is_told_and_stands() {
    for (fields, expected) in [
        ("method: GE T\n", "Warning method: no request has the method \"GE T\"; write one such"),
        ("headers: {':method': GE T}\n", "Warning headers.:method: no request has the method"),
        ("rewrite: api/\n", "Warning rewrite: no path begins with \"api/\"; write \"/api/\""),
        ("rewrite: /a b\n", "Warning rewrite: no path begins with \"/a b\"; write \"/a%20b\""),
        ("rewrite: \"a\\n\"\n", "Warning rewrite: no path begins with \"a\n\"; write \"/a\""),
        ("regex_rewrite: {pattern: a}\n", "Warning regex_rewrite: has no substitution"),
        (
            "cluster_tag: no good\n",
            "Warning cluster_tag: \"no good\" is not one word; write no_good",
        ),
        ("cluster_tag: ' '\n", "Warning cluster_tag: has nothing but blanks"),
        ("health_checks: [{}]\n", "Warning health_checks[0]: is ignored; write health_check"),
    ] {
        assert_told(&mapping(fields), true, expected);
    }
    for fields in [
        "method: PURGE\n",
        "method: GET|PUT\nmethod_regex: true\n",
        "rewrite: /a%20b?c=d\n",
        "regex_rewrite: {pattern: a, substitution: ''}\n",
        "cluster_tag: a-b_c.d\n",
        "rewrite: api\nregex_rewrite: {pattern: a, substitution: b}\n",
    ] {
        let told = told(&mapping(fields));
        assert!(!told.iter().any(|text| text.contains("; write")), "{fields}: {told:?}");
    }
    let object = mapping("rewrite: api/\n");
    assert_eq!(forward(&object).path, PathRewrite::Matched("api/".into()));
}

/// Whatever would widen the match or send requests elsewhere.
#[test]
fn what_can_not_be_ignored_is_refused() {
    for (fields, blamed) in [
        ("prefix: [/a]\n", "prefix"),
        ("prefix: '('\nprefix_regex: true\n", "prefix"),
        ("prefix: /a\nprefix_regex: maybe\n", "prefix_regex"),
        ("prefix: /a\nprefix_regex: 'true'\n", "prefix_regex"),
        ("service: ''\n", "service"),
        ("service: foo:http\n", "service"),
        ("tls: [context]\n", "tls"),
        ("host: 'a*'\n", "host"),
        ("host: '('\nhost_regex: true\n", "host"),
        ("hostname: [a]\n", "hostname"),
        ("hostname: a\nheaders: {':authority': b}\n", "headers.:authority"),
        ("method: '('\nmethod_regex: true\n", "method"),
        ("method: GET\nheaders: {':method': PUT}\n", "headers.:method"),
        ("headers: {x-a: true}\n", "headers.x-a"),
        ("headers: [x-a]\n", "headers"),
        ("headers: {'a b': x}\n", "headers.a b"),
        ("headers: {x-a: {}}\n", "headers.x-a"),
        ("regex_headers: {x-a: '(?=a)'}\n", "regex_headers.x-a"),
        ("query_parameters: {a: [b]}\n", "query_parameters.a"),
        ("query_parameters: {'': b}\n", "query_parameters"),
        ("regex_query_parameters: {'': 'b.*'}\n", "regex_query_parameters"),
        ("regex_query_parameters: {a: '('}\n", "regex_query_parameters.a"),
        ("weight: -1\n", "weight"),
        ("weight: many\n", "weight"),
        ("precedence: high\n", "precedence"),
        ("resolver: [a]\n", "resolver"),
        ("rewrite: [a]\n", "rewrite"),
        ("regex_rewrite: {pattern: '(', substitution: ''}\n", "regex_rewrite.pattern"),
        ("regex_rewrite: {pattern: 'a', substitution: '\\1'}\n", "regex_rewrite.substitution"),
        ("regex_rewrite: {pattern: 'a', substitution: '\\x'}\n", "regex_rewrite.substitution"),
        ("regex_rewrite: {substitution: x}\n", "regex_rewrite"),
        ("host_rewrite: \"a\\r\\nb\"\n", "host_rewrite"),
        ("host_redirect: maybe\n", "host_redirect"),
        ("ambassador_id: {a: b}\n", "ambassador_id"),
    ] {
        let object = mapping(fields);
        assert_eq!(object.content, Content::Rejected, "{fields}");
        let errors: Vec<_> = object
            .problems
            .iter()
            .filter(|problem| problem.severity.is_fatal())
            .map(|problem| problem.field.as_deref())
            .collect();
        assert_eq!(errors, [Some(blamed)], "{fields}");
        assert!(object.problems.iter().all(|problem| problem.location.is_some()), "{fields}");
    }
}

#[test]
fn all_problems_are_told_in_the_order_of_the_text() {
    let object = mapping(
        "timeout_ms: soon\nweight: -1\nretry_policy: {retry_on: 5xx}\nprefx: /a\ngrpc: false\n\
         cors: {origins: ['*']}\nenvoy_override: {a: b}\nmodules: []\nlabels: {a: []}\n\
         docs: {path: /x}\nhost_regex: perhaps\nsomething: else\n",
    );
    assert_eq!(
        problems(&object),
        [
            "Warning timeout_ms@6:1",
            "Error weight@7:1",
            "Warning prefx@9:1",
            "NoEffect envoy_override@12:1",
            "Error host_regex@16:1",
            "Warning something@17:1",
        ]
    );
    assert!(object.problems[2].message.contains("did you mean prefix?"));
}
