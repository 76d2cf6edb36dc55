//! One meaning: a document in an older version, read as it stands, is what its conversion is.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::convert::{Version, convert};
use crate::model::key::Kind;
use crate::source::parse::parse_resource;

fn parsed(kind: Kind, object: &Value) -> Object {
    parse_resource(kind, object, &settings())
}

/// Reads an object in both ways, and sees that they are the same but for what is told of it.
fn same_meaning(kind: Kind, spec: &Value) -> Result<(), TestCaseError> {
    let legacy = json!({
        "apiVersion": "getambassador.io/v2",
        "kind": kind.as_str(),
        "metadata": {"name": "m", "namespace": "default"},
        "spec": spec,
    });
    let current = convert(legacy.clone(), Version::V3Alpha1).expect("it is an object of ours");
    let (direct, converted) = (parsed(kind, &legacy), parsed(kind, &current));
    prop_assert_eq!(&direct.ambassador_id, &converted.ambassador_id, "{}", current);
    prop_assert_eq!(&direct.content, &converted.content, "{} and {:?}", current, direct.problems);
    Ok(())
}

fn some<T: Into<Value>, const N: usize>(
    values: [T; N],
) -> impl Strategy<Value = Option<Value>> + use<T, N> {
    let values: Vec<Value> = values.into_iter().map(Into::into).collect();
    prop::option::weighted(0.4, prop::sample::select(values))
}

fn spec(fields: [(&str, Option<Value>); 14]) -> Value {
    let written = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(written.collect())
}

prop_compose! {
    fn conditions()(
        headers in some([json!({"a": true}), json!({"a": "1", "b": true}), json!({"a": false})]),
        regex_headers in some([json!({"a": ".*"}), json!({"a": "x+"})]),
        query in some([json!({"q": true}), json!({"q": "1"})]),
        add in some([json!({"x-a": "1"}), json!({"x-a": {"value": "2", "append": false}})]),
        remove in some([json!("x-b"), json!(["x-b", "x-c"])]),
    ) -> [Option<Value>; 5] {
        [headers, regex_headers, query, add, remove]
    }
}

prop_compose! {
    fn mappings()(
        id in some([json!("a"), json!(["a", "b"]), json!(""), json!("--apiVersion-v3alpha1-only--a")]),
        host in some(["", "*", "a.io", "*.a.io", "a.*", "_skip_mapping_with_empty_host_"]),
        host_regex in some([true, false]),
        service in prop::sample::select(vec!["a", "a:81", "http://a", "https://a"]),
        tls in some([json!(true), json!(false), json!(""), json!("context")]),
        rest in conditions(),
        timeout in some([0, 7]),
        stats in some(["s"]),
        weight in some([30]),
    ) -> Value {
        let [headers, regex_headers, query, add, remove] = rest;
        spec([
            ("prefix", Some("/a/".into())),
            ("ambassador_id", id),
            ("host", host),
            ("host_regex", host_regex),
            ("service", Some(service.into())),
            ("tls", tls),
            ("headers", headers),
            ("regex_headers", regex_headers),
            ("query_parameters", query),
            ("add_request_headers", add),
            ("remove_response_headers", remove),
            ("timeout_ms", timeout),
            ("v3StatsName", stats),
            ("weight", weight),
        ])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn mappings_mean_the_same_in_both_versions(spec in mappings()) {
        same_meaning(Kind::Mapping, &spec)?;
    }
}

#[test]
fn hosts_of_older_documents() {
    for (fields, expected) in [
        ("", "all"),
        ("host: a.io\n", "a.io"),
        ("host: '*.a.io'\n", "ends .a.io"),
        ("host: _skip_mapping_with_empty_host_\n", "none"),
        ("host_regex: true\n", "none"),
        ("host: a.*\nhost_regex: true\n", "regex"),
    ] {
        let object = version_mapping("ambassador/v2", fields);
        let found = match &route(&object).matches.host {
            None => "none".to_owned(),
            Some(HostMatch::Any) => "all".to_owned(),
            Some(HostMatch::Exact(name)) => name.to_string(),
            Some(HostMatch::Suffix(end)) => format!("ends {end}"),
            Some(HostMatch::Prefix(start)) => format!("begins {start}"),
            Some(HostMatch::Regex(_)) => "regex".to_owned(),
        };
        assert_eq!(found, expected, "{fields}");
    }
}

/// What conversion wrote in v2 is read, and problems keep the line of what the author wrote.
#[test]
fn names_of_conversions_are_known() {
    let guarded = "ambassador_id: --apiVersion-v3alpha1-only--edge\nv3StatsName: s\nnonsense: 1\n";
    let object = version_mapping("getambassador.io/v2", guarded);
    assert_eq!(*object.ambassador_id, ["edge".to_owned()]);
    assert!(problems(&object).contains(&"Warning nonsense@8:1".to_owned()), "{object:?}");
    assert!(!problems(&object).iter().any(|problem| problem.contains("v3StatsName")));
}
